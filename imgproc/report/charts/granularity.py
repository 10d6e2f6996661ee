"""Figure ``granularity``: speedup by the amount of work, with the workers ready and with their start-up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from imgproc.measure.granularity import Amount, Granularity
from imgproc.numbers import times, times_interval
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import POINT, Style, errors
from imgproc.report.granularity import amount, headline, who, with_startup
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READY, STARTED, IDEAL = "workers ready", "start-up included", "ideal"
#: Pixels of the plot for a wide and a narrow figure, of the words above it, below it.
_HIGH, _HEAD, _FOOT = (300, 220), 30, 44
AXES = {"images": "Images in a batch", "megapixels": "Megapixels of each image", "task": "Tasks handed over at a time"}
#: Values and their intervals, of each amount.
Series = list[tuple[float, float, list[float] | None]]


def chart(record: Record) -> Chart | None:
    """None where fewer than two amounts have a speedup."""
    found = record.granularity
    if found is None or found.over not in AXES or sum(a.speedup is not None for a in found.amounts) < 2:
        return None
    best = min(found.workers, record.environment.get("cores_usable") or found.workers)
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height([READY, STARTED, IDEAL])
    return Chart(
        "granularity", "scaling", "Granularity", f"{headline(found)} {with_startup(found)}".strip(), _alt(found, best),
        (_HIGH[False] + _HEAD + _FOOT, narrow), partial(_draw, found, best),
    )  # fmt: skip


def _series(found: Granularity) -> dict[str, tuple[Series, str, str]]:
    """The measured points by their name, with their colour and marker."""
    ready = [(a.size, a.speedup, a.speedup_ci95) for a in found.amounts if a.speedup is not None]
    started = [(a.size, a.with_startup, a.with_startup_ci95) for a in found.amounts if a.with_startup is not None]
    series = {READY: (ready, "accent", "o"), STARTED: (started, "other", "D")}
    return {name: one for name, one in series.items() if one[0]}


def _alt(found: Granularity, best: float) -> str:
    parts = [f"Speedup over sequential of {who(found)}, by {AXES[found.over].lower()}."]
    for name, (series, _, _) in _series(found).items():
        values = [
            f"{amount(found, size)} {times(value)}" + (f" ({times_interval(interval)})" if interval else "")
            for size, value, interval in series
        ]
        parts.append(f"{name.capitalize()}: {', '.join(values)}.")
    return " ".join([*parts, f"The ideal is {best:g}."])


def _draw(found: Granularity, best: float, figure: Figure, style: Style) -> None:
    from matplotlib.transforms import offset_copy

    series = _series(found)
    labels = [*series, IDEAL]
    right = 8 if style.narrow else max(map(style.breadth, labels)) + 52
    head = _HEAD + (style.legend_height(labels) if style.narrow else 0)
    left = style.breadth("128×") + 8
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_xlabel(AXES[found.over])
    axes.set_title("Times as fast as sequential", x=-left / (style.width - left - right), pad=9)
    handles: dict[str, Any] = {IDEAL: axes.axhline(best, linestyle="--", color=style.colour("ink"), linewidth=0.9)}
    for side, (name, (points, colour, marker)) in zip((-1, 1), series.items(), strict=False):
        sizes, values = [size for size, _, _ in points], [value for _, value, _ in points]
        # Aside, where they would hide another's.
        place = offset_copy(axes.transData, figure, x=4 * POINT * side * (len(series) > 1), units="points")
        made = axes.errorbar(
            sizes, values, errors(values, [interval for _, _, interval in points]), fmt=f"{marker}-",
            color=style.colour(colour), capsize=3, transform=place, clip_on=False, linewidth=0.9,
        )  # fmt: skip
        handles[name] = made.lines[0]
    _scales(axes, found.amounts, best, style)
    beside = (0, 3, 0) if style.narrow else (style.width - right + 14, _HEAD, 1)
    style.legend(figure, {label: handles[label] for label in labels}, *beside)


def _scales(axes: Axes, amounts: Sequence[Amount], best: float, style: Style) -> None:
    """Limits, ticks and lines."""
    sizes = [a.size for a in amounts if a.speedup is not None]
    shown = [v for a in amounts for v in (a.speedup, *(a.speedup_ci95 or ()), *(a.with_startup_ci95 or ())) if v]
    axes.set_ylim(0, max(*shown, best) * 1.04)
    axes.locator_params(axis="y", nbins=6, steps=[1, 2, 5, 10])
    axes.yaxis.set_major_formatter("{x:g}×")
    label_amounts(axes, sizes, style)
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    axes.axhline(1, color=style.colour("axis"), linewidth=0.75, zorder=0.9)


def label_amounts(axes: Axes, sizes: Sequence[float], style: Style) -> None:
    """The axis of the amounts: a tick for each, named where there is room; twice the work is as far everywhere."""
    axes.set_xscale("log", base=2)
    margin = (sizes[-1] / sizes[0]) ** 0.05
    axes.set_xlim(sizes[0] / margin, sizes[-1] * margin)
    free, said = 0.0, []
    for size in sizes:
        x, half = axes.transData.transform((size, 1))[0], style.breadth(f"{size:g}") / 2
        said.append(f"{size:g}" if x - half >= free else "")
        free = x + half + 4 if said[-1] else free
    axes.set_xticks(sizes, labels=said, minor=False)
    axes.minorticks_off()
