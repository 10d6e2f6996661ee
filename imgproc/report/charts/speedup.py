"""Figure ``speedup``: a bar per measurement, with its interval, and the ideal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from imgproc.backends import BASELINE
from imgproc.measure.curves import strong_curve
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, percent, times, times_interval
from imgproc.report.charts import bars
from imgproc.report.charts.chart import Chart, ideal, measured
from imgproc.report.charts.style import Style, ticks
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD = 28


def chart(record: Record) -> Chart | None:
    """None where no technique has a speedup. In scale mode those that differ in the number of workers only."""
    shown = [t for t in measured(record) if t.speedup is not None]
    if record.scaling:
        curve = strong_curve(record.scaling.technique, record.techniques)
        shown = [t for t in shown if t.name == BASELINE or t in curve] if curve else shown
    others = [t for t in shown if t.name != BASELINE]
    if not others:
        return None
    rows = [_row(t, record) for t in shown]
    best = max(ideal(t, record) for t in others)
    beyond = best if best > 1.05 else None
    said = f"; the ideal is {best:g}" if beyond else ""
    return Chart(
        "speedup",
        "summary",
        "Speedup",
        _sentence(others, beyond),
        f"Bars of speedup with 95{NBSP}% intervals: {bars.listed(rows)}{said}.",
        bars.heights(rows, (_HEAD, _HEAD)),
        partial(_draw, shown, rows, beyond),
    )


def _row(t: TechniqueMeasurement, record: Record) -> bars.Row:
    interval = t.name != BASELINE and times_interval(t.speedup_ci95)
    value = times(t.speedup) + (f" ({interval})" if interval else "")
    return bars.Row(t.label, value, value, t is record.technique)


def _draw(
    shown: Sequence[TechniqueMeasurement], rows: Sequence[bars.Row], ideal: float | None, figure: Figure, style: Style
) -> None:
    axes = bars.axes(figure, style, rows, _HEAD)
    high = max(ideal or 1.0, 1.0, *(value for t in shown for value in (t.speedup or 0.0, *(t.speedup_ci95 or ()))))
    axes.set_xlim(0, high * 1.04)
    ticks(axes.xaxis, 0, high * 1.04, 6 if style.narrow else 7, "×", suffix="×")
    axes.set_xlabel("Times as fast as sequential" + ("" if style.narrow else f", with 95{NBSP}% interval"))
    for kind, (soft, strong) in bars.TONES.items():
        here = [(k, t) for k, t in enumerate(shown) if bars.kind(t) == kind]
        places, values = [k for k, _ in here], [t.speedup or 0.0 for _, t in here]
        axes.barh(places, values, bars.bar(style), color=style.colour(soft))
        if kind == "baseline" or not here:
            continue
        ends = [t.speedup_ci95 or (float("nan"),) * 2 for _, t in here]
        errors = [[v - low for v, (low, _) in zip(values, ends, strict=True)]]
        errors.append([top - v for v, (_, top) in zip(values, ends, strict=True)])
        colour = style.colour(strong)
        axes.errorbar(
            values, places, xerr=errors, fmt="o", color=colour, markersize=6, markeredgewidth=1.35, capsize=4,
            markerfacecolor=style.colour("paper") if kind == "level" else colour, elinewidth=1.9, capthick=1.2,
            label="no measurable difference" if kind == "level" else "",
        )  # fmt: skip
    lines = [(1.0, "sequential", "ink-3", "-")] + ([(ideal, f"ideal {ideal:g}×", "ink", "--")] if ideal else [])
    half = bars.bar(style) / 2 + 0.07 if style.narrow else 0.5  # the narrow figure has names between its bars
    for value, name, colour, dash in lines:
        starts = [k - half for k in range(len(rows))]
        ends_at = [k + half for k in range(len(rows))]
        axes.vlines([value] * len(rows), starts, ends_at, style.colour(colour), dash, linewidth=0.9, label=name)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(0, 1), ncols=3)


def _sentence(others: Sequence[TechniqueMeasurement], best: float | None) -> str:
    top = max(others, key=lambda t: t.speedup or 0.0)
    reached = f"{top.label}: {times(top.speedup)}"
    if top.speedup_ci95:
        reached += f" (95{NBSP}% interval {times_interval(top.speedup_ci95)})"
    if best and (top.speedup or 0.0) > best * 1.005:
        reached += f", more than the ideal {best:g}×"
    elif best and (top.speedup or 0.0) > 1:
        reached += f", {percent((top.speedup or 0.0) / best)} of the ideal {best:g}×"
    if len(others) == 1:
        said = {
            "faster": "faster than sequential.",
            "slower": "slower than sequential.",
            "no measurable difference": "no measurable difference to sequential.",
        }
        return f"{reached}; {said.get(top.verdict or '', 'too few rounds to be sure.')}"
    # One technique may be there several times, with other numbers of workers or another transfer.
    what = "technique" if len({t.name for t in others}) == len(others) else "measurement"
    groups = {
        "faster": "faster than sequential",
        "slower": "slower",
        "no measurable difference": "without a measurable difference",
        None: "without an interval",
    }
    counts = ((sum(t.verdict == verdict for t in others), how) for verdict, how in groups.items())
    return f"{reached}; {', '.join(f'{counted(count, what, words=True)} {how}' for count, how in counts if count)}."
