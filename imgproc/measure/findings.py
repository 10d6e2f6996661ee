"""What a run found, worked out once from its measurements and kept as data: who is best, who cannot be told from
whom, and what each technique lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from imgproc.backends import BASELINE
from imgproc.measure.breakdown import largest
from imgproc.measure.curves import Scaling, strong_curve
from imgproc.measure.derive import USUAL, comparisons_of
from imgproc.measure.results import TechniqueMeasurement, Verdict
from imgproc.measure.statistics import Rules, paired_speedup, verdict

Measurements = Sequence[TechniqueMeasurement]
#: What the speedups of a run are, where its record says it.
GEOMETRIC_MEAN = "geometric mean of paired ratios"
#: What came of the run's technique. ``baseline``: it is the baseline, or nothing in a comparison is faster;
#: ``undecided``: a comparison with too few rounds for intervals, which crowns nobody; ``no interval``: a speedup over
#: the baseline from as few; ``not compared``: no speedup can be shown.
Outcome = Literal[
    "faster",
    "slower",
    "no measurable difference",
    "no difference that matters",
    "baseline",
    "undecided",
    "no interval",
    "not compared",
]


@dataclass
class Pair:
    """One technique against another, from the rounds that both ran: ``speedup`` is how many times as fast
    ``technique`` is as ``other`` (both are labels). No verdict where the rounds are no pairs, or too few."""

    technique: str
    other: str
    speedup: float | None = None
    speedup_ci95: list[float] | None = None
    verdict: Verdict | None = None

    def reversed(self) -> Pair:
        """The same, seen from the other."""
        ci95 = [1 / end for end in reversed(self.speedup_ci95)] if self.speedup_ci95 else None
        turned: dict[Verdict | None, Verdict] = {"faster": "slower", "slower": "faster"}
        return Pair(
            self.other, self.technique, self.speedup and 1 / self.speedup, ci95, turned.get(self.verdict, self.verdict)
        )


@dataclass
class Loss:
    """Seconds of the round nearest the median beyond the ideal, and the part of the breakdown that cost most; None
    where nothing did."""

    technique: str
    seconds: float
    part: str | None


@dataclass
class Findings:
    """``findings`` in run.json; techniques by their labels, which are unique in a run.

    ``best``: the name of the fastest; None where none can be called that. ``technique``: the one that the run is
    about: the best of a comparison, else the one asked for, else the baseline. ``outcome``: what came of it.
    ``order``: as tables list all. ``pairs``: every comparison that is told, each once. ``comparisons``: for how many
    of the techniques with each other the 95 % of the intervals hold at once; ``smallest_difference``: the largest share
    that does not matter; ``estimand``: what the speedups are. These three are None where nothing was measured, and in a
    record of a version that gave each interval its own 95 %, that called every measurable difference faster or slower,
    or whose speedups were ratios of medians.
    """

    best: str | None = None
    technique: str | None = None
    outcome: Outcome | None = None
    order: list[str] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    comparisons: int | None = None
    smallest_difference: float | None = None
    estimand: str | None = None

    @property
    def rules(self) -> Rules:
        """How its speedups and verdicts came about."""
        return Rules(self.comparisons is not None, self.smallest_difference or 0.0, self.estimand is None)

    def versus(self, technique: str, other: str) -> Pair:
        """What is known of the two; no speedup and no verdict where nothing is."""
        for pair in self.pairs:
            if (pair.technique, pair.other) == (technique, other):
                return pair
            if (pair.technique, pair.other) == (other, technique):
                return pair.reversed()
        return Pair(technique, other)


def findings(
    mode: str,
    techniques: Measurements,
    weak: Measurements,
    scaling: Scaling | None,
    rules: Rules = USUAL,
    points: Measurements = (),
) -> Findings:
    """Args: mode: of the run; techniques, weak, scaling, points: as in its record, with all that ``derive`` fills by
    the same ``rules``."""
    timed = any(t.rounds for t in (*techniques, *weak))
    comparisons = comparisons_of(techniques, points) if timed and rules.simultaneous else None
    best = _best(mode, techniques)
    main = _main(mode, techniques, scaling, best, of_amounts=bool(points))

    def place(t: TechniqueMeasurement) -> tuple[object, ...]:
        seconds = t.median_seconds is None, t.cost
        if mode == "compare":
            return seconds
        amount = t.point is None, t.point or 0.0
        ways = (t.copies, t.cv2_threads, t.workers, *amount) if mode == "scale" else (t is not main, *seconds)
        return (t.name == BASELINE, *ways)

    return Findings(
        best.name if best else None,
        main.label if main else None,
        _outcome(main, best) if main else None,
        [t.label for t in sorted((*techniques, *weak, *points), key=place)],
        [_pair(one, other, comparisons or 1, rules) for one, other in _told(techniques, main, scaling)],
        [
            Loss(t.label, sum(t.breakdown.values()) - t.breakdown["ideal"], largest(t.breakdown))
            for t in techniques
            if t.breakdown and t.name != BASELINE and t.speedup is not None
        ],
        comparisons,
        rules.smallest if timed and not rules.of_medians else None,
        GEOMETRIC_MEAN if timed and not rules.of_medians else None,
    )


def _best(mode: str, techniques: Measurements) -> TechniqueMeasurement | None:
    """The fastest of those that made the same pixels; of a comparison none if nothing says how sure that is."""
    timed = [t for t in techniques if t.median_seconds is not None and t.identical is not False]
    timed = [t for t in timed if t.reason is None] or timed
    compared = [t.speedup_ci95 for t in timed if t.name != BASELINE and t.speedup is not None]
    intervals = compared or [t.ci95 for t in timed]  # without the baseline only those of the times are there
    if mode == "compare" and len(timed) > 1 and not any(intervals):
        return None
    return min(timed, key=lambda t: t.cost, default=None)


def quicker_with_other_pixels(
    techniques: Measurements, main: TechniqueMeasurement | None
) -> TechniqueMeasurement | None:
    """Of those that took no longer than the technique the run is about, itself included, the quickest whose pixels
    differed from the baseline's; None where all such made the same."""
    timed = [t for t in techniques if t.median_seconds is not None and t.identical is False]
    quicker = [t for t in timed if main is not None and t.cost <= main.cost]
    return min(quicker, key=lambda t: t.cost, default=None)


