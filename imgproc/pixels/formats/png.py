"""PNG files, read by OpenCV; ``imgproc.pixels.png`` writes them."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from imgproc.pixels.formats import with_opencv
from imgproc.pixels.formats.contract import Damaged, Decoded, FileType, Header, Kind, Wanted
from imgproc.pixels.formats.depth import HIGH_BYTE, Facts, Samples, as_bytes, facts_of_high_byte
from imgproc.pixels.formats.orientation import exif_orientation
from imgproc.pixels.png import SIGNATURE

# Enough to decode the still picture; dropping the rest removes the animation chunks that crash OpenCV's decoder.
_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"cHRM", b"eXIf"}
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by kind of pixel
_HAS_COLOR = {2, 3, 6}
_TAIL = 1 << 17  # bytes at the end; EXIF has at most half as many
_LINEAR = range(95_000, 105_001)  # gAMA values that libpng takes for 1
_CONVERTED = "Its {chunk} chunk makes OpenCV mix colours to gray in linear light: other gray levels than without it."


class _Chunks(NamedTuple):
    """The chunk that makes libpng convert colours on the way to gray, if any, and whether there is an animation."""

    converts: str
    animated: bool


def still(data: bytes) -> bytes:
    """The PNG without its animation and without text: only the chunks that the still picture needs."""
    kept, at = [SIGNATURE], len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if data[at + 4 : at + 8] in _KEPT:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def header(file: BinaryIO) -> Header:
    """By its chunks, of which EXIF may stand behind the pixels."""
    start = file.read(33)
    if len(start) < 33 or start[12:16] != b"IHDR":
        raise Damaged
    width, height, bits, color = struct.unpack_from(">IIBB", start, 16)
    if color not in _SAMPLES or bits not in (1, 2, 4, 8, 16):
        raise Damaged
    converts, animated, orientation = "", False, 0
    for name, length in _chunks(file, 33):
        if name == b"eXIf":
            orientation = exif_orientation(file.read(length))
        elif name == b"acTL":
            animated = True
        elif name == b"sRGB" and color in _HAS_COLOR:
            converts = "sRGB"
        elif name == b"gAMA" and color in _HAS_COLOR and int.from_bytes(file.read(4), "big") not in _LINEAR:
            converts = converts or "gAMA"
    orientation = orientation or _orientation_behind(file)
    kind = DEEP if bits == 16 else ORDINARY
    return Header(width, height, kind, orientation, bits, _SAMPLES[color], _Chunks(converts, animated))


def _chunks(file: BinaryIO, at: int) -> Iterator[tuple[bytes, int]]:
    """Name and length of each chunk before the pixels; the file then stands at its content."""
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], length
        at += 12 + length


def _orientation_behind(file: BinaryIO) -> int:
    """Of EXIF behind the pixels. That is looked for from the end: a large picture has thousands of chunks."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAIL))
    tail = file.read()
    at = tail.rfind(b"eXIf")
    if at < 4:
        return 1
    (length,) = struct.unpack_from(">I", tail, at - 4)
    chunk = tail[at : at + 4 + length]
    # By chance the pixels may hold such bytes too, but not with the right checksum behind them.
    intact = tail[at + 4 + length : at + 8 + length] == struct.pack(">I", zlib.crc32(chunk))
    return exif_orientation(chunk[4:]) if intact else 1


def _decode(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    found = with_opencv.decode(_safe(data, header), header, wanted)
    if found is None:
        return None
    return Decoded(found.image, _facts(header, wanted))


def _safe(data: bytes, header: Header) -> bytes:
    return still(data) if header.own.animated else data


def _facts(header: Header, wanted: Wanted) -> Facts:
    if not header.own.converts or wanted.color:
        return Facts()
    return Facts((_CONVERTED.format(chunk=header.own.converts),))


def _decode_deep(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    if wanted.depth == HIGH_BYTE:
        found = _decode(data, header, wanted)
        if found is None:
            return None
        return Decoded(
            found.image, found.facts.joined(facts_of_high_byte(found.image, 16, lambda: _samples(data, header)))
        )
    samples = _samples(data, header)
    if samples is None:
        return None
    image, facts = as_bytes(samples, 16, wanted.depth)
    return Decoded(with_opencv.as_wanted(image, wanted, header.orientation), facts)


def _samples(data: bytes, header: Header) -> Samples | None:
    """As stored, without alpha."""
    samples = with_opencv.decode_unchanged(_safe(data, header))
    return samples[:, :, :3] if samples is not None and samples.ndim == 3 else samples


def is_cut(data: bytes) -> bool:
    return b"IEND" not in data


ORDINARY = Kind("1 to 8 bits", "OpenCV", "as `cv2.imdecode`", _decode)
DEEP = Kind("16 bits", "OpenCV", "as `cv2.imdecode`: the high byte; other `depth` by its formula", _decode_deep)
TYPE = FileType("PNG", header, is_cut, (ORDINARY, DEEP))
