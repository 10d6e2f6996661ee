"""Figure ``scaling``: speedup by the number of workers, with the same images and with images that grow with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from imgproc.backends import TECHNIQUES
from imgproc.measure.curves import Point, Scaling
from imgproc.measure.laws import Fit, UslRecord, amdahl, gustafson, usl
from imgproc.numbers import NBSP, counted, percent, times, times_interval
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import POINT, Style, errors
from imgproc.report.scale import unit
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


def chart(record: Record) -> Chart | None:
    """None where fewer than two numbers of workers have a speedup."""
    data = record.scaling
    if data is None or len({p.workers for p in _timed((*data.strong, *data.weak))}) < 2:
        return None
    label = TECHNIQUES[data.technique].label if data.technique in TECHNIQUES else data.technique
    what = unit(data.technique)
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height(_labels(data, what))
    return Chart(
        "scaling", "scaling", "Scaling", _sentence(label, what, data), _alt(label, what, data),
        (_HIGH[False] + _HEAD + _FOOT, narrow), partial(_draw, data, what),
        f"{what.capitalize()}s", *_table(data, what),
    )  # fmt: skip


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
        values = []
        for p in _timed(points):
            interval = f" ({times_interval(p.speedup_ci95)})" if p.speedup_ci95 else ""
            over = ", more than cores" if p.oversubscribed else ""
            values.append(f"{counted(p.workers, what)} {times(p.speedup)}{interval}{over}")
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


def _serial(name: str, fit: Fit) -> str:
    """A fit and its serial share, unless that means nothing: cores that are missing look like serial work, and there
    are speedups that no share explains."""
    if fit.oversubscribed:
        return f"{name}, knows no cores"
    return name if fit.serial_ci95 is None else f"{name}, {percent(fit.serial)} serial"


def _peak(fit: UslRecord, what: str) -> str:
    """Where its curve is highest, if that was measured."""
    return f", highest at {counted(round(fit.peak), what)}" if fit.peak is not None and not fit.peak_beyond else ""


def _table(data: Scaling, what: str) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Its columns, and its rows with their names."""
    counts = sorted({point.workers for point in (*data.strong, *data.weak)})

    def fitted(curve: Sequence[Sequence[float]]) -> list[str]:
        values = {int(workers): value for workers, value in curve}
        return [times(values.get(p)) for p in counts]

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
            columns.append((law, fitted(fit.curve)))
    if data.usl:
        columns.append(("USL", fitted(data.usl.curve)))
    over = {p.workers for p in (*data.strong, *data.weak) if p.oversubscribed}
    names = [counted(p, what) + (", more than cores" if p in over else "") for p in counts]
    cells = zip(names, zip(*(values for _, values in columns), strict=True), strict=True)
    return tuple(name for name, _ in columns), tuple(cells)


def _ideal(data: Scaling, workers: int) -> int:
    """More workers than cores cannot help."""
    return min(workers, data.cores or workers)


# ---------------------------------------------------------------- drawn


def _points(data: Scaling, what: str) -> dict[str, tuple[list[Point], str, str]]:
    """The measured points by their name, with their colour and marker."""
    weak = [p for p in _timed(data.weak) if p not in data.strong]  # one worker has the same images in both
    found = {"same images": (_timed(data.strong), "accent", "o"), f"images grow with {what}s": (weak, "other", "D")}
    return {name: series for name, series in found.items() if series[0]}


def _lines(data: Scaling, what: str) -> dict[str, tuple[list[tuple[float, float]], str, str]]:
    """Lines of (workers, speedup) by their name, with their colour and dashes."""
    counts = [p.workers for p in (*data.strong, *data.weak)]
    ends = {min(counts), max(counts), *_bend(data)}
    found = {"ideal": ([(float(p), float(_ideal(data, p))) for p in sorted(ends)], "ink", "--")}
    if fit := data.amdahl:
        found[_serial("Amdahl", fit)] = _smooth(fit.curve, partial(amdahl, serial=fit.serial)), "accent", "-"
    if fit := data.gustafson:
        found[_serial("Gustafson", fit)] = _smooth(fit.curve, partial(gustafson, serial=fit.serial)), "other", "--"
    if data.usl:
        law = partial(usl, sigma=data.usl.sigma, kappa=data.usl.kappa)
        found["USL" + _peak(data.usl, what)] = _smooth(data.usl.curve, law), "accent", ":"
    return found


