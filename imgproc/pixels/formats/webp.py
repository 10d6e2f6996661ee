"""WebP files."""

from __future__ import annotations

from typing import BinaryIO

from imgproc.pixels.formats import with_opencv
from imgproc.pixels.formats.contract import Damaged, FileType, Header, Kind
from imgproc.pixels.formats.orientation import exif_orientation

_HAS_EXIF = 8


def header(file: BinaryIO) -> Header:
    """By the first chunk, and EXIF's behind the picture."""
    data = file.read(30)
    size = _size(data)
    if size is None:
        raise Damaged
    turned = data[12:16] == b"VP8X" and data[20] & _HAS_EXIF
    return Header(*size, ORDINARY, _orientation(file) if turned else 1)


def _size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and len(data) >= 30 and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _orientation(file: BinaryIO) -> int:
    at = 12
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return 1
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            exif = file.read(length)
            return exif_orientation(exif.removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2


def is_cut(data: bytes) -> bool:
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


ORDINARY = Kind("lossy, lossless, animated (first frame)", "OpenCV", "as `cv2.imdecode`", with_opencv.decode)
TYPE = FileType("WebP", header, is_cut, (ORDINARY,))
