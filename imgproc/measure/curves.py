"""How a technique's time changes with its workers, put together from measurements: points, fitted laws, the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from imgproc.backends import TECHNIQUES
from imgproc.measure.laws import Fit, UslRecord, fit_amdahl, fit_gustafson, fit_usl, karp_flatt
from imgproc.measure.results import TechniqueMeasurement


@dataclass
class Point:
    """One number of workers. ``speedup`` is over the sequential baseline, for weak scaling the scaled speedup
    (so many times the work in so much of the time); ``efficiency`` is per worker. ``oversubscribed``: more threads at
    work than there are cores. ``ci95`` is that of ``seconds``, the median."""

    workers: int
    seconds: float
    speedup: float | None = None
    speedup_ci95: list[float] | None = None
    efficiency: float | None = None
    karp_flatt: float | None = None
    oversubscribed: bool = False
    ci95: list[float] | None = None

    @property
    def karp_flatt_ci95(self) -> list[float] | None:
        """The interval of ``karp_flatt`` that follows from the speedup's: the higher this, the less is serial."""
        if self.workers < 2 or not self.speedup_ci95:
            return None
        return [karp_flatt(end, self.workers) or 0.0 for end in reversed(self.speedup_ci95)]


@dataclass
class Cell:
    """One place of the grid of ``workers`` times OpenCV's ``cv2_threads`` in each."""

    workers: int
    cv2_threads: int
    seconds: float
    speedup: float | None
    speedup_ci95: list[float] | None
    oversubscribed: bool


Change = Literal["grows", "falls", "no measurable change"]


class Trend(NamedTuple):
    """The Karp-Flatt share from the fewest workers to the most: apart where their intervals are."""

    first: Point
    last: Point
    change: Change


@dataclass
class Scaling:
    """``scaling`` in run.json: everything follows from the measurements and the number of cores. ``best``: the label
    of the fastest measurement of the technique, the grid's included."""

    technique: str
    cores: int | None
    strong: list[Point] = field(default_factory=list)
    weak: list[Point] = field(default_factory=list)
    grid: list[Cell] = field(default_factory=list)
    amdahl: Fit | None = None
    gustafson: Fit | None = None
    usl: UslRecord | None = None
    best: str | None = None

    @property
    def trend(self) -> Trend | None:
        """How the Karp-Flatt share changes; None without two numbers of workers that can be compared: above one,
        within the cores and with intervals."""
        points = [p for p in self.strong if not p.oversubscribed and p.karp_flatt_ci95]
        if len({p.workers for p in points}) < 2:
            return None
        first, last = points[0], points[-1]
        (low, high), (later_low, later_high) = first.karp_flatt_ci95 or [], last.karp_flatt_ci95 or []
        change: Change = "grows" if later_low > high else "falls" if later_high < low else "no measurable change"
        return Trend(first, last, change)


def scaling(
    technique: str,
    techniques: Sequence[TechniqueMeasurement],
    weak: Sequence[TechniqueMeasurement],
    *,
    cores: int | None,
) -> Scaling:
    """Put a scale run together. What was not measured is in no point; what has no speedup, in no fit.

    Args:
        technique: the name of the one that was scaled.
        techniques: the baseline, and that technique with every number of workers and of OpenCV's threads, on the
            same images; ``derive`` has filled them.
        weak: that technique with more ``copies`` of the images for more workers; ``derive_weak`` has filled them.
    """
    own = [m for m in techniques if m.name == technique and m.median_seconds is not None]
    curve = strong_curve(technique, techniques)
    grown = [m for m in weak if m.median_seconds is not None]
    # One worker's share of the work is the work itself.
    grown = sorted([m for m in curve if m.threads == 1] + grown, key=lambda m: m.threads) if grown else []
    right = [m for m in own if m.identical is not False]
    found = Scaling(technique, cores)
    found.strong, found.weak = ([measured_point(m, cores) for m in ms] for ms in (curve, grown))
    if not _by_threads(technique) and len({m.cv2_threads for m in own}) > 1:
        found.grid = [_cell(m, cores) for m in sorted(own, key=lambda m: (m.workers, m.cv2_threads))]
    found.amdahl, found.gustafson = _fit(found.strong, fit_amdahl), _fit(found.weak, fit_gustafson)
    known = [p for p in found.strong if p.speedup is not None]
    found.usl = fit_usl([p.workers for p in known], [p.speedup or 0.0 for p in known])
    found.best = min(right, key=lambda m: m.cost).label if right else None
    return found


def strong_curve(technique: str, techniques: Sequence[TechniqueMeasurement]) -> list[TechniqueMeasurement]:
    """The measurements that differ in nothing but the number of workers, the fewest first; ``threads`` is that number.
    For a technique whose one worker has threads of its own, that of these."""
    own = [m for m in techniques if m.name == technique and m.median_seconds is not None]
    return sorted((m for m in own if m.cv2_threads == 1 or _by_threads(technique)), key=lambda m: m.threads)


def _by_threads(technique: str) -> bool:
    return technique in TECHNIQUES and TECHNIQUES[technique].unit == "thread"


def _over(m: TechniqueMeasurement, cores: int | None) -> bool:
    return cores is not None and m.threads > cores


def measured_point(m: TechniqueMeasurement, cores: int | None) -> Point:
    """Of a technique that was measured with one number of workers."""
    seconds = m.median_seconds or 0.0
    over = _over(m, cores)
    return Point(m.threads, seconds, m.speedup, m.speedup_ci95, m.efficiency, m.karp_flatt, over, m.ci95)


def _cell(m: TechniqueMeasurement, cores: int | None) -> Cell:
    seconds = m.median_seconds or 0.0
    return Cell(m.workers, m.cv2_threads, seconds, m.speedup, m.speedup_ci95, _over(m, cores))


def _fit(points: Sequence[Point], law: Callable[[Sequence[int], Sequence[float]], Fit | None]) -> Fit | None:
    known = [p for p in points if p.speedup is not None]
    for used in ([p for p in known if not p.oversubscribed], known):
        found = law([p.workers for p in used], [p.speedup or 0.0 for p in used])
        if found is not None:
            found.oversubscribed = any(p.oversubscribed for p in used)
            found.limit = None if found.oversubscribed else found.limit
            return found
    return None
