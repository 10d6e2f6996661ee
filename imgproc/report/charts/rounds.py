"""Figure ``rounds``: the time of every round as a dot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, seconds
from imgproc.report.charts import bars
from imgproc.report.charts.chart import Chart, highlighted, measured, share
from imgproc.report.charts.style import Style, ticks, time_unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Above this ratio of the longest to the shortest round the axis of time is logarithmic.
LOGARITHMIC = 12


def chart(record: Record) -> Chart | None:
    """None where no technique was timed twice."""
    shown = [t for t in measured(record) if t.rounds]
    most = max((len(t.rounds) for t in shown), default=0)
    if most < 2:
        return None
    rows = [bars.Row(t.label, said := seconds(t.median_seconds), said, highlighted(t, record)) for t in shown]
    walls = {t.label: [seconds(r.wall_seconds) for r in t.rounds] for t in shown}
    return Chart(
        "rounds", "figures", "Every round", _sentence(shown),
        f"Dots of the time of every round. Medians: {bars.listed(rows)}.", bars.heights(rows),
        partial(_draw, shown, rows, counted(record.count, record.unit)), "Technique",
        tuple(f"Round {k}" for k in range(1, most + 1)),
        tuple((label, (*said, *[seconds(None)] * (most - len(said)))) for label, said in walls.items()),
    )  # fmt: skip


def _draw(
    shown: Sequence[TechniqueMeasurement], rows: Sequence[bars.Row], images: str, figure: Figure, style: Style
) -> None:
    axes, high = bars.axes(figure, style, rows), bars.BAR[style.narrow]
    every = [value for t in shown for value in (*(r.wall_seconds for r in t.rounds), *(t.ci95 or ()))]
    start, end, logarithmic = _limits(min(every), max(every))
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(start, end)
    axes.set_xticks(*ticks(start, end, 6 if style.narrow else 7, logarithmic))
    axes.minorticks_off()
    scale = ", logarithmic axis" if logarithmic else ", axis not from zero" if start > 0 else ""
    axes.set_xlabel(f"{time_unit(end)[1]} for {images}{scale}")
    axes.hlines(range(len(rows)), start, end, style.colour("rule"), linewidth=0.75, zorder=0)
    tones = [[style.colour(name) for name in bars.TONES[bars.kind(t)]] for t in shown]
    for k, (t, (soft, strong)) in enumerate(zip(shown, tones, strict=True)):
        if t.ci95:
            low, top = t.ci95
            edge, hatch = (strong, "/////") if t.identical is False else (soft, None)
            axes.barh(k, top - low, high, left=low, color=soft, edgecolor=edge, hatch=hatch)
        # Spread evenly over the height whatever their number, so that equal times stay apart.
        heights = [k + ((n * 0.618034) % 1 - 0.5) * high * 0.7 for n in range(len(t.rounds))]
        axes.plot(
            [r.wall_seconds for r in t.rounds], heights, "o", markersize=4.1, markeredgewidth=0.8,
            markerfacecolor="none", markeredgecolor=style.colour("ink-2"),
        )  # fmt: skip
    quiet, ink, places = style.colour("ink-3"), style.colour("ink"), range(len(shown))
    ends = [k - high * 0.62 for k in places], [k + high * 0.62 for k in places]
    middles = [ink if strong == quiet else strong for _, strong in tones]
    axes.vlines([t.median_seconds or 0.0 for t in shown], *ends, middles, linewidth=1.9)


def _limits(shortest: float, longest: float) -> tuple[float, float, bool]:
    """Ends of the axis of time, and whether it is logarithmic."""
    if shortest > 0 and longest / shortest > LOGARITHMIC:
        return shortest / 1.15, longest * 1.15, True
    margin = max(longest - shortest, longest * 0.02) * 0.06
    return shortest - margin if shortest > longest / 3 else 0.0, longest + margin, False


def _sentence(shown: Sequence[TechniqueMeasurement]) -> str:
    band = f"the band its 95{NBSP}% interval" if any(t.ci95 for t in shown) else "too few for an interval"
    # How far the round farthest from the median is from it, as a share of it.
    middles = [(t, t.median_seconds or 1.0) for t in shown if len(t.rounds) > 1]
    spreads = [(max(abs(r.wall_seconds - m) for r in t.rounds) / m, t.label) for t, m in middles]
    (least, calm), (most, restless) = min(spreads), max(spreads)
    if len(spreads) == 1:
        within = f"{share(most)} of it"
    else:
        within = f"{share(least)} ({calm}) to {share(most)} ({restless}) of their median"
    other = [t.label for t in shown if t.identical is False]
    return f"Each dot is a round, the line the median, {band}; the rounds lie within {within}." + (
        f" Other pixels, so no speedup (hatched): {', '.join(other)}." if other else ""
    )
