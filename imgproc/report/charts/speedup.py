"""Figure ``speedup``: a bar per measurement, with its interval, and the ideal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from imgproc.backends import BASELINE
from imgproc.measure.curves import strong_curve
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, percent, times, times_interval
from imgproc.report.charts import bars
from imgproc.report.charts.chart import Chart, highlighted, ideal, measured
from imgproc.report.charts.style import Style, errors
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What is said of the only technique with this verdict, and of several.
_VERDICTS = {
    "faster": ("faster than sequential", "faster than sequential"),
    "slower": ("slower than sequential", "slower"),
    "no measurable difference": ("no measurable difference to sequential", "without a measurable difference"),
    "no difference that matters": ("no difference that matters to sequential", "without one that matters"),
    None: ("too few rounds to be sure", "without an interval"),
}
_FEW = "too few rounds for an interval"


def chart(record: Record) -> Chart | None:
    """None where no technique has a speedup. In scale mode those that differ in the number of workers only."""
    shown = [t for t in measured(record) if t.speedup is not None]
    if record.scaling:
        curve = strong_curve(record.scaling.technique, record.techniques)
        shown = [t for t in shown if t.name == BASELINE or t in curve] if curve else shown
    others = [t for t in shown if t.name != BASELINE]
    if not others:
        return None
    rows = [bars.Row(t.label, said := _said(t), said, highlighted(t, record)) for t in shown]
    best = max(ideal(t, record) for t in others)
    beyond = best if best > 1.05 else None
    said = f"; the ideal is {best:g}" if beyond else ""
    return Chart(
        "speedup", "summary", "Speedup", _sentence(others, beyond),
        f"Bars of speedup with 95{NBSP}% intervals: {bars.listed(rows)}{said}.",
        bars.heights(rows, list(_labels(shown, beyond).values())), partial(_draw, shown, rows, beyond),
    )  # fmt: skip


def side_by_side(
    named: Sequence[tuple[str, TechniqueMeasurement]],
    cores: int,
    sentence: str = "Times as fast as one call after the other of the same function.",
) -> Chart:
    """The speedups of several runs in one figure, each by a name that says of which run it is.

    Args:
        cores: that those runs could use; 1: each its own, so no ideal is drawn.
    """
    rows = [bars.Row(name, said := _said(t), said, False) for name, t in named]
    shown = [t for _, t in named]
    best = float(min(cores, max(t.threads for t in shown)))
    beyond = best if best > 1.05 else None
    return Chart(
        "speedup", "summary", "Speedup", sentence,
        f"Bars of speedup with 95{NBSP}% intervals: {bars.listed(rows)}.",
        bars.heights(rows, list(_labels(shown, beyond).values())), partial(_draw, shown, rows, beyond),
    )  # fmt: skip


def _said(t: TechniqueMeasurement) -> str:
    interval = t.name != BASELINE and times_interval(t.speedup_ci95)
    return times(t.speedup) + (f" ({interval})" if interval else "")


def _labels(shown: Sequence[TechniqueMeasurement], ideal: float | None) -> dict[str, str]:
    """What the legend says of the lines and, where there are any, of open markers."""
    labels = {"sequential": "sequential"} | ({"ideal": f"ideal {ideal:g}×"} if ideal else {})
    if level := [t for t in shown if bars.kind(t) == "level"]:  # in a run either all have intervals or none
        there = {t.verdict for t in level}
        labels["level"] = " or ".join(verdict or _FEW for verdict in _VERDICTS if verdict in there)
    return labels


def _draw(
    shown: Sequence[TechniqueMeasurement], rows: Sequence[bars.Row], ideal: float | None, figure: Figure, style: Style
) -> None:
    labels = _labels(shown, ideal)
    axes = bars.axes(figure, style, rows, style.legend_height(list(labels.values())))
    high = 1.04 * max(ideal or 1.0, 1.0, *(v for t in shown for v in (t.speedup or 0.0, *(t.speedup_ci95 or ()))))
    axes.set_xlim(0, high)
    axes.locator_params(axis="x", nbins=5, steps=[1, 2, 5, 10])
    axes.xaxis.set_major_formatter("{x:,g}×")
    axes.set_xlabel("Times as fast as sequential" + ("" if style.narrow else f", with 95{NBSP}% interval"))
    fills = [style.colour(bars.TONES[bars.kind(t)][0]) for t in shown]
    axes.barh(range(len(rows)), [t.speedup or 0.0 for t in shown], bars.BAR[style.narrow], color=fills)
    handles: dict[str, Any] = {}
    for kind, (_, strong) in bars.TONES.items():
        here = [(k, t) for k, t in enumerate(shown) if bars.kind(t) == kind]
        places, values = [k for k, _ in here], [t.speedup or 0.0 for _, t in here]
        if here and kind != "baseline":
            made = axes.errorbar(
                values, places, xerr=errors(values, [t.speedup_ci95 for _, t in here]), fmt="o", clip_on=False,
                color=style.colour(strong), markerfacecolor=style.colour("paper" if kind == "level" else strong),
            )  # fmt: skip
            handles[kind] = made.lines[0]
    half = bars.BAR[style.narrow] / 2 + 0.04 if style.narrow else 0.5  # the narrow figure has names between its bars
    ends = [k - half for k in range(len(rows))], [k + half for k in range(len(rows))]
    handles["sequential"] = axes.vlines([1.0] * len(rows), *ends, style.colour("ink-3"), linewidth=0.9)
    if ideal:
        handles["ideal"] = axes.vlines([ideal] * len(rows), *ends, style.colour("ink"), "dashed", linewidth=0.9)
    style.legend(figure, {label: handles[name] for name, label in labels.items()})


def _sentence(others: Sequence[TechniqueMeasurement], best: float | None) -> str:
    top = max(others, key=lambda t: t.speedup or 0.0)
    reached = f"{top.label}: {times(top.speedup)}"
    if top.speedup_ci95:
        reached += f" (95{NBSP}% interval {times_interval(top.speedup_ci95)})"
    if best and (top.speedup or 0.0) > best * 1.005:
        reached += f", more than the ideal {best:g}×"
    elif best and (top.speedup or 0.0) > 1:
        reached += f", {percent((top.speedup or 0.0) / best)} of the ideal {best:g}×"
    if len(others) > 1 and not any(t.speedup_ci95 for t in others):
        return "Too few rounds for intervals, so nobody can be called faster."
    if len(others) == 1:
        return f"{reached}; {_VERDICTS.get(top.verdict, _VERDICTS[None])[0]}."
    # One technique may be there several times, with other numbers of workers or another transfer.
    what = "technique" if len({t.name for t in others}) == len(others) else "measurement"
    counts = ((sum(t.verdict == verdict for t in others), how) for verdict, (_, how) in _VERDICTS.items())
    return f"{reached}; {', '.join(f'{counted(count, what, words=True)} {how}' for count, how in counts if count)}."
