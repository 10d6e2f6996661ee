"""Figure ``communication``: what handing data to a worker and back takes, by its size, for each transport."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from imgproc.measure.communication import Line
from imgproc.numbers import size
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import Style, errors, ticks
from imgproc.report.communication import headline, short, table
from imgproc.runs.communication import Communication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "communication"
#: Colour and marker of each transport.
_LOOKS = {
    "memory": ("ink-3", "o"), "pickled": ("accent", "D"), "shared": ("other", "s"), "mpi": ("ink", "^"),
    "dask": ("encode", "v"),
}  # fmt: skip
#: Pixels of the plot for a wide and a narrow figure, of the words above it, below it.
_HIGH, _HEAD, _FOOT = (300, 240), 30, 44
_SMOOTH = 40


def chart(found: Communication) -> Chart | None:
    """None where nothing was measured."""
    if not found.there:
        return None
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height(_labels(found))
    columns, cells = table(found)
    return Chart(
        NAME, "figures", "Handing data over", headline(found), _alt(found),
        (_HIGH[False] + _HEAD + _FOOT, narrow), partial(_draw, found), "Transport", columns, tuple(cells),
    )  # fmt: skip


def _labels(found: Communication) -> list[str]:
    return [one.way.label for one in found.there]


def _alt(found: Communication) -> str:
    parts = ["Time of handing data to a worker and back by its size, with a fitted line, both axes logarithmic."]
    for one in found.there:
        values = ", ".join(f"{size(each.bytes)} {short(each.median)}" for each in one.sizes)
        parts.append(f"{one.way.label}: {values}.")
    return " ".join(parts)


def _curve(line: Line) -> tuple[list[float], list[float]]:
    at = [line.low * (line.high / line.low) ** (k / _SMOOTH) for k in range(_SMOOTH + 1)]
    return at, [line.seconds(2 * count) for count in at]


def _draw(found: Communication, figure: Figure, style: Style) -> None:
    labels = _labels(found)
    right = 8 if style.narrow else max(map(style.breadth, labels)) + 52
    head = _HEAD + (style.legend_height(labels) if style.narrow else 0)
    left = style.breadth("1,000") + 14
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_xlabel("Bytes handed over")
    handles: dict[str, Any] = {}
    for one in found.there:
        colour, marker = _LOOKS.get(one.name, ("gray", "o"))
        medians = [each.median for each in one.sizes]
        made = axes.errorbar(
            [each.bytes for each in one.sizes], medians, errors(medians, [each.ci95 for each in one.sizes]), fmt=marker,
            color=style.colour(colour), capsize=2, clip_on=False, markersize=5,
        )  # fmt: skip
        handles[one.way.label] = made.lines[0]
        for line in one.fitted.lines if one.fitted else []:
            axes.plot(*_curve(line), "-", color=style.colour(colour), linewidth=1.2)
    unit = _scales(axes, found, style)
    axes.set_title(f"{unit}, there and back", x=-left / (style.width - left - right), pad=9)
    beside = (0, 3, 0) if style.narrow else (style.width - right + 14, _HEAD, 1)
    style.legend(figure, {label: handles[label] for label in labels}, *beside)


def _scales(axes: Axes, found: Communication, style: Style) -> str:
    """Limits and ticks; returns the name of the unit of time."""
    shown = [v for one in found.there for each in one.sizes for v in (each.median, *(each.ci95 or ()))]
    low, high = min(shown) / 1.3, max(shown) * 1.3
    sizes = sorted({each.bytes for one in found.there for each in one.sizes})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    margin = (sizes[-1] / sizes[0]) ** 0.03
    axes.set_xlim(sizes[0] / margin, sizes[-1] * margin)
    axes.set_ylim(low, high)
    values, _ = ticks(low, high, 8, logarithmic=True)
    axes.set_yticks(values, labels=[f"{value * 1000:,.5g}" for value in values], minor=False)
    free, named = 0.0, []
    for count in sizes:
        x, half = axes.transData.transform((count, 1))[0], style.breadth(size(count)) / 2
        named.append(size(count) if x - half >= free else "")
        free = x + half + 6 if named[-1] else free
    axes.set_xticks(sizes, labels=named, minor=False)
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    return "Milliseconds"
