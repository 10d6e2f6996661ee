"""Figure ``scaling``: speedup by the number of workers, with the same images and with images that grow with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from imgproc.backends import TECHNIQUES
from imgproc.measure.curves import Fit, Point, Scaling, UslRecord
from imgproc.measure.scaling import amdahl, gustafson, usl
from imgproc.numbers import NBSP, counted, percent, share, times, times_interval
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import Style, ticks
from imgproc.report.findings import unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: From this many workers on both axes are logarithmic: a machine's first few would lie on top of each other.
LOGARITHMIC = 16
#: Pieces of a curve between two measured numbers of workers.
_SMOOTH = 12
#: Pixels of the plot for a wide and a narrow figure, of the words above it, below it.
_HIGH, _HEAD, _FOOT = (300, 220), 30, 44


class Series(NamedTuple):
    """Measured points, the law fitted to them and how both look; ``side``: where points step that would hide
    another's, -1 is to the left."""

    name: str
    points: list[Point]
    law: str
    line: list[tuple[float, float]]
    colour: str
    dash: str
    marker: str
    side: int


def chart(record: Record) -> Chart | None:
    """None where fewer than two numbers of workers have a speedup."""
    data = record.scaling
    if data is None or len({p.workers for p in _timed((*data.strong, *data.weak))}) < 2:
        return None
    label = TECHNIQUES[data.technique].label if data.technique in TECHNIQUES else data.technique
    what = unit(data.technique)
    columns, cells = _table(data, what)
    labels = _labels(data, what)
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height(labels)
    return Chart(
        "scaling",
        "scaling",
        "Scaling",
        _sentence(label, what, data),
        _alt(label, what, data),
        (_HIGH[False] + _HEAD + _FOOT, narrow),
        partial(_draw, data, what),
        f"{what.capitalize()}s",
        columns,
        cells,
    )


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
    return name if fit.serial_ci95 is None else f"{name}, {share(fit.serial)} serial"


def _peak(fit: UslRecord, what: str) -> str:
    """Where its curve is highest, if that was measured."""
    return f", highest at {counted(round(fit.peak), what)}" if fit.peak is not None and not fit.peak_beyond else ""


