"""Bytes to array and back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from imgproc.errors import UserError
from imgproc.operations.contract import Image
from imgproc.pixels import formats, png
from imgproc.pixels.formats.contract import Wanted
from imgproc.pixels.formats.depth import HIGH_BYTE


def decode(data: bytes, *, color: bool = False, depth: str = HIGH_BYTE) -> Image:
    """The picture in an image file, see ``formats.decode``.

    Returns:
        uint8 of shape (height, width), or (height, width, 3) in BGR order with ``color``.

    Raises:
        UserError: the file is damaged, cut short, or of a type or kind that is not read.
    """
    return formats.decode(data, Wanted(color, depth)).image


def encode(image: Image, format: str, *, bilevel: bool = False, png_encoder: str = png.PNG_ENCODER) -> bytes:
    """The image as a file without any metadata.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3) in BGR order.
        format: a key of ``FORMATS``.
        bilevel: the image holds only 0 and 255; PNG then takes one bit per pixel.
        png_encoder: as ``png.encode`` takes it.

    Raises:
        UserError: the format cannot hold an image of this size.
    """
    if format == "png":
        return png.encode(image, bilevel=bilevel, encoder=png_encoder)
    how, side = FORMATS[format], max(image.shape[:2])
    if side > how.longest:
        raise UserError(
            f"A side of {side} pixels is too long for this output format; its limit is {how.longest}. Choose PNG.",
            field="format",
            limit=how.longest,
        )
    done, data = cv2.imencode(f".{how.extension}", image, [how.quality, _QUALITY])
    if not done:
        raise UserError("The result could not be encoded in this format. Choose PNG.", field="format")
    return data.tobytes()


def options_code(format: str, *, bilevel: bool = False) -> str:
    """What stands in a program of one's own as the options of ``cv2.imencode``, for the pixels that ``encode`` writes.

    OpenCV's PNG is fastest as it is; of only 0 and 255 it is told to write one bit per pixel.
    """
    if FORMATS[format].quality:
        return f"[cv2.IMWRITE_{format.upper()}_QUALITY, {_QUALITY}]"
    return "[cv2.IMWRITE_PNG_BILEVEL, 1]" if bilevel else "[]"


@dataclass(frozen=True)
class Format:
    """An output format: its file extension; and OpenCV's option for the quality and the longest side it can have,
    where OpenCV encodes it."""

    name: str
    label: str
    extension: str
    help: str
    quality: int = 0
    longest: int = 2**31 - 1


_QUALITY = 90
FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format("png", "PNG", "png", "Exact pixels; the fastest here."),
        Format("jpeg", "JPEG", "jpg", "Smaller, quality 90.", cv2.IMWRITE_JPEG_QUALITY, 65_500),
        Format("webp", "WebP", "webp", "Smallest, quality 90, slow to write.", cv2.IMWRITE_WEBP_QUALITY, 16_383),
    )
}
