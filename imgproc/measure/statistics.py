"""Medians, intervals and paired ratios: pure functions of samples."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import scipy  # loads its parts when they are called; small jobs would wait for them

from imgproc.measure.results import Verdict

#: Fewer samples than this allow no distribution-free 95 % interval of a median.
LEAST_FOR_INTERVAL = 6
#: Fewer starts than this allow no interval over starts: Student's t of three samples is wide, and leans on few.
LEAST_STARTS = 4
#: The level of Student's t, so that the 95 % said of the interval holds with room to spare. At 95 % itself, equal
#: techniques were told apart in 5.0 % of 20,000 simulated comparisons of a fixed length and in up to 6.0 % of those
#: stopped early; at 97 % in 3.2 % and 3.6 %. It widens the interval by 17 % at 6 rounds and 12 % at 30.
T_LEVEL = 0.97
#: The numbers of rounds after which ``enough`` looks. Looking after every round stops on lucky streaks: with noise
#: of 10 % the interval of the median then covered in 93.2 % of 40,000 simulated runs. These few are counts at which
#: it covers most (all but 6 and 30 at least 97.7 %); stopped at them it covered in 95.4 % or more at any noise.
LOOKS = (6, 11, 14, 19, 24, 30)
#: A median is precise when half the width of its interval is below this share of it.
PRECISE = 0.05


#: A difference up to this share does not matter, unless told otherwise.
SMALLEST = 0.01


@dataclass(frozen=True)
class Rules:
    """How the speedups of a run, their intervals and verdicts come about.

    ``simultaneous``: the intervals of a run hold for all its comparisons at once; else each by itself. ``smallest``: a
    difference up to this share does not matter. ``of_medians``: the speedup is the ratio of the medians; else the
    geometric mean of the paired ratios.
    """

    simultaneous: bool = True
    smallest: float = SMALLEST
    of_medians: bool = False


#: Those of the first versions, whose records say nothing of them.
FIRST_RULES = Rules(simultaneous=False, smallest=0.0, of_medians=True)


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Order-statistic interval of the median that covers it in at least 95 % of cases, whatever the distribution.

    The k-th smallest and k-th largest sample, k as large as the binomial distribution allows:
    P(at most k - 1 of n samples lie below the median) <= 2.5 %. (Hahn and Meeker, Statistical Intervals, 5.2.)

    It is an interval of the median time under the conditions of the rounds, disturbances included. The time
    without any disturbance is a little less: with 15 % of rounds slowed by up to a third it is covered in 96 % of
    cases at 6 rounds, but in 89 % at 30. With a drift it is the median over the rounds that were run; what the
    machine drifts to later no interval knows.

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


def pairs(techniques: int) -> int:
    """How many comparisons a run of so many techniques is: each with each, because which of them is the fastest, and
    so compared with all others, shows only afterwards. At least 1."""
    return max(1, math.comb(techniques, 2))


def paired_speedup(
    baseline: Sequence[float],
    technique: Sequence[float],
    comparisons: int = 1,
    *,
    of_medians: bool = False,
    starts: Sequence[int] = (),
) -> tuple[float, tuple[float, float] | None]:
    """Speedup T1/Tp and its 95 % interval from rounds that were run in pairs.

    Where the workers were started anew, rounds of one start are alike in what that start made of them (where memory
    lies, which cores), so that they are no independent samples: then each start is one, the mean of its rounds'
    logarithms (Kalibera and Jones, Rigorous benchmarking in reasonable time, 2013).

    Of several comparisons each has a share of what may go wrong (Bonferroni), so that all their intervals hold at once
    in 95 % of runs. Without that, ten equal techniques had at least one verdict in 28 % of runs.

    The speedup is the geometric mean of the paired ratios, which is the ratio of the geometric means of the times: so
    it sums up costs, turns round with the pair, and agrees among three techniques. Its interval is Student's t, at
    ``T_LEVEL``, on the logarithms of the ratios: what slows one round slows both its passes and cancels.

    It is an interval of the typical ratio of a round's two passes. That is the ratio of the undisturbed times and
    of the medians alike as long as disturbances hit both techniques equally often; one that only ever hits the
    one technique counts as part of it.

    Args:
        comparisons: how many are made in the run, this one included; see ``pairs``.
        of_medians: the speedup is the ratio of the medians instead, to which the same interval is widened where it
            would leave it out, as earlier versions had it.
        starts: of each round, which start of the workers it was in; one for all if not given.

    Returns:
        (speedup, interval or None below ``LEAST_FOR_INTERVAL`` rounds, or ``LEAST_STARTS`` of several starts).

    Raises:
        ValueError: the two have not the same number of rounds, or none.
    """
    rounds = [math.log(b / t) for b, t in zip(baseline, technique, strict=True)]
    several = len({*starts}) > 1
    logs = start_means(rounds, starts) if several else rounds
    n, middle = len(logs), statistics.fmean(logs)
    speedup = statistics.median(baseline) / statistics.median(technique) if of_medians else math.exp(middle)
    if n < (LEAST_STARTS if several else LEAST_FOR_INTERVAL):
        return speedup, None
    level = 1 - (1 - T_LEVEL) / comparisons
    half = float(scipy.special.stdtrit(n - 1, 0.5 + level / 2)) * statistics.stdev(logs) / math.sqrt(n)
    return speedup, (min(speedup, math.exp(middle - half)), max(speedup, math.exp(middle + half)))


def rounds_for(logs: Sequence[float], comparisons: int = 1, within: float = PRECISE, most: int = 1000) -> int | None:
    """How many rounds a new run needs for intervals of ``paired_speedup`` of half a width up to ``within``, by what
    these logarithms of ratios scatter.

    A few of them may scatter less than they usually do, by chance. So the standard deviation is taken at the upper end
    of its one-sided 80 % interval (Browne, On the use of a pilot sample for sample size determination, 1995): in about
    four runs of five as many rounds are enough.

    Returns:
        ``LEAST_FOR_INTERVAL`` or more, at most ``most``; None where fewer than three say nothing of their scatter.
    """
    m = len(logs)
    if m < 3:
        return None
    scatter = statistics.stdev(logs) * math.sqrt((m - 1) / float(scipy.special.chdtri(m - 1, 0.8)))
    level = 1 - (1 - T_LEVEL) / comparisons

    def narrow(n: int) -> bool:
        return float(scipy.special.stdtrit(n - 1, 0.5 + level / 2)) * scatter / math.sqrt(n) <= math.log1p(within)

    counts = range(LEAST_FOR_INTERVAL, most + 1)
    return counts[min(bisect_left(counts, True, key=narrow), len(counts) - 1)]


def start_means(values: Sequence[float], starts: Sequence[int]) -> list[float]:
    """The mean of each start's values, in the order of the starts; all are one start if ``starts`` is empty.

    Raises:
        ValueError: ``starts`` is another number than ``values``.
    """
    of: dict[int, list[float]] = {}
    for value, start in zip(values, starts or [1] * len(values), strict=True):
        of.setdefault(start, []).append(value)
    return [statistics.fmean(of[start]) for start in sorted(of)]


def between_starts(values: Sequence[float], starts: Sequence[int]) -> float | None:
    """Of the variance of one value the share that is between starts, by the analysis of variance of one random factor;
    0 where that estimates less. None with one start, or none with several values, or where nothing varies."""
    counts = [starts.count(start) for start in sorted({*starts})]
    n, groups = len(values), len(counts)
    if groups < 2 or n == groups:
        return None
    means, whole = start_means(values, starts), statistics.fmean(values)
    between = sum(count * (mean - whole) ** 2 for count, mean in zip(counts, means, strict=True)) / (groups - 1)
    of = dict(zip(sorted({*starts}), means, strict=True))
    within = sum((value - of[start]) ** 2 for value, start in zip(values, starts, strict=True)) / (n - groups)
    each = (n - sum(count**2 for count in counts) / n) / (groups - 1)  # rounds of a start, where all have as many
    beyond = max(0.0, (between - within) / each)
    return beyond / (beyond + within) if beyond + within > 0 else None


def ratio_interval(
    baseline: Sequence[float], technique: Sequence[float], starts: Sequence[int] = ()
) -> tuple[float, float] | None:
    """The order-statistic 95 % interval of the median of the paired ratios, which assumes nothing of how they scatter.

    It is for checking ``paired_speedup``, whose t assumes that their logarithms scatter about evenly to both sides: one
    comparison by itself, for so few rounds allow no interval that holds for many at once. Of several starts it is that
    of the starts' means.
    """
    logs = [math.log(b / t) for b, t in zip(baseline, technique, strict=True)]
    interval = median_interval(start_means(logs, starts) if len({*starts}) > 1 else logs)
    return interval and (math.exp(interval[0]), math.exp(interval[1]))


def verdict(interval: Sequence[float] | None, smallest: float = 0.0) -> Verdict | None:
    """What an interval of a speedup says; None without an interval.

    ``faster`` and ``slower`` are by more than ``smallest``, all of the interval being beyond it; where all of it is
    within, the difference, if there is one, does not matter. What is left is not measured well enough to say either.

    Args:
        smallest: the largest share that does not matter: 0.01 for speedups from 1/1.01 to 1.01.
    """
    if interval is None:
        return None
    low, high = interval
    if low > 1 + smallest:
        return "faster"
    if high < 1 / (1 + smallest):
        return "slower"
    matters = smallest == 0 or low < 1 / (1 + smallest) or high > 1 + smallest
    return "no measurable difference" if matters else "no difference that matters"


def precise(samples: Sequence[float], within: float = PRECISE) -> bool:
    """Whether half the width of the median's interval is below ``within`` of the median; never without an interval."""
    interval = median_interval(samples)
    return interval is not None and (interval[1] - interval[0]) / 2 < within * statistics.median(samples)


