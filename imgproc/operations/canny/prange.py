"""Canny edges by Numba, their rows shared among the threads that Numba has; to OpenCV's pixels.

What hangs together is followed by one thread, since it leads through the whole picture.

Importing this loads Numba; the first time on a machine it is compiled, and the machine code is kept.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def"
from __future__ import annotations

import cv2
import numpy as np
from numba import get_num_threads, njit, prange

from imgproc.operations.canny.thresholds import UNIT, limits, thresholds
from imgproc.operations.contract import Image
from imgproc.parameters import Parameters

_WEAK, _EDGE = 1, 255
#: Gradients are held for so many pixels at a time, and at least so many rows: they take eight times what pixels do.
_BLOCK, _LEAST_ROWS = 1 << 18, 32


@njit(cache=True)
def _inside(at, size):  # pragma: no cover  compiled
    return min(max(at, 0), size - 1)


@njit(cache=True)
def _sixteenth(slope):  # pragma: no cover  compiled
    """Rounded to the nearest, of two the even one, as OpenCV does at aperture 7."""
    return (slope + 7 + ((slope >> 4) & 1)) >> 4


@njit(cache=True)
def _length(dx, dy, squared):  # pragma: no cover  compiled
    return dx * dx + dy * dy if squared else abs(dx) + abs(dy)


@njit(cache=True)
def _gradients(image, smooth, slope, sixteenths, squared, top, bottom, gradients, lengths):  # pragma: no cover
    """Of each pixel of these rows and the two beside them the gradient of its strongest channel, and how long that is:
    nothing beyond the image."""
    height, width, channels = image.shape
    reach = len(smooth) // 2
    size, border = width * channels, reach * channels
    level, change = np.empty(size + 2 * border, np.int32), np.empty(size + 2 * border, np.int32)
    across, down = np.empty(size, np.int32), np.empty(size, np.int32)
    if top == 0:
        lengths[0] = 0
    if bottom == height:
        lengths[bottom - top + 1] = 0
    for y in range(max(top - 1, 0), min(bottom + 1, height)):
        level[:], change[:], across[:], down[:] = 0, 0, 0, 0
        for tap in range(2 * reach + 1):
            row, weight, other = image[_inside(y + tap - reach, height)].reshape(size), smooth[tap], slope[tap]
            for x in range(size):
                level[border + x] += weight * np.int32(row[x])
                change[border + x] += other * np.int32(row[x])
        for x in range(border):
            level[x], change[x] = level[border + x % channels], change[border + x % channels]
            last = border + size - channels + x % channels
            level[border + size + x], change[border + size + x] = level[last], change[last]
        for tap in range(2 * reach + 1):
            weight, other, first = slope[tap], smooth[tap], tap * channels
            for x in range(size):
                across[x] += weight * level[first + x]
                down[x] += other * change[first + x]
        for x in range(width):
            longest = np.int32(-1)
            for at in range(x * channels, (x + 1) * channels):
                dx, dy = across[at], down[at]
                if sixteenths:
                    dx, dy = _sixteenth(dx), _sixteenth(dy)
                length = np.int32(_length(dx, dy, squared))
                if length > longest:
                    longest = length
                    gradients[y - top + 1, x, 0], gradients[y - top + 1, x, 1] = dx, dy
            lengths[y - top + 1, x + 1] = longest


@njit(cache=True)
def _thin(gradients, lengths, low, high, top, bottom, found):  # pragma: no cover  compiled
    """Mark what is longer than its neighbours along the gradient: edges, and what is one if it hangs on one."""
    width = gradients.shape[1]
    for row in range(1, bottom - top + 1):
        for x in range(width):
            longest = lengths[row, x + 1]
            if longest <= low:
                continue
            dx, dy = np.int64(gradients[row, x, 0]), np.int64(gradients[row, x, 1])
            flat, steep = abs(dx) * 13573, abs(dy) << 15
            right, down = 1, 1
            if steep < flat:
                down = 0
            elif steep > flat + (abs(dx) << 16):
                right = 0
            elif (dx ^ dy) < 0:
                right = -1
            before, after = lengths[row - down, x + 1 - right], lengths[row + down, x + 1 + right]
            if longest > before and (longest > after or (longest == after and (right == 0 or down == 0))):
                found[top + row, x + 1] = _EDGE if longest > high else _WEAK


@njit(cache=True)
def _follow(found):  # pragma: no cover  compiled
    """Make edges of what hangs on one."""
    height, width = found.shape
    waiting = [(0, 0) for _ in range(0)]
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if found[y, x] == _EDGE:
                waiting.append((y, x))
                while waiting:
                    row, column = waiting.pop()
                    for near in range(row - 1, row + 2):
                        for beside in range(column - 1, column + 2):
                            if found[near, beside] == _WEAK:
                                found[near, beside] = _EDGE
                                waiting.append((near, beside))


@njit(cache=True)
def _draw(found, first_row, last_row, out):  # pragma: no cover  compiled
    for y in range(first_row, last_row):
        for x in range(out.shape[1]):
            out[y, x] = _EDGE if found[y + 1, x + 1] == _EDGE else 0


@njit(
    "uint8[:, ::1](uint8[:, :, ::1], int32[::1], int32[::1], boolean, boolean, int64, int64, int64)",
    parallel=True, cache=True,
)  # fmt: skip
def _edges(image, smooth, slope, sixteenths, squared, low, high, strips):  # pragma: no cover  compiled
    height, width = image.shape[:2]
    rows = max(_LEAST_ROWS, _BLOCK // width)
    found, out = np.zeros((height + 2, width + 2), np.uint8), np.empty((height, width), np.uint8)
    for strip in prange(strips):
        gradients, lengths = np.empty((rows + 2, width, 2), np.int16), np.zeros((rows + 2, width + 2), np.int32)
        last = height * (strip + 1) // strips
        for top in range(height * strip // strips, last, rows):
            bottom = min(top + rows, last)
            _gradients(image, smooth, slope, sixteenths, squared, top, bottom, gradients, lengths)
            _thin(gradients, lengths, low, high, top, bottom, found)
    _follow(found)
    for strip in prange(strips):
        _draw(found, height * strip // strips, height * (strip + 1) // strips, out)
    return out


def canny(image: Image, p: Parameters) -> Image:
    """As ``cpu.canny``."""
    aperture, l2 = int(p["aperture"]), bool(p["l2gradient"])
    low, high = limits(*thresholds(p), aperture, l2)
    slope, smooth = (taps.ravel().astype(np.int32) for taps in cv2.getDerivKernels(1, 0, aperture))
    height, width = image.shape[:2]
    whole = np.ascontiguousarray(image).reshape(height, width, -1)
    out: Image = _edges(whole, smooth, slope, UNIT[aperture] == 16, l2, low, high, get_num_threads())
    return out