def _main(
    mode: str,
    techniques: Measurements,
    scaling: Scaling | None,
    best: TechniqueMeasurement | None,
    *,
    of_amounts: bool = False,
) -> TechniqueMeasurement | None:
    """The technique the run is about; over more and more work with the most of its workers, of which it tells."""
    measured = [t for t in techniques if t.available and t.median_seconds is not None]
    if mode == "compare":
        return best or min(measured, key=lambda t: t.name != BASELINE, default=None)
    others = [t for t in measured if t.name != BASELINE]
    if mode == "scale":
        others.sort(key=lambda t: (-t.threads * of_amounts, scaling is None or t.label != scaling.best, t.cost))
    return next(iter(others or measured), None)


def _outcome(main: TechniqueMeasurement, best: TechniqueMeasurement | None) -> Outcome:
    if best is None:
        return "undecided"
    if main.name == BASELINE:
        return "baseline"
    if main.speedup is None:
        return "not compared"
    return main.verdict or "no interval"


def _told(
    techniques: Measurements, main: TechniqueMeasurement | None, scaling: Scaling | None
) -> Iterator[tuple[TechniqueMeasurement, TechniqueMeasurement]]:
    """Each with the one the run is about; the curve of a scale run with its fastest, its grid with one thread for each
    worker; and the ways in which one technique moved its pixels with each other."""
    timed = [t for t in techniques if t.median_seconds is not None]
    wanted = [(t, main) for t in timed if main]
    if scaling:
        curve = [t for t in strong_curve(scaling.technique, timed) if t.speedup is not None]
        wanted += [(t, min(curve, key=lambda t: t.cost)) for t in curve]
        own = {(t.workers, t.cv2_threads): t for t in timed if t.name == scaling.technique}
        wanted += [(t, own[workers, 1]) for (workers, _), t in own.items() if (workers, 1) in own]
    ways: dict[tuple[str, int], list[TechniqueMeasurement]] = defaultdict(list)
    for t in timed:
        if t.transfer:
            ways[t.name, t.workers].append(t)
    wanted += [pair for group in ways.values() for pair in combinations(group, 2)]
    seen: set[frozenset[str]] = set()
    for one, other in wanted:
        if one is not other and (both := frozenset((one.label, other.label))) not in seen:
            seen.add(both)
            yield one, other


def _pair(one: TechniqueMeasurement, other: TechniqueMeasurement, comparisons: int, rules: Rules) -> Pair:
    walls, others = ([r.wall_seconds for r in t.rounds] for t in (one, other))
    if not walls or len(walls) != len(others):
        return Pair(one.label, other.label, (other.median_seconds or 0.0) / (one.median_seconds or 1.0))
    speedup, interval = paired_speedup(others, walls, comparisons, of_medians=rules.of_medians, starts=one.starts)
    said = verdict(interval, rules.smallest)
    return Pair(one.label, other.label, speedup, list(interval) if interval else None, said)
