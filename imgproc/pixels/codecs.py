"""Bytes to array and back.

PNG is written by this module: rows filtered with "Up" and deflated by ISA-L, which on photographs takes a
quarter of the time of OpenCV's encoder at the same file size. Where ISA-L has no wheel, OpenCV encodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from imgproc.errors import UserError
from imgproc.operations.contract import Image

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine
    isal_zlib = None  # type: ignore[assignment]

#: What encodes PNG here: "isal" or "opencv". The record names it.
PNG_ENCODER = "isal" if isal_zlib else "opencv"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Enough to decode the still picture; dropping the rest removes the animation chunks that crash OpenCV's decoder.
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"cHRM", b"eXIf"}
_UP = 2  # the PNG filter "Up": each byte less the one above it


def decode(data: bytes, *, color: bool = False) -> Image:
    """First picture in an image file, upright by its EXIF orientation, 8 bits a channel, alpha dropped.

    Returns:
        uint8 of shape (height, width), or (height, width, 3) in BGR order with ``color``.

    Raises:
        UserError: the file is damaged, cut short or of no type OpenCV reads.
    """
    if data.startswith(_PNG_SIGNATURE) and b"acTL" in data:
        data = still_png(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        image = None
    if image is None:
        raise UserError("The file is damaged or not an image.", code="refused_image")
    return image  # type: ignore[return-value]


def still_png(data: bytes) -> bytes:
    """The PNG without its animation and without text: only the chunks that the still picture needs."""
    kept, at = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if data[at + 4 : at + 8] in _PNG_KEPT:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def encode(image: Image, format: str, *, bilevel: bool = False) -> bytes:
    """The image as a file without any metadata.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3) in BGR order.
        format: a key of ``FORMATS``.
        bilevel: the image holds only 0 and 255; PNG then takes one bit per pixel.

    Raises:
        UserError: the format cannot hold an image of this size.
    """
    return FORMATS[format].encode(image, bilevel)


def _png(image: Image, bilevel: bool) -> bytes:
    if isal_zlib is None:
        return _opencv(image, ".png", [cv2.IMWRITE_PNG_BILEVEL, 1] if bilevel else [])
    height, width = image.shape[:2]
    rows: Image
    if bilevel:
        rows, depth, kind = np.packbits(image, axis=1), 1, 0
    elif image.ndim == 2:
        rows, depth, kind = image, 8, 0
    else:
        rows, depth, kind = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8).reshape(height, -1), 8, 2
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = isal_zlib.compress(filtered, 1)
    return b"".join((_PNG_SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", body), *_chunk(b"IEND", b"")))


def _chunk(name: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    checksum = isal_zlib.crc32(body, isal_zlib.crc32(name))
    return struct.pack(">I", len(body)), name, body, struct.pack(">I", checksum)


def _jpeg(image: Image, bilevel: bool) -> bytes:
    return _opencv(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90])


def _webp(image: Image, bilevel: bool) -> bytes:
    return _opencv(image, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 90])


def _opencv(image: Image, extension: str, options: list[int]) -> bytes:
    height, width = image.shape[:2]
    longest = {".jpg": 65_500, ".webp": 16_383}.get(extension, 2**31 - 1)
    if max(height, width) > longest:
        raise UserError(
            f"A side of {max(height, width)} pixels is too long for this output format; its limit is {longest}. "
            "Choose PNG.",
            field="format",
            limit=longest,
        )
    done, data = cv2.imencode(extension, image, options)
    if not done:
        raise UserError("The result could not be encoded in this format. Choose PNG.", field="format")
    return data.tobytes()


@dataclass(frozen=True)
class Format:
    """An output format: its file extension and its encoder."""

    name: str
    label: str
    extension: str
    help: str
    encode: Callable[[Image, bool], bytes]


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format("png", "PNG", "png", "Exact pixels; the fastest here.", _png),
        Format("jpeg", "JPEG", "jpg", "Smaller, quality 90.", _jpeg),
        Format("webp", "WebP", "webp", "Smallest, quality 90, slow to write.", _webp),
    )
}


def parse_format(value: str) -> str:
    """The name of an output format.

    Raises:
        UserError: it is unknown.
    """
    name = {"jpg": "jpeg"}.get(value.strip().lower(), value.strip().lower())
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(f"There is no output format “{value}”. Choose from {known}.", field="format", limit=known)
    return name
