"""Figure ``stages``: the work of all workers, stacked by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import seconds
from imgproc.report.charts.bars import Axis, Bars, Places, Row, listed, of_row
from imgproc.report.charts.charts import Table, breadth, measured, share, time_unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

#: The stages before and after the operations, in the order of the work; in place of these a GPU has its own.
BEFORE, AFTER = ("read", "decode"), ("h2d", "kernel", "d2h", "merge", "encode", "write", "transfer", "wait")
#: What a stage is called in a figure, where not by its name.
SAID = {"wait": "waiting"}
#: Colour (none: only an outline) and hatching of a stage.
LOOKS: dict[str, tuple[str, str]] = {
    "read": ("io", ""),
    "decode": ("decode", ""),
    "canny": ("canny", ""),
    "gaussian": ("gaussian", ""),
    "equalize": ("equalize", ""),
    "h2d": ("paper", "//////"),
    "kernel": ("canny", ""),
    "d2h": ("paper", "//////"),
    "encode": ("encode", ""),
    "write": ("io", ""),
    "transfer": ("paper", "//////"),
    "merge": ("ink", ""),
    "wait": ("", ""),
}
_SWATCH = 11


@dataclass(frozen=True)
class StagesRow(Row):
    """``parts``: the seconds of each stage, in the order of the work."""

    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Entry:
    """One entry of the legend: its swatch begins at ``x``, its middle is at ``y``."""

    stages: tuple[str, ...]
    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Stages(Bars):
    """``order``: the stages that any row has, in the order of the work."""

    name: ClassVar[str] = "stages"
    title: ClassVar[str] = "Stages"
    rows: Sequence[StagesRow]
    order: tuple[str, ...]

    def head(self, places: Places) -> float:
        return len({entry.y for entry in self.legend(places)}) * places.size * 1.6 + 10

    def legend(self, places: Places) -> list[Entry]:
        """Stages that look alike share an entry; the entries flow into as many lines as they need."""
        groups: dict[object, list[str]] = {}
        for stage in self.order:
            groups.setdefault(_look(stage), []).append(stage)
        entries, x, y = [], places.left, places.size * 0.8
        for stages in groups.values():
            text = ", ".join(SAID.get(stage, stage) for stage in stages)
            wide = _SWATCH + 6 + breadth(text, places.size)
            if x > places.left and x + wide > places.width:
                x, y = places.left, y + places.size * 1.6
            entries.append(Entry(tuple(stages), text, x, y))
            x += wide + 14
        return entries

    def marks(self, sheet: Sheet, places: Places) -> None:
        for entry in self.legend(places):
            colour, hatch = _look(entry.stages[0])
            sheet.block(entry.x, entry.y, _SWATCH, _SWATCH, colour, hatch)
            sheet.text(entry.x + _SWATCH + 6, entry.y, entry.text, "ink-2")
        for row, middle in places.of(self.rows):
            at = 0.0
            for stage, value in row.parts:
                left, right = places.x(at), places.x(at + value)
                gap = 1.0 if right - left > 3 else 0.0  # keeps neighbours of like lightness apart
                colour, hatch = _look(stage)
                sheet.block(left, middle, right - left - gap, places.bar, colour, hatch)
                at += value

    def table(self) -> Table:
        columns = tuple(SAID.get(stage, stage).capitalize() for stage in self.order)
        cells = (tuple(seconds(dict(row.parts).get(stage)) for stage in self.order) for row in self.rows)
        return Table("Technique", columns, tuple(zip((row.label for row in self.rows), cells, strict=True)))


def chart(record: Record) -> Stages | None:
    """None where no stage was recorded."""
    shown = [t for t in measured(record) if _work(t) > 0]
    if not shown:
        return None
    rows = [_row(t, record) for t in shown]
    high = max(sum(value for _, value in row.parts) for row in rows) * 1.02
    unit, words = time_unit(high)
    present = {stage for row in rows for stage, _ in row.parts}
    along = f"{words} of all workers together"
    return Stages(
        _sentence(shown),
        f"Stacked bars of the seconds of work in each stage: {listed(rows)}.",
        rows,
        Axis(0.0, high, unit, f"{along}, in the round nearest the median", along),
        tuple(stage for stage in _order(record, present) if stage in present),
    )


def _order(record: Record, present: set[str]) -> list[str]:
    """The stages in the order of the work; those nobody knows stand before waiting."""
    known = [*BEFORE, *record.settings.operations, *AFTER[:-1]]
    return [*known, *sorted(present - {*known, "wait"}), "wait"]


def _row(t: TechniqueMeasurement, record: Record) -> StagesRow:
    label, kind, main = of_row(t, record)
    order = _order(record, set(t.stages))
    parts = tuple((stage, t.stages[stage]) for stage in order if t.stages.get(stage, 0.0) > 0)
    waits = f"{share(_waits(t))} waiting"
    return StagesRow(label, f"{seconds(_work(t))}, {waits}", waits, kind, main, parts)


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


def _look(stage: str) -> tuple[str, str]:
    """Stages without a look of their own, such as a new operation, are dotted."""
    return LOOKS.get(stage, ("equalize", "....."))
