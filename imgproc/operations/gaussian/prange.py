"""Gaussian blur by Numba, its rows shared among the threads that Numba has; to OpenCV's pixels.

Importing this loads Numba; the first time on a machine it is compiled, and the machine code is kept.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def"
from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

from imgproc.operations.contract import Image
from imgproc.operations.gaussian.kernel import gaussian_taps, kernel_size
from imgproc.parameters import Parameters


@njit(cache=True)
def _mirrored(at, size):  # pragma: no cover  compiled
    """Where a row or column beyond the border is read: as in a mirror on the outermost one."""
    while size > 1 and (at < 0 or at >= size):
        at = -at if at < 0 else 2 * (size - 1) - at
    return at if size > 1 else 0


@njit(cache=True)
def _blur_across(image, taps, channels, first_row, last_row, across):  # pragma: no cover  compiled
    """Sums in 256ths, which fit into 16 bits."""
    size = image.shape[1]
    width, reach = size // channels, len(taps) // 2
    line = np.empty(size + 2 * reach * channels, np.uint8)
    for y in range(first_row, last_row):
        line[reach * channels : reach * channels + size] = image[y]
        for x in range(reach):
            left, right = _mirrored(x - reach, width), _mirrored(width + x, width)
            for c in range(channels):
                line[x * channels + c] = image[y, left * channels + c]
                line[(reach + width + x) * channels + c] = image[y, right * channels + c]
        sums = across[y]
        sums[:] = 0
        for tap in range(len(taps)):
            weight, first = taps[tap], tap * channels
            for x in range(size):
                sums[x] += np.uint16(weight * np.uint16(line[first + x]))


@njit(cache=True)
def _blur_down(across, taps, first_row, last_row, out):  # pragma: no cover  compiled
    """Sums of those in 65,536ths, rounded."""
    (height, size), reach = across.shape, len(taps) // 2
    total = np.empty(size, np.uint32)
    for y in range(first_row, last_row):
        total[:] = 32768
        for tap in range(len(taps)):
            weight, row = np.uint32(taps[tap]), across[_mirrored(y + tap - reach, height)]
            for x in range(size):
                total[x] += np.uint32(weight * np.uint32(row[x]))
        for x in range(size):
            out[y, x] = np.uint8(total[x] >> np.uint32(16))


@njit("uint8[:, ::1](uint8[:, ::1], uint16[::1], int64, int64)", parallel=True, cache=True)
def _blur(image, taps, channels, strips):  # pragma: no cover  compiled
    """Of an image of shape (height, width times channels)."""
    height = len(image)
    across, out = np.empty(image.shape, np.uint16), np.empty(image.shape, np.uint8)
    for strip in prange(strips):
        _blur_across(image, taps, channels, height * strip // strips, height * (strip + 1) // strips, across)
    for strip in prange(strips):
        _blur_down(across, taps, height * strip // strips, height * (strip + 1) // strips, out)
    return out


def gaussian(image: Image, p: Parameters) -> Image:
    """As ``cpu.gaussian``."""
    taps = gaussian_taps(kernel_size(p), float(p["sigma"])).astype(np.uint16)
    flat = np.ascontiguousarray(image).reshape(len(image), -1)
    out: Image = _blur(flat, taps, image[0, 0].size, get_num_threads())
    return out.reshape(image.shape)
