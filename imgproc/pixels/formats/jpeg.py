"""JPEG files: by OpenCV where they have 8 bits, else by libjpeg-turbo through imagecodecs."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from imgproc.pixels.formats import jpeg_file, with_opencv
from imgproc.pixels.formats.contract import Damaged, Decoded, FileType, Header, Kind, Piece, Wanted, refused
from imgproc.pixels.formats.depth import Facts, as_bytes
from imgproc.pixels.formats.jpeg_file import ADOBE, APP0, APP1, EOI, NO_LENGTH, SOS, segment
from imgproc.pixels.formats.orientation import exif_orientation
from imgproc.pixels.formats.with_imagecodecs import codec, decoded_by

#: A JPEG of more scans is made to keep decoders busy; real ones have about ten.
MAX_SCANS = 500

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # what ends a scan's data
_NAMES_COLORS = {APP0, ADOBE}
_ADOBE = b"Adobe"
_INKS = _MOST_SAMPLES = 4
_UNNAMED = Facts(("It does not say whether its colours are RGB or YCbCr; they are taken for RGB.",))
_LOSSLESS, _LOSSLESS_ARITHMETIC, _PROGRESSION = 0xC3, 0xCB, 0xDE
_JPEG_LS = 0xF7
_FRAMES = {*range(0xC0, 0xD0), _PROGRESSION, _JPEG_LS} - {0xC4, 0xC8, 0xCC}  # markers of the frame header, SOF
_HIERARCHICAL = {0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, _PROGRESSION}


def scans(data: bytes) -> int:
    """How many scans a JPEG has, or at least no fewer; counting stops soon after ``MAX_SCANS``."""
    count = data.count(b"\xff\xda")
    if count <= MAX_SCANS:  # the usual case, and fast
        return count
    # Metadata and what follows the picture (a phone's short film) hold these bytes by chance, so go by segments.
    at, count = 2, 0
    while count <= MAX_SCANS and (found := _MARKER.search(data, at)):
        marker, at = data[found.end() - 1], found.end()
        if marker == EOI:
            break
        if marker not in NO_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
        count += marker == SOS
    return count


def is_cut(data: bytes) -> bool:
    """Whether the end marker after the last scan is missing; a thumbnail before it has its own."""
    return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")


def header(file: BinaryIO) -> Header:
    """By the segments before the first scan, however long they are."""
    orientation, at, named, adobe = 0, 2, False, False
    while True:
        marker, at, length = segment(file, at)
        if marker == SOS:
            raise Damaged
        if marker in _FRAMES:
            break
        named = named or marker in _NAMES_COLORS
        adobe = adobe or (marker == ADOBE and file.read(len(_ADOBE)) == _ADOBE)
        if marker == APP1 and not orientation and file.read(6) == b"Exif\0\0":
            orientation = exif_orientation(file.read(length - 6))
        at += length
    frame = file.read(6 + 3 * _MOST_SAMPLES)
    if len(frame) < 6:
        raise Damaged
    bits, height, width, samples = struct.unpack_from(">BHHB", frame)
    kind = _kind(marker, bits, samples)
    if not height:
        raise refused(
            "This JPEG leaves its height to a mark behind its pixels (DNL), which nothing here reads. Save it again as "
            "an ordinary JPEG."
        )
    if kind is ORDINARY and samples > 1:
        _refuse_parts(frame[7 : 7 + 3 * samples : 3])
    if samples == _INKS and not adobe:
        raise refused(
            "This JPEG holds the inks CMYK without Adobe’s marker, so that its 0 is no ink by the standard and full "
            "ink to most programs. Save it in RGB."
        )
    if marker == _LOSSLESS and len({frame[6 + 3 * k + 1] for k in range(samples)}) > 1:
        raise refused("This JPEG is lossless with colours of fewer pixels, which nothing here reads. Save it as PNG.")
    unnamed = marker == _LOSSLESS and samples == 3 and not named
    return Header(width, height, kind, orientation or 1, bits, samples, own=_UNNAMED if unnamed else Facts())


def _refuse_parts(samplings: bytes) -> None:
    """Raises: UserError: of a colour there are fewer pixels than of another, and not by a whole number."""
    for counts in ([sampling >> 4 for sampling in samplings], [sampling & 15 for sampling in samplings]):
        if 0 in counts:
            raise Damaged
        if any(max(counts) % count for count in counts):
            raise refused(
                "The colours of this JPEG have fewer pixels by a fraction (such as two of three), which nothing here "
                "reads. Save it again as an ordinary JPEG."
            )


def _kind(marker: int, bits: int, samples: int) -> Kind:
    if marker == _JPEG_LS:
        raise refused("This is a JPEG-LS image, which nothing here reads. Save it as PNG.")
    if marker in _HIERARCHICAL:
        raise refused("This JPEG is hierarchical, which nothing here reads. Save it again as an ordinary JPEG.")
    if marker == _LOSSLESS_ARITHMETIC:
        raise refused("This JPEG is lossless and arithmetically coded, which nothing here reads. Save it again as PNG.")
    if marker == _LOSSLESS or bits != 8:
        if samples not in (1, 3):
            raise refused(
                f"This JPEG is {'lossless' if bits == 8 else f'of {bits} bits'} with {samples} samples a pixel, which "
                "nothing here reads. Save it again in gray or RGB."
            )
        return DEEP if bits != 8 else LOSSLESS
    if not samples:
        raise Damaged
    if samples not in (1, 3, _INKS):
        raise refused(f"This JPEG has {samples} samples a pixel, which is neither gray, RGB nor CMYK. Save it as PNG.")
    return ORDINARY


def _decode_lossless(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    """In the file's own colours, for OpenCV makes no others of it."""
    found = with_opencv.decode(data, header, replace(wanted, color=header.samples == 3))
    return None if found is None else Decoded(with_opencv.as_wanted(found.image, wanted), header.own)


