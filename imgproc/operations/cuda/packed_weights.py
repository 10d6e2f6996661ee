"""The weights of a filter's taps, as kernels that sum four bytes or two rows at a time take them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Taps = npt.NDArray[np.int64]
Weights = npt.NDArray[np.uint32]


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
