"""Medians, intervals and paired ratios: pure functions of samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit

from imgproc.measure.results import Verdict

#: Fewer samples than this allow no distribution-free 95 % interval of a median.
LEAST_FOR_INTERVAL = 6


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Order-statistic interval of the median that covers it in at least 95 % of cases, whatever the distribution.

    The k-th smallest and k-th largest sample, k as large as the binomial distribution allows:
    P(at most k - 1 of n samples lie below the median) <= 2.5 %. (Hahn and Meeker, Statistical Intervals, 5.2.)

    Returns:
        (low, high) in the samples' unit, or None below ``LEAST_FOR_INTERVAL`` samples.
    """
    n = len(samples)
    if n < LEAST_FOR_INTERVAL:
        return None
    below, k = 0.0, 0
    while below + math.comb(n, k) / 2**n <= 0.025:
        below += math.comb(n, k) / 2**n
        k += 1
    ordered = sorted(samples)
    return ordered[k - 1], ordered[n - k]


def paired_speedup(baseline: Sequence[float], technique: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Speedup T1/Tp and its 95 % interval from rounds that were run in pairs.

    The speedup is the ratio of the medians, as anybody divides them. The interval is Student's t on the
    logarithms of the paired ratios: what slows one round slows both its passes and cancels. It is widened
    where it would leave out the ratio of the medians, which can only raise its coverage.

    Returns:
        (speedup, interval or None below ``LEAST_FOR_INTERVAL`` rounds).

    Raises:
        ValueError: the two have not the same number of rounds, or none.
    """
    speedup = statistics.median(baseline) / statistics.median(technique)
    logs = [math.log(b / t) for b, t in zip(baseline, technique, strict=True)]
    n = len(logs)
    if n < LEAST_FOR_INTERVAL:
        return speedup, None
    middle = statistics.fmean(logs)
    half = float(stdtrit(n - 1, 0.975)) * statistics.stdev(logs) / math.sqrt(n)
    return speedup, (min(speedup, math.exp(middle - half)), max(speedup, math.exp(middle + half)))


def verdict(interval: tuple[float, float] | None) -> Verdict | None:
    """What an interval of a speedup says; None without an interval."""
    if interval is None:
        return None
    if interval[0] > 1:
        return "faster"
    return "slower" if interval[1] < 1 else "no measurable difference"


def karp_flatt(speedup: float, workers: int) -> float | None:
    """Experimentally determined serial fraction (1/S - 1/p) / (1 - 1/p). (Karp and Flatt, CACM 33(5), 1990.)"""
    if workers < 2:
        return None
    return (1 / speedup - 1 / workers) / (1 - 1 / workers)
