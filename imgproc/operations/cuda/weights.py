"""The numbers the kernels work with, computed on the host: weights of blur and Sobel, and Canny's thresholds."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Taps = npt.NDArray[np.int64]
Weights = npt.NDArray[np.uint32]

WHOLE = 256  #: what the taps of a blur add up to
# Beyond this OpenCV squares no threshold, so that it stays within 32 bits.
_LONGEST = 32767.0


def gaussian_taps(kernel: int, sigma: float) -> Taps:
    """OpenCV's Gaussian in 256ths, of shape (kernel,).

    Each is rounded with the error of those before it, from the ends to the middle, which gets what is left.
    """
    exact = cv2.getGaussianKernel(kernel, sigma, cv2.CV_64F).ravel()
    half, error = [], 0.0
    for value in exact[: kernel // 2]:
        wanted = WHOLE * float(value) + error
        half.append(round(wanted))
        error = wanted - half[-1]
    return np.array([*half, WHOLE - 2 * sum(half), *reversed(half)], np.int64)


def sobel_taps(aperture: int) -> tuple[Taps, Taps]:
    """Those that smooth, and those that differentiate, each of shape (aperture,)."""
    slope, smooth = cv2.getDerivKernels(1, 0, aperture)
    return smooth.ravel().astype(np.int64), slope.ravel().astype(np.int64)


def across(taps: Taps, channels: int) -> Weights:
    """Weights along a row, of shape (words, 4): for the bytes of one word of the row after the other, from before to
    behind the word that is summed for, a word of weights for each of its own four bytes."""
    reach = len(taps) // 2 * channels
    words = 2 * -(-reach // 4) + 1
    word, to, of = np.ogrid[:words, :4, :4]
    return _packed(_taps_at(taps, 4 * (word - words // 2) + of - to, channels))


def down(taps: Taps) -> Weights:
    """Weights down a column, of shape (pairs,): for one pair of rows after the other, from above to below the pair
    that is summed for, two bytes for its upper row and two for its lower."""
    pairs = 2 * -(-(len(taps) // 2) // 2) + 1
    pair, to, of = np.ogrid[:pairs, :2, :2]
    return _packed(_taps_at(taps, 2 * (pair - pairs // 2) + of - to, 1).reshape(pairs, 4))


def _taps_at(taps: Taps, offsets: Taps, channels: int) -> Taps:
    """The tap for a byte so far from the one that is summed for; 0 where it is of another channel or out of reach."""
    middle = len(taps) // 2
    index = offsets // channels + middle
    within = (offsets % channels == 0) & (index >= 0) & (index < len(taps))
    return np.where(within, taps[index.clip(0, len(taps) - 1)], 0)


def _packed(values: Taps) -> Weights:
    """Each last four values as the bytes of a word, the first in its lowest."""
    if values.min() < -128 or values.max() > 255:
        raise ValueError("a weight does not fit into a byte")
    return np.ascontiguousarray((values & 255).astype(np.uint8)).view("<u4")[..., 0].astype(np.uint32)


def thresholds(low: float, high: float, aperture: int, l2: bool) -> tuple[int, int]:
    """Whole numbers that a gradient's length (with L2 its square) must be above, as in cv2.Canny."""
    unit = 16 if aperture == 7 else 1
    low, high = sorted((low / unit, high / unit))
    if l2:
        low, high = (min(_LONGEST, value) ** 2 for value in (low, high))
    return math.floor(low), math.floor(high)
