"""BMP files: by OpenCV, but where masks say which bits of a pixel are which colour."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from imgproc.operations.contract import Image
from imgproc.pixels.formats import with_opencv
from imgproc.pixels.formats.contract import Damaged, Decoded, FileType, Header, Kind, Wanted, refused
from imgproc.pixels.formats.depth import high_byte

_OLD_HEADER, _SHORT_HEADER, _INFO_HEADER, _OS2_HEADER = 12, 16, 40, 64
_RGB, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _ALPHA_MASKS = range(7)
_OF_16_BITS = (0x7C00, 0x3E0, 0x1F)  # where none are given
_OF_RLE = {_RLE8: 8, _RLE4: 4}  # bits a pixel
_REFUSED = {
    _JPEG: "holds a JPEG", _PNG: "holds a PNG", 11: "is in CMYK", 12: "is in CMYK", 13: "is in CMYK",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Runs:
    """RLE of ``bits`` bits from ``at`` on, and where the palette is and how many colours it has."""

    at: int
    bits: int
    palette: int
    colors: int


@dataclass(frozen=True, slots=True)
class _Masked:
    """Pixels of ``bits`` bits from ``at`` on, the lowest row first unless ``top_down``; red, green and blue masks."""

    at: int
    bits: int
    top_down: bool
    masks: tuple[int, int, int]


def header(file: BinaryIO) -> Header:
    """By its own header, of whatever length."""
    data = file.read(14 + 124)
    if len(data) < 26:
        raise Damaged
    at, size = struct.unpack_from("<II", data, 10)
    if size == _OLD_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return Header(width, height, ORDINARY, bits=8)
    if size == _SHORT_HEADER:
        width, height, _, bits = struct.unpack_from("<IIHH", data, 18)
        return Header(width, height, SHORT)
    if len(data) < 34:
        raise Damaged
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if size == _OS2_HEADER and compression > _RLE4:
        raise refused("This BMP of OS/2 is compressed in a way that nothing here reads. Save it as PNG.")
    if compression in _REFUSED:
        raise refused(f"This BMP {_REFUSED[compression]}, which nothing here reads. Save it as PNG.")
    if bits not in (1, 4, 8, 16, 24, 32):
        raise refused(f"This BMP has {bits} bits a pixel; read are 1, 4, 8, 16, 24 and 32. Save it as PNG.")
    if compression in (_RLE8, _RLE4) and bits == _OF_RLE[compression] and width % (32 // bits):
        used = int.from_bytes(data[46:50], "little") if len(data) >= 50 else 0
        colors = min(used or 1 << bits, (at - 14 - size) // 4)
        return Header(width, abs(height), RUNS, own=_Runs(at, bits, 14 + size, colors))
    if compression not in (_MASKS, _ALPHA_MASKS) and bits != 16:
        return Header(width, abs(height), ORDINARY)
    masks = struct.unpack_from("<III", data, 54) if compression in (_MASKS, _ALPHA_MASKS) else _OF_16_BITS
    if bits not in (16, 32) or not all(map(_is_run, masks)):
        raise Damaged
    return Header(width, abs(height), MASKED, own=_Masked(at, bits, height < 0, masks))


def _decode_short(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    """OS/2's header of 16 bytes made as long as OpenCV knows it; what it lacks is 0."""
    more = _INFO_HEADER - _SHORT_HEADER
    at = int.from_bytes(data[10:14], "little")
    begin = data[:10] + struct.pack("<II", at + more, _INFO_HEADER) + data[18 : 14 + _SHORT_HEADER] + bytes(more)
    return with_opencv.decode(begin + data[14 + _SHORT_HEADER :], header, wanted)


def _decode_runs(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    """RLE of rows that some writers fill up: what runs past the end of a row is dropped, which OpenCV does not do."""
    own: _Runs = header.own
    rows = _rows(data, own, header.width, header.height)
    if rows is None:
        return None
    palette = np.frombuffer(data, np.uint8, 4 * own.colors, own.palette).reshape(-1, 4)[:, :3]
    indices = np.frombuffer(b"".join(reversed(rows)), np.uint8).reshape(header.height, header.width)
    return Decoded(with_opencv.as_wanted(palette[indices], wanted))


def _rows(data: bytes, own: _Runs, width: int, height: int) -> list[bytes] | None:
    """The index of each pixel, the lowest row first; None where the file ends before its picture does."""
    rows = [bytearray(width) for _ in range(height)]
    at, x, y, end = own.at, 0, 0, len(data) - 1
    while y < height:
        if at >= end:
            return None
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            pixels = bytes([value]) * count if own.bits == 8 else bytes([value >> 4, value & 15]) * 128
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            x, y, at = x + data[at], y + data[at + 1], at + 2
            continue
        else:  # so many pixels as they are, in whole pairs of bytes
            count, length = value, value if own.bits == 8 else (value + 1) // 2
            stored = data[at : at + length]
            pixels = stored if own.bits == 8 else bytes(half for byte in stored for half in (byte >> 4, byte & 15))
            at += length + length % 2
        room = min(count, width - x)
        if room > 0:
            rows[y][x : x + room] = pixels[:room]
        x += count
    return [bytes(row) for row in rows]


def _is_run(mask: int) -> bool:
    """Whether the bits that are set follow one another, if any are."""
    return mask == 0 or (run := mask // (mask & -mask)) & (run + 1) == 0


def _decode_masked(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    own: _Masked = header.own
    row = (header.width * own.bits + 31) // 32 * 4
    if own.at + row * header.height > len(data):
        return None
    dtype = np.dtype(f"<u{own.bits // 8}")
    rows = np.frombuffer(data, dtype, row // dtype.itemsize * header.height, own.at).reshape(header.height, -1)
    pixels = rows[:: 1 if own.top_down else -1, : header.width]
    image = np.empty((header.height, header.width, 3), np.uint8)
    for channel, mask in enumerate(reversed(own.masks)):
        image[:, :, channel] = _channel(pixels, mask)
    return Decoded(with_opencv.as_wanted(image, wanted))


def _channel(pixels: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]], mask: int) -> Image | int:
    if not mask:
        return 0
    shift = (mask & -mask).bit_length() - 1
    values = (pixels & np.asarray(mask, pixels.dtype)) >> np.asarray(shift, pixels.dtype)
    bits = mask.bit_count()
    return high_byte(values.astype(np.uint16) if bits <= 16 else values, bits, color=True)


def is_cut(data: bytes) -> bool:
    return int.from_bytes(data[2:6], "little") > len(data)


ORDINARY = Kind("1, 4, 8, 24 and 32 bits a pixel, plain or RLE", "OpenCV", "as `cv2.imdecode`", with_opencv.decode)
SHORT = Kind("with OS/2’s header of 16 bytes", "OpenCV", "as `cv2.imdecode`", _decode_short)
RUNS = Kind(
    "RLE of a width that does not fill whole words of 32 bits",
    "Python",
    "what runs past the end of a row is dropped; gray (4899 R + 9617 G + 1868 B + 8192) >> 14",
    _decode_runs,
)
MASKED = Kind(
    "16 bits a pixel, and masks of any header (BITFIELDS)",
    "NumPy",
    "each channel round(v * 255 / (2^n - 1)); gray (4899 R + 9617 G + 1868 B + 8192) >> 14",
    _decode_masked,
)
TYPE = FileType(
    "BMP",
    header,
    is_cut,
    (ORDINARY, SHORT, RUNS, MASKED),
    ("JPEG or PNG inside, CMYK, 2 bits a pixel, OS/2’s own compressions",),
)