def _table(data: Scaling, what: str) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Its columns, and its rows with their names."""
    counts = sorted({point.workers for point in (*data.strong, *data.weak)})
    columns = [("Ideal", [f"{_ideal(data, p)}×" for p in counts])]
    for points, name, law, fit in (
        (data.strong, "Speedup", "Amdahl", data.amdahl),
        (data.weak, "Scaled speedup", "Gustafson", data.gustafson),
    ):
        measured = {point.workers: point for point in points}
        found = [measured.get(p, Point(p, 0.0)) for p in counts]
        if points:
            columns += [
                (name, [times(p.speedup) for p in found]),
                (f"95{NBSP}% interval", [times_interval(p.speedup_ci95) or "–" for p in found]),
                ("Efficiency", [percent(p.efficiency) for p in found]),
            ]
        if points and fit:
            columns.append((law, _at(fit.curve, counts)))
    if data.usl:
        columns.append(("USL", _at(data.usl.curve, counts)))
    over = {p.workers for p in (*data.strong, *data.weak) if p.oversubscribed}
    names = [counted(p, what) + (", more than cores" if p in over else "") for p in counts]
    cells = zip(names, zip(*(values for _, values in columns), strict=True), strict=True)
    return tuple(name for name, _ in columns), tuple(cells)


def _at(curve: Sequence[Sequence[float]], counts: Sequence[int]) -> list[str]:
    values = {int(workers): value for workers, value in curve}
    return [times(values.get(workers)) for workers in counts]


def _ideal(data: Scaling, workers: int) -> int:
    """More workers than cores cannot help."""
    return min(workers, data.cores or workers)


# ---------------------------------------------------------------- lines


def _series(data: Scaling, what: str) -> list[Series]:
    weak = [p for p in _timed(data.weak) if p not in data.strong]  # one worker has the same images in both
    grown = f"images grow with {what}s"
    found = [
        Series("same images", _timed(data.strong), *_fitted("Amdahl", data.amdahl, amdahl), "accent", "-", "o", -1),
        Series(grown, weak, *_fitted("Gustafson", data.gustafson, gustafson), "other", "--", "D", 1),
    ]
    return [series for series in found if series.points]


def _labels(data: Scaling, what: str) -> list[str]:
    """What the legend says."""
    series = _series(data, what)
    labels = [*(one.name for one in series), *(one.law for one in series if one.law), "ideal"]
    if data.usl:
        labels.append("USL" + _peak(data.usl, what))
    if any(p.oversubscribed for one in series for p in one.points):
        labels.append(f"more {what}s than cores")
    return labels + ([counted(cores, "core")] if (cores := _bend(data)) else [])


def _bend(data: Scaling) -> int | None:
    """The number of cores, where that many workers lie within those measured."""
    counts = [point.workers for point in (*data.strong, *data.weak)]
    return data.cores if data.cores and min(counts) <= data.cores <= max(counts) else None


def _fitted(name: str, fit: Fit | None, law: Callable[[float, float], float]) -> tuple[str, list[tuple[float, float]]]:
    """What to call a law, and its curve through the fitted values, which lie on it but for its height."""
    if fit is None:
        return "", []
    return _serial(name, fit), _smooth(fit.curve, lambda workers: law(workers, fit.serial))


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


# ---------------------------------------------------------------- drawn


def _draw(data: Scaling, what: str, figure: Figure, style: Style) -> None:
    labels, narrow = _labels(data, what), style.narrow
    counts = sorted({point.workers for point in (*data.strong, *data.weak)})
    left = style.breadth("128×") + 8
    right = 8 if narrow else max(map(style.breadth, labels)) + 50
    key = style.legend_height(labels) if narrow else 0
    axes = style.axes(figure, left, key + _HEAD, right, _FOOT)
    axes.set_xlabel(f"{what.capitalize()}s")
    axes.annotate(
        "Times as fast as sequential", (0, 1), (0, 9), xycoords=("figure fraction", "axes fraction"),
        textcoords="offset points", color=style.colour("ink-2"),
    )  # fmt: skip
    handles: dict[str, Any] = {}
    ideal = [counts[0], *([data.cores] if data.cores and counts[0] < data.cores < counts[-1] else []), counts[-1]]
    (handles["ideal"],) = axes.plot(
        ideal, [_ideal(data, p) for p in ideal], "--", color=style.colour("ink"), linewidth=0.9
    )
    if data.usl:
        line = zip(*_usl(data.usl), strict=True)
        (handles["USL" + _peak(data.usl, what)],) = axes.plot(*line, ":", color=style.colour("accent"), linewidth=1.65)
    if cores := _bend(data):
        handles[counted(cores, "core")] = axes.axvline(cores, color=style.colour("ink-3"), linewidth=0.75, zorder=1)
    series = _series(data, what)
    both = set.intersection(*({p.workers for p in one.points} for one in series)) if len(series) > 1 else set()
    for one in series:
        if one.law:
            (handles[one.law],) = axes.plot(
                *zip(*one.line, strict=True), linestyle=one.dash, color=style.colour(one.colour), linewidth=1.5
            )
        handles |= _points(axes, one, both, what, style)
    _scales(axes, counts, style)
    figure.legend(
        [handles[label] for label in labels], labels, loc="upper left", ncols=style.columns(labels) if narrow else 1,
        bbox_to_anchor=(0 if narrow else 1 - (right - 16) / style.width, 1 if narrow else 1 - _HEAD / figure.bbox.height),
    )  # fmt: skip


def _points(axes: Axes, one: Series, both: set[int], what: str, style: Style) -> dict[str, Any]:
    """Its points with their intervals, hollow where there are more workers than cores; and what the legend shows."""
    from matplotlib.transforms import ScaledTranslation

    handles, colour = {}, style.colour(one.colour)
    figure = axes.get_figure()
    for hollow in (True, False):
        for step in (True, False):
            points = [p for p in one.points if p.oversubscribed == hollow and (p.workers in both) == step]
            aside = ScaledTranslation(one.side * 5 / 96 * step, 0, figure.dpi_scale_trans)
            values = [p.speedup or 0.0 for p in points]
            ends = [p.speedup_ci95 or [float("nan")] * 2 for p in points]
            made = axes.errorbar(
                [p.workers for p in points],
                values,
                fmt=one.marker,
                color=colour,
                markersize=6 if one.marker == "o" else 5,
                yerr=[[v - e[0] for v, e in zip(values, ends)], [e[1] - v for v, e in zip(values, ends)]],
                markeredgewidth=1.35,
                markerfacecolor=style.colour("paper") if hollow else colour,
                elinewidth=1.5,
                capsize=3,
                capthick=1.2,
                transform=aside + axes.transData,
            )
            handles[f"more {what}s than cores" if hollow else one.name] = made.lines[0]
    return handles


def _scales(axes: Axes, counts: Sequence[int], style: Style) -> None:
    """Limits and ticks: a tick per number of workers, named where there is room."""
    low, high = axes.dataLim.intervaly
    if counts[-1] > LOGARITHMIC:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        margin = (counts[-1] / counts[0]) ** 0.05
        axes.set_xlim(counts[0] / margin, counts[-1] * margin)
        axes.set_ylim(low / 1.08, high * 1.08)
        powers = [2.0**k for k in range(math.ceil(math.log2(low / 1.08)), math.floor(math.log2(high * 1.08)) + 1)]
        axes.set_yticks(powers, labels=[f"{power:g}×" for power in powers])
    else:
        margin = (counts[-1] - counts[0]) * 0.05
        axes.set_xlim(counts[0] - margin, counts[-1] + margin)
        axes.set_ylim(0, high * 1.04)
        ticks(axes.yaxis, 0, high * 1.04, 6, "×", suffix="×")
    free, said = 0.0, []
    for p in counts:
        x, half = axes.transData.transform((p, 1))[0], style.breadth(str(p)) / 2
        said.append(str(p) if x - half >= free else "")
        free = x + half + 4 if said[-1] else free
    axes.set_xticks(counts, labels=said, minor=False)
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.axhline(1, color=style.colour("axis"), linewidth=0.75, zorder=0.9)
