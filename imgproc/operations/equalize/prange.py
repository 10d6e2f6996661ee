"""Histogram equalization by Numba, its rows shared among the threads that Numba has; to OpenCV's pixels.

Importing this loads Numba; the first time on a machine it is compiled, and the machine code is kept.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def"
from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

from imgproc.operations.contract import Image
from imgproc.operations.equalize.cpu import check_size, table
from imgproc.operations.rows import Rows
from imgproc.parameters import Parameters

#: What OpenCV adds before it cuts off 14 bits, to round.
_HALF = 1 << 13


@njit(cache=True)
def _luma(blue, green, red):  # pragma: no cover  compiled
    return (1868 * blue + 9617 * green + 4899 * red + _HALF) >> 14


@njit(cache=True)
def _clipped(value):  # pragma: no cover  compiled
    return min(max(value, 0), 255)


@njit(cache=True)
def _count(image, first_row, last_row, counts):  # pragma: no cover  compiled
    """How many of each gray, or luma, there are in these rows."""
    width, channels = image.shape[1:]
    for y in range(first_row, last_row):
        if channels == 1:
            for x in range(width):
                counts[image[y, x, 0]] += 1
        else:
            for x in range(width):
                counts[_luma(np.int32(image[y, x, 0]), np.int32(image[y, x, 1]), np.int32(image[y, x, 2]))] += 1


@njit("int64[:, ::1](uint8[:, :, ::1], int64)", parallel=True, cache=True)
def _histograms(image, strips):  # pragma: no cover  compiled
    height, counts = len(image), np.zeros((strips, 256), np.int64)
    for strip in prange(strips):
        _count(image, height * strip // strips, height * (strip + 1) // strips, counts[strip])
    return counts


@njit(cache=True)
def _map(image, levels, first_row, last_row, out):  # pragma: no cover  compiled
    """Each gray through the table; of a colour the luma, its chroma kept."""
    width, channels = image.shape[1:]
    for y in range(first_row, last_row):
        if channels == 1:
            for x in range(width):
                out[y, x, 0] = levels[image[y, x, 0]]
        else:
            for x in range(width):
                blue, green, red = np.int32(image[y, x, 0]), np.int32(image[y, x, 1]), np.int32(image[y, x, 2])
                before = _luma(blue, green, red)
                red_chroma = _clipped(((11682 * (red - before) + _HALF) >> 14) + 128) - 128
                blue_chroma = _clipped(((9241 * (blue - before) + _HALF) >> 14) + 128) - 128
                after = np.int32(levels[before])
                out[y, x, 0] = _clipped(after + ((29049 * blue_chroma + _HALF) >> 14))
                out[y, x, 1] = _clipped(after + ((-5636 * blue_chroma - 11698 * red_chroma + _HALF) >> 14))
                out[y, x, 2] = _clipped(after + ((22987 * red_chroma + _HALF) >> 14))


@njit("uint8[:, :, ::1](uint8[:, :, ::1], uint8[::1], int64)", parallel=True, cache=True)
def _mapped(image, levels, strips):  # pragma: no cover  compiled
    height, out = len(image), np.empty_like(image)
    for strip in prange(strips):
        _map(image, levels, height * strip // strips, height * (strip + 1) // strips, out)
    return out


def equalize(image: Image, p: Parameters) -> Image:
    """As ``cpu.equalize``.

    Raises:
        UserError: as there.
    """
    check_size(image)
    whole = np.ascontiguousarray(image).reshape(*image.shape[:2], -1)
    strips = get_num_threads()
    levels = table(image, [Rows(0, len(image))], list(_histograms(whole, strips)))
    out: Image = _mapped(whole, levels, strips)
    return out.reshape(image.shape)
