"""How many of each gray there are."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Histogram = npt.NDArray[np.int64]
Values = npt.NDArray[np.uint8]

# Values that are counted at a time where they are so many, in pairs: as many pairs again stay below 2^24, above which
# calcHist's float32 would be rounded.
_PAIRS = 1 << 23
_MANY = 1 << 21


def gains_by_pairs(values: Values) -> bool:
    """Whether they are so many that it takes less time to go through them in pairs of neighbours."""
    return values.size >= _MANY


def count(values: Values) -> Histogram:
    """How many of the values are 0, 1, … 255, in an array of shape (256,); exact however many there are."""
    flat = values.reshape(-1)
    if not gains_by_pairs(flat):
        return count_channel(flat)
    counts = np.zeros(256, np.int64)
    whole = flat.size // 2 * 2
    for start in range(0, whole, 2 * _PAIRS):
        counts += _count_pairs(flat[start : min(whole, start + 2 * _PAIRS)])
    counts[flat[whole:]] += 1
    return counts


def count_channel(pixels: Values) -> Histogram:
    """The same of the first channel of fewer than 2^24 pixels."""
    return cv2.calcHist([pixels], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def _count_pairs(values: Values) -> Histogram:
    """The histogram of an even number of values, by that of neighbours: to count the same bin twice in a row is slow,
    and neighbours are alike. It takes half the time for photographs, and the same for noise."""
    pairs = cv2.calcHist([values.view(np.uint16)[None]], [0], None, [1 << 16], [0, 1 << 16]).reshape(256, 256)
    counts: Histogram = pairs.sum(axis=0, dtype=np.int64) + pairs.sum(axis=1, dtype=np.int64)
    return counts
