"""Image files by type: what their headers say, and what decodes them.

This table says what is read and how; docs/formats.md is made from it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO

from imgproc.errors import UserError
from imgproc.pixels.filetypes import accepted_type, refusal
from imgproc.pixels.formats import bmp, gif, jpeg, png, tiff, webp
from imgproc.pixels.formats.contract import OF_DAMAGE, Decoded, FileType, Header, Piece, Wanted, refused

TYPES: dict[str, FileType] = {module.TYPE.name: module.TYPE for module in (jpeg, png, webp, gif, tiff, bmp)}

_CUT = "The file ends in the middle of the picture. Copy it again from where it came."
DAMAGED = "The file is damaged. Copy it again from where it came, or open it in an image editor and save it again."
_BEGINNING = 64  # bytes that tell a type


def read_header(file: BinaryIO, type: str, wanted: Wanted) -> Header:
    """What a file of a type in ``TYPES`` says before anything is decoded; no more of it is read than that takes.

    Raises:
        UserError: it is damaged, or of a kind that is not read, or not with this depth; the message names it.
    """
    file.seek(0)
    try:
        header = TYPES[type].header(file)
    except UserError:
        raise
    except OF_DAMAGE:
        file.seek(0)
        raise broken(type, file.read()) from None
    header.kind.check(header, wanted)
    return header


def decode(data: bytes, wanted: Wanted) -> Decoded:
    """The first picture of full size in an image file, upright, alpha dropped.

    Raises:
        UserError: the file is damaged, cut short, or of a type or kind that is not read.
    """
    type = accepted_type(data[:_BEGINNING])
    if type is None:
        raise refused(refusal(data[:_BEGINNING]))
    header = read_header(io.BytesIO(data), type, wanted)
    try:
        found = header.kind.decode(data, header, wanted)
    except UserError:
        raise
    except OF_DAMAGE:
        found = None
    if found is None:
        raise broken(type, data)
    return found


def pieces(path: str, count: int, wanted: Wanted) -> Sequence[Piece]:
    """The picture in a file in pieces to be decoded by themselves, by several workers at once.

    Returns:
        At least two, at most ``count``, of about equal height, with the pixels of the whole; or none of what must be
        decoded whole. So it is with all that is wrong with a file, which its decoder is to say.
    """
    try:
        with open(path, "rb") as file:
            type = accepted_type(file.read(_BEGINNING))
            if type is None:
                return []
            header = read_header(file, type, wanted)
            return header.kind.pieces(file, header, count, wanted)
    except (OSError, UserError, *OF_DAMAGE):
        return []


def decode_piece(piece: Piece, data: bytes, wanted: Wanted) -> Decoded:
    """The rows of a piece, of which ``data`` is what it has read.

    Raises:
        UserError: as ``decode``; or its size is another than the file's header says.
    """
    image, facts = decode(data, wanted)
    if len(image) != piece.stored.stop - piece.stored.start:
        raise refused(DAMAGED)
    first = piece.rows.start - piece.stored.start
    return Decoded(image[first : first + piece.rows.stop - piece.rows.start], facts)


def broken(type: str, data: bytes) -> UserError:
    """Why a file that cannot be decoded is refused."""
    try:
        cut = TYPES[type].is_cut(data)
    except OF_DAMAGE:
        cut = False
    return refused(_CUT if cut else DAMAGED)