def forecast(rounds: Mapping[str, Sequence[float]], looks: Sequence[int]) -> int:
    """After how many rounds ``enough`` may be expected to stop, if the times go on to scatter as they do: the first of
    the ``looks`` ahead at which each technique's interval, by the quantiles of the times so far, is precise; the last
    where none is. Fewer than three times of a technique say nothing of how it scatters."""
    done = max(map(len, rounds.values()), default=0)
    ahead = [look for look in sorted(looks) if look >= done] or [done]
    if any(len(times) < 3 for times in rounds.values()):
        return ahead[0]
    return next((look for look in ahead if all(_will_be_precise(times, look) for times in rounds.values())), ahead[-1])


def _will_be_precise(samples: Sequence[float], count: int) -> bool:
    """Whether the median's interval of so many samples is precise, if they are distributed as these."""
    if count <= len(samples):
        return precise(samples)
    ordered, n = sorted(samples), len(samples)
    drawn = [ordered[min(n - 1, int((k + 0.5) / count * n))] for k in range(count)]
    return precise(drawn)


def enough(rounds: Mapping[str, Sequence[float]], looks: Collection[int] = LOOKS) -> bool:
    """Whether measuring may stop now: it is one of the ``looks`` and every technique's median is precise.

    Args:
        rounds: the wall times so far of every technique, all of the same number of rounds. None is enough.
        looks: the numbers of rounds to look after, chosen before measuring.

    Raises:
        ValueError: the techniques have not the same number of rounds.
    """
    counts = {len(times) for times in rounds.values()}
    if len(counts) > 1:
        raise ValueError("every technique must have the same number of rounds")
    return all(n in looks for n in counts) and all(precise(times) for times in rounds.values())
