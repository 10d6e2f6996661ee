"""Figure ``stages``: the work of all workers, stacked by stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import seconds
from imgproc.report.charts import bars
from imgproc.report.charts.chart import Chart, highlighted, measured, share
from imgproc.report.charts.style import Style, ticks, time_unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

#: The stages before and after the operations, in the order of the work; in place of these a GPU has its own.
BEFORE, AFTER = ("read", "decode"), ("h2d", "kernel", "d2h", "merge", "encode", "write", "transfer")


def chart(record: Record) -> Chart | None:
    """None where no stage was recorded."""
    shown = [t for t in measured(record) if _work(t) > 0]
    if not shown:
        return None
    rows = []
    for t in shown:
        waits = f"{share(_waits(t))} waiting"
        rows.append(bars.Row(t.label, f"{seconds(_work(t))}, {waits}", waits, highlighted(t, record)))
    present = {stage for t in shown for stage, value in t.stages.items() if value > 0}
    known = (*BEFORE, *record.settings.operations, *AFTER)
    # Those nobody knows stand before waiting.
    order = [s for s in (*known, *sorted(present - {*known, "wait"}), "wait") if s in present]
    cells = (tuple(seconds(t.stages.get(stage) or None) for stage in order) for t in shown)
    return Chart(
        "stages", "figures", "Stages", _sentence(shown),
        f"Stacked bars of the seconds of work in each stage: {bars.listed(rows)}.",
        bars.heights(rows, list(_legend(order))), partial(_draw, shown, rows, order), "Technique",
        tuple(_said(stage).capitalize() for stage in order), tuple(zip((t.label for t in shown), cells, strict=True)),
    )  # fmt: skip


def _said(stage: str) -> str:
    return "waiting" if stage == "wait" else stage


def _legend(order: Iterable[str]) -> dict[str, str]:
    """The entries, each with one of its stages: those that look alike share one."""
    groups: dict[tuple[str, str], list[str]] = {}
    for stage in order:
        groups.setdefault(Style().stage(stage), []).append(stage)
    return {", ".join(map(_said, group)): group[0] for group in groups.values()}


def _draw(
    shown: Sequence[TechniqueMeasurement], rows: Sequence[bars.Row], order: Sequence[str], figure: Figure, style: Style
) -> None:
    entries = _legend(order)
    axes = bars.axes(figure, style, rows, style.legend_height(list(entries)))
    high = max(sum(t.stages.values()) for t in shown) * 1.02
    axes.set_xlim(0, high)
    axes.set_xticks(*ticks(0, high, 6 if style.narrow else 7))
    axes.set_xlabel(
        f"{time_unit(high)[1]} of all workers together" + ("" if style.narrow else ", in the round nearest the median")
    )
    drawn: dict[str, Artist] = {}
    lefts, places = [0.0] * len(shown), range(len(shown))
    for stage in order:
        colour, hatch = style.stage(stage)
        outlined = bool(hatch) or colour == "none"
        values = [t.stages.get(stage, 0.0) for t in shown]
        made = axes.barh(
            places, values, bars.BAR[style.narrow], left=lefts, color=colour, hatch=hatch or None, linewidth=0.75,
            # The ground between neighbours keeps those of like lightness apart.
            edgecolor=style.colour(("io" if hatch else "axis") if outlined else "paper"),
        )  # fmt: skip
        drawn[stage] = made.patches[0]
        lefts = [left + value for left, value in zip(lefts, values, strict=True)]
    style.legend(figure, {said: drawn[stage] for said, stage in entries.items()})


def _sentence(shown: Sequence[TechniqueMeasurement]) -> str:
    model = next((t for t in shown if t.name == BASELINE), shown[0])
    largest = max((name for name in model.stages if name != "wait"), key=lambda name: model.stages[name])
    most = f"The stage {largest} takes most of the work, {share(model.stages[largest] / _work(model))}"
    if len(shown) == 1:
        return f"{most} of it; workers wait {share(_waits(model))} of the time."
    idle = max(shown, key=_waits)
    return f"{most} with {model.label}; workers wait longest with {idle.label}, {share(_waits(idle))} of the time."


def _work(t: TechniqueMeasurement) -> float:
    return sum(value for stage, value in t.stages.items() if stage != "wait")


def _waits(t: TechniqueMeasurement) -> float:
    wait = t.stages.get("wait", 0.0)
    return wait / (_work(t) + wait)
