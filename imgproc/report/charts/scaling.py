"""Figure ``scaling``: speedup by the number of workers, with the same images and with images that grow with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from imgproc.backends import TECHNIQUES
from imgproc.measure.curves import Point, Scaling
from imgproc.measure.laws import Fit, UslRecord, amdahl, gustafson, usl
from imgproc.numbers import NBSP, counted, percent, times, times_interval
from imgproc.report.charts.charts import Chart, Section, Table
from imgproc.report.charts.plot import Curve, Look, Plot, Series
from imgproc.report.scale import unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

#: From this many workers on both axes are logarithmic: a machine's first few would lie on top of each other.
LOGARITHMIC = 16
#: Pieces of a curve between two measured numbers of workers.
_SMOOTH = 12


@dataclass(frozen=True)
class ScalingChart(Chart):
    """``workers``: those measured; ``unit`` is what their number counts, workers or threads."""

    name: ClassVar[str] = "scaling"
    title: ClassVar[str] = "Scaling"
    section: ClassVar[Section] = "scaling"
    data: Scaling
    unit: str

    @property
    def workers(self) -> list[int]:
        return sorted({point.workers for point in (*self.data.strong, *self.data.weak)})

    def ideal(self, workers: int) -> int:
        """More workers than cores cannot help."""
        return min(workers, self.data.cores or workers)

    def plot(self, narrow: bool) -> Plot:
        """Its lines and points."""
        ends = self.workers[0], self.workers[-1]
        bend = [cores] if (cores := self.data.cores) and ends[0] < cores < ends[1] else []
        ideal = [(float(p), float(self.ideal(p))) for p in (ends[0], *bend, ends[1])]
        data = self.data
        curves = [Curve("ideal", ideal, "ink", "dashed", 1.2)]
        if data.usl:
            curves.append(Curve("USL" + _peak(data.usl, self.unit), _usl(data.usl), "accent", "dotted", 2.2))
        weak = [p for p in _timed(data.weak) if p not in data.strong]  # one worker has the same images in both
        both = {p.workers for p in data.strong} & {p.workers for p in weak}
        looks = Look("accent", "", "dot", -1), Look("other", "long", "diamond", 1)
        series = [
            Series("same images", _timed(data.strong), *_fitted("Amdahl", data.amdahl, amdahl), both, looks[0]),
            Series(
                f"images grow with {self.unit}s", weak, *_fitted("Gustafson", data.gustafson, gustafson), both, looks[1]
            ),
        ]
        series = [one for one in series if one.points]
        return Plot(series, curves, self.workers, data.cores, self.unit, self.workers[-1] > LOGARITHMIC, narrow)

    def size(self, narrow: bool) -> tuple[int, int]:
        plot = self.plot(narrow)
        return plot.width, plot.height

    def draw(self, sheet: Sheet) -> None:
        self.plot(sheet.narrow).draw(sheet)

    def table(self) -> Table:
        data = self.data
        columns: list[tuple[str, Callable[[int], str]]] = []
        for points, name, fit, law in (
            (data.strong, "Speedup", data.amdahl, "Amdahl"),
            (data.weak, "Scaled speedup", data.gustafson, "Gustafson"),
        ):
            if points:
                columns += _columns(name, {p.workers: p for p in points}, law, fit)
        if data.usl:
            columns.append(("USL", _at(data.usl.curve)))
        columns.insert(0, ("Ideal", lambda workers: f"{self.ideal(workers)}×"))
        over = {p.workers for p in (*data.strong, *data.weak) if p.oversubscribed}
        rows = []
        for workers in self.workers:
            name = counted(workers, self.unit) + (", more than cores" if workers in over else "")
            rows.append((name, tuple(value(workers) for _, value in columns)))
        return Table(self.unit.capitalize() + "s", tuple(name for name, _ in columns), tuple(rows))


def chart(record: Record) -> ScalingChart | None:
    """None where fewer than two numbers of workers have a speedup."""
    data = record.scaling
    if data is None or len({p.workers for p in _timed((*data.strong, *data.weak))}) < 2:
        return None
    label = TECHNIQUES[data.technique].label if data.technique in TECHNIQUES else data.technique
    what = unit(data.technique)
    return ScalingChart(_sentence(label, what, data), _alt(label, what, data), data, what)


# ---------------------------------------------------------------- what it says


def _timed(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.speedup is not None]


def _sentence(label: str, what: str, data: Scaling) -> str:
    points = _timed(data.strong) or _timed(data.weak)
    best = max(points, key=lambda p: p.speedup or 0.0)
    reached, most = best.speedup or 0.0, min(best.workers, data.cores or best.workers)
    interval = f" (95{NBSP}% interval {times_interval(best.speedup_ci95)})" if best.speedup_ci95 else ""
    of = f"more than the ideal {most}×" if reached > most * 1.005 else f"{percent(reached / most)} of the ideal {most}×"
    said = f"{label}: at most {times(reached)}{interval}, with {counted(best.workers, what)}, {of}"
    fits = [fit for fit in (data.amdahl, data.gustafson) if fit]
    if any(p.oversubscribed for p in (*data.strong, *data.weak)):
        over = f"the {counted(data.cores, 'core')}" if data.cores else "cores"
        said += f"; hollow points have more {what}s than {over}"
        if any(fit.oversubscribed for fit in fits):
            return f"{said}, which the laws that were fitted take for serial work."
    return f"{said}; fitted lines end where the points they were fitted to end." if fits else f"{said}."


def _alt(label: str, what: str, data: Scaling) -> str:
    parts = []
    for name, points in (("Speedup", data.strong), ("Scaled speedup", data.weak)):
        values = [_point(p, what) for p in _timed(points)]
        if values:
            parts.append(f"{name} of {label}: {', '.join(values)}.")
    if data.cores:
        parts.append(f"The ideal is the number of {what}s, up to {counted(data.cores, 'core')}.")
    for law, fit in (("Amdahl", data.amdahl), ("Gustafson", data.gustafson)):
        if fit:
            parts.append(_serial(f"Fitted line of {law}’s law", fit) + ".")
    if data.usl:
        parts.append(f"Fitted line of the Universal Scalability Law (USL){_peak(data.usl, what)}.")
    return " ".join(parts)


def _point(point: Point, what: str) -> str:
    interval = f" ({times_interval(point.speedup_ci95)})" if point.speedup_ci95 else ""
    over = ", more than cores" if point.oversubscribed else ""
    return f"{counted(point.workers, what)} {times(point.speedup)}{interval}{over}"


def _serial(name: str, fit: Fit) -> str:
    """A fit and its serial share, unless that means nothing: cores that are missing look like serial work, and there
    are speedups that no share explains."""
    if fit.oversubscribed:
        return f"{name}, knows no cores"
    return name if fit.serial_ci95 is None else f"{name}, {percent(fit.serial)} serial"


def _peak(fit: UslRecord, what: str) -> str:
    """Where its curve is highest, if that was measured."""
    return f", highest at {counted(round(fit.peak), what)}" if fit.peak is not None and not fit.peak_beyond else ""


def _columns(name: str, points: dict[int, Point], law: str, fit: Fit | None) -> list[tuple[str, Callable[[int], str]]]:
    missing = Point(0, 0.0)
    found: list[tuple[str, Callable[[int], str]]] = [
        (name, lambda workers: times(points.get(workers, missing).speedup)),
        (f"95{NBSP}% interval", lambda workers: times_interval(points.get(workers, missing).speedup_ci95) or "–"),
        ("Efficiency", lambda workers: percent(points.get(workers, missing).efficiency)),
    ]
    return [*found, (law, _at(fit.curve))] if fit else found


def _at(curve: Sequence[Sequence[float]]) -> Callable[[int], str]:
    values = {int(workers): value for workers, value in curve}
    return lambda workers: times(values.get(workers))


# ---------------------------------------------------------------- curves


def _fitted(name: str, fit: Fit | None, law: Callable[[float, float], float]) -> tuple[list[tuple[float, float]], str]:
    """A law's curve through the fitted values, which lie on it but for its height, and what to call it."""
    if fit is None:
        return [], ""
    return _smooth(fit.curve, lambda workers: law(workers, fit.serial)), _serial(name, fit)


def _usl(fit: UslRecord) -> list[tuple[float, float]]:
    return _smooth(fit.curve, lambda workers: usl(workers, fit.sigma, fit.kappa))


def _smooth(curve: Sequence[Sequence[float]], law: Callable[[float], float]) -> list[tuple[float, float]]:
    """From the least to the most workers measured: nothing is drawn beyond."""
    found: list[tuple[float, float]] = []
    for (low, value), (high, _) in pairwise(curve):
        height = value / law(low)
        for k in range(_SMOOTH):
            at = low + (high - low) * k / _SMOOTH
            found.append((at, law(at) * height))
    return [*found, (curve[-1][0], curve[-1][1])] if curve else []
