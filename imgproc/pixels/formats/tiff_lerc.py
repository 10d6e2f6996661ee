"""LERC in TIFF with its masks, which tifffile does not ask for.

A segment of LERC may say by a mask which of its samples are there. As libtiff writes them, a mask of floating-point
samples stands for NaN, one for all samples of a pixel or one for each; and where the alpha of 8-bit pixels is only 0
and 255, the mask is that alpha, and the samples have one channel less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imgproc.pixels.formats.contract import refused
from imgproc.pixels.formats.depth import Samples
from imgproc.pixels.formats.with_imagecodecs import codec

LERC = 34887

_MASKED = (
    "This TIFF is compressed by LERC with masks of whole-number samples, which nothing here reads. Save it as TIFF or "
    "PNG with 8 or 16 bits, in gray or RGB."
)


def decode_with_masks(page: Any) -> None:
    """Have a page of tifffile, compressed by LERC, decode its strips or tiles here.

    Raises:
        UserError: the decoder is not installed.
    """
    place, lerc = page.decode, codec("lerc_decode")

    def decode(data: bytes | None, index: int, **how: Any) -> tuple[Samples | None, Any, Any]:
        """The samples of a segment, (1, rows, columns, samples); where they belong, and their shape.

        Raises:
            UserError: they have a mask that stands for no value.
            ValueError: they are others than the page says.
        """
        nothing, at, (depth, rows, columns, count) = place(None, index, **how)
        if data is None:
            return nothing, at, (depth, rows, columns, count)
        rows, columns = min(rows, page.imagelength - at[2]), min(columns, page.imagewidth - at[3])
        pixels = _decoded(lerc, data, count)[:rows, :columns]
        if pixels.shape != (rows, columns, count) or pixels.dtype != page.dtype:
            raise ValueError
        return pixels[None], at, (1, rows, columns, count)

    page.decode = decode


def _decoded(lerc: Callable[..., Any], data: bytes, count: int) -> Samples:
    """The samples of a segment of pixels with so many samples, (rows, columns, count): NaN where they are not there."""
    samples: Samples
    samples, masks = lerc(data, masks=True)
    if samples.ndim == 3 and samples.shape[2] not in (count, count - 1):  # one picture after the other
        samples = np.moveaxis(samples, 0, 2)
    if masks is not None:
        masks = np.moveaxis(masks, 0, 2) if masks.ndim == 3 else masks[:, :, None]
    pixels = samples if samples.ndim == 3 else samples[:, :, None]
    if pixels.dtype == np.uint8 and pixels.shape[2] == count - 1:
        alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8) * (1 if masks is None else masks)
        return np.dstack([pixels, alpha])
    if masks is None or masks.all():
        return pixels
    if pixels.dtype.kind != "f":
        raise refused(_MASKED)
    return np.where(masks, pixels, pixels.dtype.type(np.nan))