def _labels(data: Scaling, what: str) -> list[str]:
    """What the legend says."""
    over = [f"more {what}s than cores"] if any(p.oversubscribed for p in (*data.strong, *data.weak)) else []
    return [*_points(data, what), *over, *_lines(data, what), *(counted(cores, "core") for cores in _bend(data))]


def _bend(data: Scaling) -> list[int]:
    """The number of cores, where it lies within the numbers of workers measured."""
    counts = [point.workers for point in (*data.strong, *data.weak)]
    return [data.cores] if data.cores and min(counts) <= data.cores <= max(counts) else []


def _smooth(curve: Sequence[Sequence[float]], law: Callable[[float], float]) -> list[tuple[float, float]]:
    """A law's curve through the fitted values, which lie on it but for its height, from the least to the most workers
    measured: nothing is drawn beyond."""
    found: list[tuple[float, float]] = []
    for (low, value), (high, _) in pairwise(curve):
        places = [low + (high - low) * k / _SMOOTH for k in range(_SMOOTH)]
        found += [(at, law(at) * value / law(low)) for at in places]
    return [*found, (curve[-1][0], curve[-1][1])]


def _draw(data: Scaling, what: str, figure: Figure, style: Style) -> None:
    from matplotlib.transforms import offset_copy

    labels, points = _labels(data, what), _points(data, what)
    right = 8 if style.narrow else max(map(style.breadth, labels)) + 52
    head = _HEAD + (style.legend_height(labels) if style.narrow else 0)
    left = style.breadth("128×") + 8
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_xlabel(f"{what.capitalize()}s")
    axes.set_title("Times as fast as sequential", x=-left / (style.width - left - right), pad=9)
    handles: dict[str, Any] = {}
    for name, (line, colour, dash) in _lines(data, what).items():
        thin = 0.9 if name == "ideal" else 1.5
        (handles[name],) = axes.plot(*zip(*line, strict=True), dash, color=style.colour(colour), linewidth=thin)
    for cores in _bend(data):
        handles[counted(cores, "core")] = axes.axvline(cores, color=style.colour("ink-3"), linewidth=POINT)
    for side, (name, (series, colour, marker)) in zip((-1, 1), points.items(), strict=False):
        # Aside, where they would hide another's.
        place = offset_copy(axes.transData, figure, x=4 * POINT * side * (len(points) > 1), units="points")
        for hollow in (True, False):
            if not (shown := [p for p in series if p.oversubscribed == hollow]):
                continue
            values = [p.speedup or 0.0 for p in shown]
            made = axes.errorbar(
                [p.workers for p in shown], values, errors(values, [p.speedup_ci95 for p in shown]), fmt=marker,
                color=style.colour(colour), markerfacecolor=style.colour("paper" if hollow else colour), capsize=3,
                transform=place, clip_on=False,
            )  # fmt: skip
            handles[f"more {what}s than cores" if hollow else name] = made.lines[0]
    _scales(axes, data, style)
    beside = (0, 3, 0) if style.narrow else (style.width - right + 14, _HEAD, 1)
    style.legend(figure, {label: handles[label] for label in labels}, *beside)


def _scales(axes: Axes, data: Scaling, style: Style) -> None:
    """Limits and ticks: a tick per number of workers, named where there is room."""
    counts = sorted({point.workers for point in (*data.strong, *data.weak)})
    shown = [v for p in (*data.strong, *data.weak) for v in (p.speedup, *(p.speedup_ci95 or ())) if v]
    shown += axes.dataLim.intervaly.tolist()
    low, high = min(shown), max(shown)
    if counts[-1] > LOGARITHMIC:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        margin = (counts[-1] / counts[0]) ** 0.05
        axes.set_xlim(counts[0] / margin, counts[-1] * margin)
        axes.set_ylim(low / 1.08, high * 1.08)
    else:
        margin = (counts[-1] - counts[0]) * 0.05
        axes.set_xlim(counts[0] - margin, counts[-1] + margin)
        axes.set_ylim(0, high * 1.04)
        axes.locator_params(axis="y", nbins=6, steps=[1, 2, 5, 10])
    axes.yaxis.set_major_formatter("{x:g}×")
    free, said = 0.0, []
    for p in counts:
        x, half = axes.transData.transform((p, 1))[0], style.breadth(str(p)) / 2
        said.append(str(p) if x - half >= free else "")
        free = x + half + 4 if said[-1] else free
    axes.set_xticks(counts, labels=said, minor=False)
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    axes.axhline(1, color=style.colour("axis"), linewidth=0.75, zorder=0.9)
