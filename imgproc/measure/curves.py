"""How a technique's time changes with its workers, put together from measurements: points, fitted laws, the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from imgproc.backends import TECHNIQUES
from imgproc.measure.results import TechniqueMeasurement, Verdict
from imgproc.measure.scaling import AmdahlFit, GustafsonFit, fit_amdahl, fit_gustafson, fit_usl
from imgproc.measure.statistics import paired_speedup, verdict

#: A serial fraction below this cannot be told from none: the limit it would set is no finding.
NEGLIGIBLE = 0.001
#: A peak at more than so many times the most workers measured is none that the data could know of.
FAR = 100


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


@dataclass
class Fit:
    """A law fitted to points. ``serial``: its serial fraction with a 95 % interval; ``curve``: fitted speedups, as
    [workers, speedup], at the numbers of ``workers`` it was fitted to, ``scale`` being its height at one worker;
    ``limit``: the speedup no number of workers exceeds by Amdahl's law, always beyond the data, None where the points
    show none. ``largest_error``: of a point, as a share.

    Points above the cores are left out, because the laws know no cores and would read missing ones as serial work.
    Where too few points remain they are used all the same: ``oversubscribed`` then says that the fraction is too high.
    """

    serial: float
    serial_ci95: list[float] | None
    curve: list[list[float]]
    limit: float | None
    largest_error: float
    scale: float = 1.0
    workers: list[int] = field(default_factory=list)
    oversubscribed: bool = False


@dataclass
class UslRecord:
    """The Universal Scalability Law fitted to throughputs, in multiples of the baseline's, of all points, those above
    the cores too: ``sigma`` contention, ``kappa`` coherency, ``peak`` the number of workers with the most throughput,
    and whether that lies beyond the measured ones. ``curve`` as Fit's."""

    sigma: float
    kappa: float
    peak: float | None
    peak_beyond: bool
    curve: list[list[float]]
    largest_error: float


@dataclass
class Cell:
    """One place of the grid of ``workers`` times OpenCV's ``cv2_threads`` in each."""

    workers: int
    cv2_threads: int
    seconds: float
    speedup: float | None
    speedup_ci95: list[float] | None
    oversubscribed: bool


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
    found.strong, found.weak = ([_point(m, cores) for m in ms] for ms in (curve, grown))
    if not _by_threads(technique) and len({m.cv2_threads for m in own}) > 1:
        found.grid = [_cell(m, cores) for m in sorted(own, key=lambda m: (m.workers, m.cv2_threads))]
    found.amdahl, found.gustafson = _fit(found.strong, fit_amdahl), _fit(found.weak, fit_gustafson)
    found.usl = _usl(found.strong)
    found.best = min(right, key=lambda m: m.median_seconds or 0.0).label if right else None
    return found


def strong_curve(technique: str, techniques: Sequence[TechniqueMeasurement]) -> list[TechniqueMeasurement]:
    """The measurements that differ in nothing but the number of workers, the fewest first; ``threads`` is that number.
    For a technique whose one worker has threads of its own, that of these."""
    own = [m for m in techniques if m.name == technique and m.median_seconds is not None]
    return sorted((m for m in own if m.cv2_threads == 1 or _by_threads(technique)), key=lambda m: m.threads)


def versus(one: TechniqueMeasurement, other: TechniqueMeasurement) -> Verdict | None:
    """What the rounds, pair by pair, say of ``one`` against ``other``; None where they are no pairs, or too few."""
    walls, others = ([r.wall_seconds for r in t.rounds] for t in (one, other))
    if not walls or len(walls) != len(others):
        return None
    return verdict(paired_speedup(others, walls)[1])


def _by_threads(technique: str) -> bool:
    return technique in TECHNIQUES and TECHNIQUES[technique].unit == "thread"


def _over(m: TechniqueMeasurement, cores: int | None) -> bool:
    return cores is not None and m.threads > cores


def _point(m: TechniqueMeasurement, cores: int | None) -> Point:
    seconds = m.median_seconds or 0.0
    return Point(
        m.threads, seconds, m.speedup, m.speedup_ci95, m.efficiency, m.karp_flatt, _over(m, cores), m.ci95
    )  # fmt: skip


def _cell(m: TechniqueMeasurement, cores: int | None) -> Cell:
    seconds = m.median_seconds or 0.0
    return Cell(m.workers, m.cv2_threads, seconds, m.speedup, m.speedup_ci95, _over(m, cores))


Law = Callable[[Sequence[int], Sequence[float]], AmdahlFit | GustafsonFit | None]


def _fit(points: Sequence[Point], law: Law) -> Fit | None:
    known = [(p.workers, p.speedup, p.oversubscribed) for p in points if p.speedup is not None]
    for used in ([k for k in known if not k[2]], known):
        found = law([workers for workers, _, _ in used], [speedup for _, speedup, _ in used])
        if found is not None:
            return _recorded(found, sorted({workers for workers, _, _ in used}), any(over for _, _, over in used))
    return None


def _recorded(found: AmdahlFit | GustafsonFit, workers: list[int], oversubscribed: bool) -> Fit:
    limit = found.limit if isinstance(found, AmdahlFit) else None
    shown = limit is not None and found.serial >= NEGLIGIBLE and not oversubscribed
    return Fit(
        found.serial,
        list(found.interval) if found.interval else None,
        [[p, found.speedup(p).value] for p in workers],
        limit.value if limit and shown else None,
        max(map(abs, found.residuals)),
        found.scale,
        workers,
        oversubscribed,
    )


def _usl(points: Sequence[Point]) -> UslRecord | None:
    known = [(p.workers, p.speedup) for p in points if p.speedup is not None]
    found = fit_usl([workers for workers, _ in known], [speedup for _, speedup in known])
    if found is None:
        return None
    peak = found.peak if found.peak and found.peak.value <= FAR * found.workers[1] else None
    return UslRecord(
        found.sigma,
        found.kappa,
        peak.value if peak else None,
        peak.beyond if peak else False,
        [[p, found.throughput(p).value] for p in sorted({workers for workers, _ in known})],
        max(map(abs, found.residuals)),
    )
