"""What it takes to hand data to a worker and get it back: a latency, and a time for each byte.

The model is Hockney's, t(n) = latency + n / bandwidth. (Hockney, The communication challenge for MPP: Intel Paragon
and Meiko CS-2, Parallel Computing 20, 1994.)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

import numpy as np
import scipy
from numpy.typing import NDArray

from imgproc.measure.statistics import median_interval

#: Different sizes below which no line is fitted: two always fit.
LEAST_FOR_FIT = 3
#: A line does not hold for a size if it is off by more than so much, and passes by the interval that was measured.
OFF = 0.15
#: Two lines are told instead of one where their squared errors are so much less in sum.
_BETTER = 0.25
#: Rounds are drawn again so often for an interval of 95 %.
_DRAWN = 400
_SEED = 17

Array = NDArray[np.float64]


@dataclass
class Size:
    """Data of so many ``bytes``, handed to a worker and back, in so many ``seconds`` in each round."""

    bytes: int
    seconds: list[float]

    @property
    def moved(self) -> int:
        """Bytes on both ways together."""
        return 2 * self.bytes

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def ci95(self) -> tuple[float, float] | None:
        return median_interval(self.seconds)


@dataclass
class Line:
    """``latency + moved / bandwidth`` for sizes from ``low`` to ``high`` bytes.

    ``latency``: seconds, with its 95 % interval. ``per_byte``: seconds for each byte moved there and back, 0 where the
    time does not grow with the size. ``largest_error``: of a size, as a share of its median.
    """

    low: int
    high: int
    latency: float
    latency_ci95: list[float]
    per_byte: float
    per_byte_ci95: list[float]
    largest_error: float

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second, None where the data do not exclude that bytes cost nothing."""
        return 1 / self.per_byte if self.per_byte_ci95[0] > 0 and self.per_byte > 0 else None

    @property
    def bandwidth_ci95(self) -> list[float] | None:
        if self.bandwidth is None:
            return None
        low, high = self.per_byte_ci95
        return [1 / high, 1 / low]

    @property
    def half(self) -> float | None:
        """Bytes, there and back, that take as long to move as the latency; Hockney's n_1/2."""
        return self.latency / self.per_byte if self.bandwidth else None

    def seconds(self, moved: float) -> float:
        return self.latency + self.per_byte * moved


@dataclass
class Fitted:
    """``line``: one for all sizes, or for all but the one of ``misses``. ``pieces``: two where one does not hold and
    two do better, else none. ``misses``: the sizes in bytes that the line, or the pieces, do not hold for."""

    line: Line
    pieces: list[Line] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        return self.pieces or [self.line]


def fit(sizes: Sequence[Size]) -> Fitted | None:
    """Latency and bandwidth from sizes in rising order, each measured in the same rounds; None below
    ``LEAST_FOR_FIT``.

    Times vary by factors, so relative errors count, and medians over the rounds, which what disturbs single rounds does
    not move. Neither part of the cost can be negative. For intervals whole rounds are drawn again (bootstrap), as what
    slows a round slows all its sizes.

    Raises:
        ValueError: sizes do not rise, or have not all the same number of rounds.
    """
    if any(one.bytes >= other.bytes for one, other in pairwise(sizes)):
        raise ValueError("sizes must rise")
    if len({len(size.seconds) for size in sizes}) > 1 or not all(s > 0 for size in sizes for s in size.seconds):
        raise ValueError("every size must have the same number of rounds, of positive times")
    if len(sizes) < LEAST_FOR_FIT or not sizes[0].seconds:
        return None
    line = _line(sizes)
    misses = _misses(sizes, [line])
    if not misses:
        return Fitted(line)
    # One odd size is no second regime, and must not bend the line of the others.
    if len(sizes) > LEAST_FOR_FIT:
        odd = min(range(len(sizes)), key=lambda at: _squares([*sizes[:at], *sizes[at + 1 :]]))
        others = replace(_line([*sizes[:odd], *sizes[odd + 1 :]]), low=line.low, high=line.high)
        if (left := _misses(sizes, [others])) == [sizes[odd].bytes]:
            return Fitted(others, misses=left)
    if cut := _cut(sizes):
        pieces = [_line(sizes[:cut]), _line(sizes[cut:])]
        if _squares(sizes[:cut]) + _squares(sizes[cut:]) < _BETTER * _squares(sizes):
            return Fitted(line, pieces, _misses(sizes, pieces))
    return Fitted(line, misses=misses)


def _line(sizes: Sequence[Size]) -> Line:
    moved = np.array([size.moved for size in sizes], float)
    rounds = np.array([size.seconds for size in sizes])
    latency, per_byte = _solved(moved, np.median(rounds, axis=1))
    chance = random.Random(_SEED)
    count = rounds.shape[1]
    drawn = np.array([
        _solved(moved, np.median(rounds[:, [chance.randrange(count) for _ in range(count)]], axis=1))
        for _ in range(_DRAWN)
    ])  # fmt: skip
    ends = np.quantile(drawn, (0.025, 0.975), axis=0)
    # The fit itself lies in its interval, also where draws lean to one side.
    intervals = [
        [min(low, at), max(high, at)] for low, high, at in zip(*ends.tolist(), (latency, per_byte), strict=True)
    ]
    errors = np.abs((latency + per_byte * moved) / np.median(rounds, axis=1) - 1)
    low, high = sizes[0].bytes, sizes[-1].bytes
    return Line(low, high, latency, intervals[0], per_byte, intervals[1], float(errors.max()))


def _solved(moved: Array, seconds: Array) -> tuple[float, float]:
    """Latency and seconds for a byte with the least squared relative errors, neither negative."""
    unit = float(moved.max()) or 1.0
    costs, _ = scipy.optimize.nnls(np.stack([1 / seconds, moved / unit / seconds], axis=1), np.ones_like(seconds))
    return float(costs[0]), float(costs[1]) / unit


def _squares(sizes: Sequence[Size]) -> float:
    """The sum of squared relative errors of the best line."""
    moved, seconds = np.array([s.moved for s in sizes], float), np.array([s.median for s in sizes])
    latency, per_byte = _solved(moved, seconds)
    return float(np.sum(((latency + per_byte * moved) / seconds - 1) ** 2))


def _cut(sizes: Sequence[Size]) -> int | None:
    """How many sizes the first of two lines is best given; None where there are too few for two."""
    places = range(LEAST_FOR_FIT, len(sizes) - LEAST_FOR_FIT + 1)
    return min(places, key=lambda at: _squares(sizes[:at]) + _squares(sizes[at:]), default=None)


def _misses(sizes: Sequence[Size], lines: Sequence[Line]) -> list[int]:
    """Sizes whose median a line is off by more than ``OFF``, and whose interval, where there is one, it passes by."""
    found = []
    for size in sizes:
        line = next(line for line in lines if line.low <= size.bytes <= line.high)
        said, ends = line.seconds(size.moved), size.ci95 or (size.median, size.median)
        if abs(said / size.median - 1) > OFF and not ends[0] <= said <= ends[1]:
            found.append(size.bytes)
    return found