def _decode_deep(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    # Of half a file it would make a picture that is gray below.
    samples = None if is_cut(data) else decoded_by(codec("jpeg8_decode"), data)
    if samples is None:
        return None
    if samples.ndim == 3:
        samples = samples[:, :, ::-1]
    image, facts = as_bytes(samples, header.bits, wanted.depth, color=samples.ndim == 3)
    return Decoded(with_opencv.as_wanted(image, wanted, header.orientation), facts.joined(header.own))


def _pieces(file: BinaryIO, header: Header, count: int, wanted: Wanted) -> Sequence[Piece]:
    return [] if header.orientation != 1 else jpeg_file.pieces(file, count, wanted)


ORDINARY = Kind(
    "8 bits: baseline, progressive, arithmetic, in gray, RGB, YCbCr, or CMYK and YCCK with Adobe’s marker",
    "OpenCV",
    "as `cv2.imdecode`; inks are stored inverted, as Adobe’s programs do",
    with_opencv.decode,
    pieces=_pieces,
)
LOSSLESS = Kind(
    "8 bits, lossless", "OpenCV", "as stored; gray of colours (4899 R + 9617 G + 1868 B + 8192) >> 14", _decode_lossless
)
DEEP = Kind(
    "2 to 16 bits, in gray or RGB",
    "imagecodecs",
    "by `depth`, colours rounded as those of a TIFF; gray of colours (4899 R + 9617 G + 1868 B + 8192) >> 14",
    _decode_deep,
)
TYPE = FileType(
    "JPEG",
    header,
    is_cut,
    (ORDINARY, LOSSLESS, DEEP),
    (
        "hierarchical",
        "lossless with arithmetic coding",
        "lossless or of more than 8 bits in CMYK",
        "CMYK without Adobe’s marker (ITU-T T.872 takes 0 for no ink, OpenCV and most programs for full ink)",
        "height in DNL, two or more than four samples a pixel, colours of fewer pixels by a fraction",
        "JPEG-LS",
    ),
)
