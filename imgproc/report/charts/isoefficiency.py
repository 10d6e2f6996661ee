"""Figure ``isoefficiency``: efficiency by the amount of work, a line for each number of workers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from imgproc.measure.granularity import Granularity, Isoefficiency
from imgproc.numbers import counted, exact_percent, percent
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.granularity import AXES, label_amounts
from imgproc.report.charts.style import POINT, Style, errors
from imgproc.report.granularity import amount, growth, who
from imgproc.report.scale import unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pixels of the plot for a wide and a narrow figure, of the words above it, below it.
_HIGH, _HEAD, _FOOT = (260, 200), 30, 44
#: Colours and markers, of ever more workers; neighbours differ in both, and all lines end at other places.
_LOOKS = (("other", "D"), ("accent", "o"), ("ink-2", "s"), ("warn", "^"), ("encode", "v"), ("io", "P"))


def chart(record: Record) -> Chart | None:
    """None where fewer than two numbers of workers have an efficiency."""
    found = record.granularity
    if found is None or found.over not in AXES or len(_lines(found)) < 2:
        return None
    labels = [*_labels(found), _wanted(found)]
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height(labels)
    return Chart(
        "isoefficiency", "scaling", "Isoefficiency", growth(found, record.environment.get("cores_usable")), _alt(found),
        (_HIGH[False] + _HEAD + _FOOT, narrow), partial(_draw, found),
    )  # fmt: skip


def _lines(found: Granularity) -> list[Isoefficiency]:
    return [one for one in found.isoefficiency if sum(a.efficiency is not None for a in one.amounts) > 1]


def _labels(found: Granularity) -> list[str]:
    return [counted(one.workers, unit(found.technique)) for one in _lines(found)]


def _wanted(found: Granularity) -> str:
    return f"{exact_percent(found.efficiency)} wanted"


def _alt(found: Granularity) -> str:
    parts = [f"Efficiency of {who(found).partition(',')[0]}, by {AXES[found.over].lower()}."]
    for label, one in zip(_labels(found), _lines(found), strict=True):
        values = [
            f"{amount(found, a.size)} {percent(a.efficiency)}"
            + (f" ({percent(a.efficiency_ci95[0])} to {percent(a.efficiency_ci95[1])})" if a.efficiency_ci95 else "")
            for a in one.amounts
            if a.efficiency is not None
        ]
        parts.append(f"{label.capitalize()}: {', '.join(values)}.")
    return " ".join(parts)


def _draw(found: Granularity, figure: Figure, style: Style) -> None:
    from matplotlib.ticker import PercentFormatter
    from matplotlib.transforms import offset_copy

    lines, labels = _lines(found), [*_labels(found), _wanted(found)]
    right = 8 if style.narrow else max(map(style.breadth, labels)) + 52
    head = _HEAD + (style.legend_height(labels) if style.narrow else 0)
    left = style.breadth("100 %") + 8
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_xlabel(AXES[found.over])
    axes.set_title("Speedup for each worker", x=-left / (style.width - left - right), pad=9)
    handles: dict[str, Any] = {}
    for k, (label, one) in enumerate(zip(labels, lines, strict=False)):
        shown = [a for a in one.amounts if a.efficiency is not None]
        values = [a.efficiency or 0.0 for a in shown]
        colour, marker = _LOOKS[k % len(_LOOKS)]
        # Aside, where they would hide another's.
        place = offset_copy(axes.transData, figure, x=5 * POINT * (k - (len(lines) - 1) / 2), units="points")
        made = axes.errorbar(
            [a.size for a in shown], values, errors(values, [a.efficiency_ci95 for a in shown]), fmt=f"{marker}-",
            color=style.colour(colour), capsize=3, transform=place, clip_on=False, linewidth=0.9,
        )  # fmt: skip
        handles[label] = made.lines[0]
    handles[labels[-1]] = axes.axhline(found.efficiency, linestyle="--", color=style.colour("ink"), linewidth=0.9)
    every = [a for one in lines for a in one.amounts if a.efficiency is not None]
    label_amounts(axes, sorted({a.size for a in every}), style)
    axes.set_ylim(0, 1.04 * max(v for a in every for v in (a.efficiency or 0.0, *(a.efficiency_ci95 or ()), 1.0)))
    axes.locator_params(axis="y", nbins=6, steps=[1, 2, 5, 10])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    style.legend(figure, handles, *((0, 3, 0) if style.narrow else (style.width - right + 14, _HEAD, 1)))
