"""Bytes to array and back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from imgproc.errors import UserError
from imgproc.operations.contract import Image
from imgproc.pixels import png

# Enough to decode the still picture; dropping the rest removes the animation chunks that crash OpenCV's decoder.
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"cHRM", b"eXIf"}


def decode(data: bytes, *, color: bool = False) -> Image:
    """First picture in an image file, upright by its EXIF orientation, 8 bits a channel, alpha dropped.

    Returns:
        uint8 of shape (height, width), or (height, width, 3) in BGR order with ``color``.

    Raises:
        UserError: the file is damaged, cut short or of no type OpenCV reads.
    """
    if data.startswith(png.SIGNATURE) and b"acTL" in data:
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
    kept, at = [png.SIGNATURE], len(png.SIGNATURE)
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
    return png.encode(image, bilevel=bilevel)


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
