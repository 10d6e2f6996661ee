"""Gaussian blur on the CPU: of the whole image, and of strips to the same pixels."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.gaussian.kernel import kernel_size
from imgproc.operations.rows import Rows, blocks
from imgproc.parameters import Parameters

# Elements (pixels times channels) blurred at a time, which are then still in the processor's cache when they are
# needed again.
_BLOCK = 1 << 20
# A blur repeats its border rows in every block; this many times the border keeps that below a tenth.
_BORDERS = 20


def gaussian(image: Image, p: Parameters) -> Image:
    """Blurred image of the same shape, each channel by itself."""
    kernel = kernel_size(p)
    return np.asarray(cv2.GaussianBlur(image, (kernel, kernel), float(p["sigma"])), np.uint8)


def border(p: Parameters) -> int:
    """Rows that a blurred strip reads on either side."""
    return kernel_size(p) // 2


def blur(source: Image, out: Image, rows: Rows, p: Parameters, given: None) -> None:
    """Blur of the strip. Rows borrowed from beside it are blurred with it and dropped; where the image itself ends,
    the strip ends too and OpenCV mirrors as it does in the whole."""
    height, row_size = source.shape[0], source[0].size
    for block in blocks(rows, row_size, max(_BLOCK, _BORDERS * border(p) * row_size)):
        window = block.around(border(p), height)
        first = block.start - window.start
        block.of(out, rows.start)[:] = gaussian(window.of(source), p)[first : first + block.stop - block.start]
