"""What the files of one type share: what their header says, how they are read, and what is told of that."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Protocol

from imgproc.errors import UserError
from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows
from imgproc.pixels.formats.depth import HIGH_BYTE, Facts


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be decoded: gray, or BGR with ``color``; ``depth``: how more than 8 bits become 8, see ``depth``."""

    color: bool = False
    depth: str = HIGH_BYTE


class Decoded(NamedTuple):
    """An image of uint8, (height, width) or (height, width, 3) in BGR order, upright, and how it was read."""

    image: Image
    facts: Facts = Facts()


class Piece(Protocol):
    """Some ``rows`` of the picture in a file, which can be decoded by themselves, and travel to another process."""

    @property
    def rows(self) -> Rows: ...

    @property
    def stored(self) -> Rows:
        """The rows that ``read`` has: these, and maybe some around them."""

    def read(self, path: str) -> bytes:
        """A file of the same type of the rows ``stored``, made of the file in this place."""


def in_one(file: BinaryIO, header: Header, count: int, wanted: Wanted) -> Sequence[Piece]:
    """The pieces of files that cannot be taken apart."""
    return []


def any_depth(header: Header, wanted: Wanted) -> None:
    """The check of what can be read with every depth."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Files that are read in one way.

    ``what`` they are, the ``rule`` by which their pixels come, and the library that decodes them, ``by``, are words
    for people. ``decode`` takes the whole file and gives None of a damaged one; ``check`` raises a UserError where the
    depth that is wanted cannot be had. ``pieces``: the whole picture in at most so many pieces, none or at least two,
    which become the pixels of the whole; may raise what is in ``OF_DAMAGE``.
    """

    what: str
    by: str
    rule: str
    decode: Callable[[bytes, Header, Wanted], Decoded | None]
    check: Callable[[Header, Wanted], None] = any_depth
    pieces: Callable[[BinaryIO, Header, int, Wanted], Sequence[Piece]] = in_one


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its picture before anything is decoded.

    ``width`` and ``height`` in pixels as stored, before ``orientation`` (EXIF's 1 to 8) turns it; ``bits`` of a
    sample; ``samples`` of a pixel; ``own``: what only its type knows.
    """

    width: int
    height: int
    kind: Kind
    orientation: int = 1
    bits: int = 8
    samples: int = 3
    own: Any = None

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as they are seen."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @property
    def stored_bytes(self) -> int:
        """Of all samples in memory."""
        return self.width * self.height * self.samples * -(-self.bits // 8)


class Damaged(Exception):
    """The header makes no sense, or ends before it is whole."""


#: What numbers that make no sense come to, sooner or later.
OF_DAMAGE = (Damaged, struct.error, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of image file: its name in ``filetypes.ACCEPTED``; ``header`` (raises Damaged, or a UserError for what is
    refused by name); whether a file that cannot be decoded ``is_cut`` short; the kinds of its files that are read, and
    in words those that are ``refused`` by name."""

    name: str
    header: Callable[[BinaryIO], Header]
    is_cut: Callable[[bytes], bool]
    kinds: tuple[Kind, ...]
    refused: tuple[str, ...] = ()


def refused(message: str) -> UserError:
    """An image file that is not taken."""
    return UserError(message, code="refused_image")
