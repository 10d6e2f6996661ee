"""GIF files."""

from __future__ import annotations

import struct
from typing import BinaryIO

from imgproc.pixels.formats import with_opencv
from imgproc.pixels.formats.contract import Damaged, Decoded, FileType, Header, Kind, Wanted

_EXTENSION, _GRAPHIC_CONTROL, _TRANSPARENT = 0x21, 0xF9, 1


def header(file: BinaryIO) -> Header:
    """By the logical screen."""
    data = file.read(10)
    if len(data) < 10:
        raise Damaged
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(width, height, ORDINARY)


def opaque(data: bytes) -> bytes:
    """The file whose first frame has no transparent colour, so that its pixels show the colours they have."""
    at = 13 + (3 << 1 + (data[10] & 7) if data[10] & 0x80 else 0)
    while data[at : at + 1] == bytes([_EXTENSION]):
        if data[at + 1 : at + 3] == bytes([_GRAPHIC_CONTROL, 4]) and data[at + 3] & _TRANSPARENT:
            return data[: at + 3] + bytes([data[at + 3] & ~_TRANSPARENT]) + data[at + 4 :]
        at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return data


def _decode(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    return with_opencv.decode(opaque(data), header, wanted)


def is_cut(data: bytes) -> bool:
    return not data.rstrip(b"\0").endswith(b";")


ORDINARY = Kind(
    "all; of an animation the first frame",
    "OpenCV",
    "a transparent pixel shows the colour that its index has in the palette",
    _decode,
)
TYPE = FileType("GIF", header, is_cut, (ORDINARY,))
