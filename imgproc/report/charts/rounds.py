"""Figure ``rounds``: the time of every round as a dot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, seconds
from imgproc.report.charts.bars import TONES, Axis, Bars, Places, Row, listed, of_row
from imgproc.report.charts.charts import Table, measured, share, time_unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

#: Above this ratio of the longest to the shortest round the axis of time is logarithmic.
LOGARITHMIC = 12


@dataclass(frozen=True)
class RoundsRow(Row):
    """``median`` with its ``interval``, and every round, all in seconds."""

    median: float
    interval: tuple[float, float] | None
    walls: tuple[float, ...]


@dataclass(frozen=True)
class Rounds(Bars):
    name: ClassVar[str] = "rounds"
    title: ClassVar[str] = "Every round"
    rows: Sequence[RoundsRow]

    def marks(self, sheet: Sheet, places: Places) -> None:
        bar = places.bar
        for row, middle in places.of(self.rows):
            fill, mark = TONES[row.kind]
            sheet.line((places.left, places.right), (middle, middle), "rule")
            if row.interval:
                low, high = (places.x(value) for value in row.interval)
                sheet.block(low, middle, max(high - low, 1), bar, fill)
            # Spread evenly over the height whatever their number, so that equal times stay apart.
            heights = [middle + ((k * 0.618034) % 1 - 0.5) * bar * 0.7 for k in range(len(row.walls))]
            sheet.dots([places.x(value) for value in row.walls], heights, "ink-2", "", 5.5, 1.1)
            x = places.x(row.median)
            sheet.line((x, x), (middle - bar * 0.62, middle + bar * 0.62), "ink" if mark == "ink-3" else mark, 2.5)

    def table(self) -> Table:
        most = max(len(row.walls) for row in self.rows)
        columns = tuple(f"Round {k}" for k in range(1, most + 1))
        lines = [[*row.walls, *[None] * (most - len(row.walls))] for row in self.rows]
        cells = [tuple(map(seconds, line)) for line in lines]
        return Table("Technique", columns, tuple(zip((row.label for row in self.rows), cells, strict=True)))


def chart(record: Record) -> Rounds | None:
    """None where no technique was timed twice."""
    shown = [t for t in measured(record) if t.rounds]
    if max((len(t.rounds) for t in shown), default=0) < 2:
        return None
    rows = [_row(t, record) for t in shown]
    return Rounds(
        _sentence(shown),
        f"Dots of the time of every round. Medians: {listed(rows)}.",
        rows,
        _axis(rows, counted(len(record.sample or record.good_images), "image")),
    )


def _axis(rows: Sequence[RoundsRow], images: str) -> Axis:
    every = [value for row in rows for value in (*row.walls, *(row.interval or ()))]
    shortest, longest = min(every), max(every)
    logarithmic = shortest > 0 and longest / shortest > LOGARITHMIC
    if logarithmic:
        low, high = shortest / 1.15, longest * 1.15
    else:
        span = max(longest - shortest, longest * 0.02)
        low = shortest - span * 0.06 if shortest > longest / 3 else 0.0
        high = longest + span * 0.06
    unit, words = time_unit(high)
    scale = ", logarithmic axis" if logarithmic else ", axis not from zero" if low > 0 else ""
    said = f"{words} for {images}{scale}"
    return Axis(low, high, unit, said, said, logarithmic)


def _row(t: TechniqueMeasurement, record: Record) -> RoundsRow:
    label, kind, main = of_row(t, record)
    interval = (t.ci95[0], t.ci95[1]) if t.ci95 else None
    walls = tuple(r.wall_seconds for r in t.rounds)
    value = seconds(t.median_seconds)
    return RoundsRow(label, value, value, kind, main, t.median_seconds or 0.0, interval, walls)


def _sentence(shown: Sequence[TechniqueMeasurement]) -> str:
    band = f"the band its 95{NBSP}% interval" if any(t.ci95 for t in shown) else "too few for an interval"
    spreads = [(_spread(t), t.label) for t in shown if len(t.rounds) > 1]
    (least, calm), (most, restless) = min(spreads), max(spreads)
    if len(spreads) == 1:
        within = f"{share(most)} of it"
    else:
        within = f"{share(least)} ({calm}) to {share(most)} ({restless}) of their median"
    other = [t.label for t in shown if t.identical is False]
    return f"Each dot is a round, the line the median, {band}; the rounds lie within {within}." + (
        f" Other pixels, so no speedup: {', '.join(other)}." if other else ""
    )


def _spread(t: TechniqueMeasurement) -> float:
    """How far the round farthest from the median is from it, as a share of it."""
    walls = [r.wall_seconds for r in t.rounds]
    middle = statistics.median(walls)
    return max(abs(wall - middle) for wall in walls) / middle
