"""From how much work on a technique pays: its speedup by the amount of work, put together from measurements."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from imgproc.backends import BASELINE
from imgproc.measure.derive import USUAL, comparisons_of
from imgproc.measure.results import TechniqueMeasurement, Verdict
from imgproc.measure.statistics import Rules, paired_speedup, verdict

#: Over what a run may go, and how its amounts are made.
OVER = {
    "images": "so many of the images, evenly over their sizes",
    "megapixels": "the middle of every image, cut out before anything is timed and saved without loss as PNG",
    "task": "all of the work, of which workers were handed so many tasks at a time",
}
#: The efficiency for which it is asked how much work keeps it.
EFFICIENT = 0.8


@dataclass
class Amount:
    """One amount of work: a batch of ``size`` images, images of ``size`` megapixels each, or ``size`` tasks handed over
    at a time; so many ``images``, or items, and ``megapixels`` in all.

    ``seconds`` and ``baseline_seconds`` are medians of the rounds, the workers being ready. Speedups are over the
    baseline with the same work in the same rounds; ``with_startup``: the start-up, as it was measured once, being added
    to each round of both. ``efficiency_ci95`` follows from the speedup's. ``split``: how many images were cut into
    strips.
    """

    size: float
    images: int
    megapixels: float
    seconds: float
    ci95: list[float] | None = None
    baseline_seconds: float | None = None
    speedup: float | None = None
    speedup_ci95: list[float] | None = None
    verdict: Verdict | None = None
    efficiency: float | None = None
    efficiency_ci95: list[float] | None = None
    with_startup: float | None = None
    with_startup_ci95: list[float] | None = None
    with_startup_verdict: Verdict | None = None
    split: int = 0


@dataclass
class Threshold:
    """From which amount on something holds, read from the measured ones: ``reached`` is the least from which on it
    holds for all that were measured, ``missed`` the largest below for which it surely does not; between them it begins.
    None where there is none among the measured: nothing is extrapolated. Of tasks handed over at a time what counts are
    those up to the fastest: with more of them workers wait for each other in the end."""

    missed: float | None = None
    reached: float | None = None


@dataclass
class Isoefficiency:
    """What one number of ``workers`` reached with each of the ``amounts``, and from which on its efficiency is above
    that of ``Granularity``."""

    workers: int
    amounts: list[Amount] = field(default_factory=list)
    efficient: Threshold = field(default_factory=Threshold)


@dataclass
class Growth:
    """By how much the work has to grow from the fewest ``workers`` that reach an efficiency to the most that do, both
    in ``workers``: ``least`` and ``most`` times, from the amounts between which each begins to; ``most`` is None
    where nothing smaller was surely too little for the fewest."""

    workers: list[int]
    least: float
    most: float | None = None


@dataclass
class Granularity:
    """``granularity`` in run.json: everything follows from the measurements. ``made``: how the amounts were. ``pays``:
    from where on the technique with so many ``workers`` is faster than the baseline, its workers being ready;
    ``pays_with_startup``: these being made first, in ``startup_seconds``. ``efficient``: from where on its efficiency
    is above ``efficiency``. Where several numbers of workers were measured it is about the most of them, and
    ``isoefficiency`` has each, the fewest first; ``growth`` compares them, None where fewer than two reach it."""

    over: str
    technique: str
    workers: int
    made: str = ""
    startup_seconds: float | None = None
    efficiency: float = EFFICIENT
    amounts: list[Amount] = field(default_factory=list)
    pays: Threshold = field(default_factory=Threshold)
    pays_with_startup: Threshold = field(default_factory=Threshold)
    efficient: Threshold = field(default_factory=Threshold)
    #: What the work is of: images or items.
    unit: str = "image"
    isoefficiency: list[Isoefficiency] = field(default_factory=list)
    growth: Growth | None = None


def granularity(
    over: str,
    technique: str,
    techniques: Sequence[TechniqueMeasurement],
    points: Sequence[TechniqueMeasurement],
    *,
    images: int,
    megapixels: float,
    unit: str = "image",
    rules: Rules = USUAL,
) -> Granularity | None:
    """Put a run over more and more work together. What was not measured is in no amount.

    Args:
        technique: the name of the one that was measured against the baseline.
        techniques: both with the whole work, which was so many ``images`` and ``megapixels``: the largest of batches;
            of image sizes it is none, its files being of other kinds.
        points: both with other amounts; ``derive`` and ``derive_points`` have filled them all.
        unit: what these are, images or items.
        rules: how they did.

    Returns:
        None where the technique was never measured.
    """
    comparisons = comparisons_of(techniques, points) if rules.simultaneous else 1
    by_workers: dict[int, list[Amount]] = defaultdict(list)
    startups: dict[int, float | None] = {}
    for m in (*points, *techniques):
        if m.name != technique or m.median_seconds is None or (m.point is None and over == "megapixels"):
            continue
        all_of_it = m.point is None or m.images is None
        beside = techniques if all_of_it else [other for other in points if other.point == m.point]
        base = next((other for other in beside if other.name == BASELINE and other.rounds), None)
        work = (images, megapixels) if all_of_it else (m.images or 0, m.megapixels or 0.0)
        by_workers[m.threads].append(_amount(m, base, size_of(over, m, images), *work, comparisons, rules))
        startups[m.threads] = m.startup_seconds
    if not by_workers:
        return None
    workers = max(by_workers)
    each = [_isoefficiency(count, by_workers[count], over) for count in sorted(by_workers)]
    amounts = each[-1].amounts
    counted = _counted(amounts, over)
    return Granularity(
        over, technique, workers, OVER.get(over, ""), startups[workers], EFFICIENT, amounts,
        _threshold(counted, lambda a: _told(a.verdict)),
        _threshold(counted, lambda a: _told(a.with_startup_verdict)),
        each[-1].efficient, unit, each if len(each) > 1 else [], growth(each),
    )  # fmt: skip


def _isoefficiency(workers: int, amounts: list[Amount], over: str) -> Isoefficiency:
    amounts.sort(key=lambda amount: amount.size)
    threshold = _threshold(_counted(amounts, over), lambda a: _above(a.efficiency_ci95, EFFICIENT))
    return Isoefficiency(workers, amounts, threshold)


def _counted(amounts: list[Amount], over: str) -> list[Amount]:
    """Those of which something is to hold from one on for all."""
    return amounts if over != "task" else amounts[: 1 + amounts.index(fastest(amounts))]


def growth(found: Sequence[Isoefficiency]) -> Growth | None:
    """Args: found: the fewest workers first. What one worker needs says nothing of working together, so it is one of
    the two only where there are no others."""
    reached = [one for one in found if one.efficient.reached is not None]
    several = [one for one in reached if one.workers > 1]
    few = several if len(several) > 1 else reached
    if len(few) < 2:
        return None
    (first, last), (low, high) = (few[0], few[-1]), (few[0].efficient, few[-1].efficient)
    least = (high.missed or 0.0) / (low.reached or math.inf)
    most = (high.reached or 0.0) / low.missed if low.missed else None
    return Growth([first.workers, last.workers], least, most)


def size_of(over: str, m: TechniqueMeasurement, images: int) -> float:
    """Which amount a measurement is of, in a run over it, whose whole work was so many images."""
    if m.point is not None:
        return m.point
    return float(m.chunk_size or 1) if over == "task" else float(images)


def fastest(amounts: Sequence[Amount]) -> Amount:
    """The one with the highest speedup; the last where none has any."""
    return max(amounts, key=lambda amount: amount.speedup or 0.0) if any(a.speedup for a in amounts) else amounts[-1]


def _amount(
    m: TechniqueMeasurement,
    base: TechniqueMeasurement | None,
    size: float,
    images: int,
    megapixels: float,
    comparisons: int,
    rules: Rules,
) -> Amount:
    amount = Amount(
        size, images, megapixels, m.median_seconds or 0.0, m.ci95, base.median_seconds if base else None, m.speedup,
        m.speedup_ci95, m.verdict, m.efficiency, split=len(m.split),
    )  # fmt: skip
    if m.speedup_ci95:
        amount.efficiency_ci95 = [end / m.threads for end in m.speedup_ci95]
    if base is None or m.speedup is None or m.startup_seconds is None or len(base.rounds) != len(m.rounds):
        return amount
    ours, theirs = ([r.wall_seconds + (t.startup_seconds or 0.0) for r in t.rounds] for t in (m, base))
    amount.with_startup, interval = paired_speedup(theirs, ours, comparisons, starts=m.starts)
    amount.with_startup_ci95 = list(interval) if interval else None
    amount.with_startup_verdict = verdict(interval, rules.smallest)
    return amount


def _told(said: Verdict | None) -> bool | None:
    """Whether it is faster: yes, surely not, or not known. Without a difference that matters it surely is not."""
    return {"faster": True, "slower": False, "no difference that matters": False}.get(said or "")


def _above(interval: Sequence[float] | None, value: float) -> bool | None:
    if not interval or interval[0] <= value <= interval[1]:
        return None
    return interval[0] > value


def _threshold(amounts: Sequence[Amount], holds: Callable[[Amount], bool | None]) -> Threshold:
    reached = None
    for amount in reversed(amounts):
        if not holds(amount):
            break
        reached = amount.size
    missed = [a.size for a in amounts if holds(a) is False and (reached is None or a.size < reached)]
    return Threshold(max(missed, default=None), reached)
