"""Gaussian blur on the CPU: of the whole image, and of strips to the same pixels."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.gaussian.kernel import kernel_size
from imgproc.operations.rows import Rows, blocks
from imgproc.parameters import Parameters

# Elements (pixels times channels) blurred at a time: few enough that what is read, blurred and copied is still in the
# processor's cache when it is needed again.
_BLOCK = 1 << 17
# A blur repeats its border rows in every block; this many times the border keeps that below a tenth.
_BORDERS = 20
# The largest kernel with which a whole image gains by blocks (it takes 0.5 to 0.8 of the time); larger ones lose.
_GAINS_BY_BLOCKS = 5


def gaussian(image: Image, p: Parameters) -> Image:
    """Blurred image of the same shape, each channel by itself."""
    # With threads of its own OpenCV is handed the whole, as a block is too little to share.
    if kernel_size(p) > _GAINS_BY_BLOCKS or image.size <= _BLOCK or cv2.getNumThreads() > 1:
        return _at_once(image, p)
    out = np.empty(image.shape, np.uint8)
    blur(image, out, Rows(0, len(image)), p, None)
    return out


def _at_once(image: Image, p: Parameters, out: Image | None = None) -> Image:
    kernel = kernel_size(p)
    return np.asarray(cv2.GaussianBlur(image, (kernel, kernel), float(p["sigma"]), dst=out), np.uint8)


def border(p: Parameters) -> int:
    """Rows that a blurred strip reads on either side."""
    return kernel_size(p) // 2


def blur(source: Image, out: Image, rows: Rows, p: Parameters, given: None) -> None:
    """Blur of the strip. Rows borrowed from beside it are blurred with it and dropped; where the image itself ends,
    the strip ends too and OpenCV mirrors as it does in the whole."""
    height, row_size = source.shape[0], source[0].size
    parts = list(blocks(rows, row_size, max(_BLOCK, _BORDERS * border(p) * row_size)))
    # One for all, as memory that is new in every block would not be in the cache.
    memory = np.empty((max(len(range(*part)) for part in parts) + 2 * border(p), *source.shape[1:]), np.uint8)
    for block in parts:
        window = block.around(border(p), height)
        blurred = _at_once(window.of(source), p, memory[: window.stop - window.start])
        block.of(out, rows.start)[:] = block.of(blurred, window.start)
