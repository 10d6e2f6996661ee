"""Figure ``speedup``: a bar per measurement, with its interval, and the ideal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, percent, times, times_interval
from imgproc.report.charts.bars import TONES, Axis, Bars, Places, Row, listed, of_row
from imgproc.report.charts.charts import Dash, breadth, ideal, measured
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet


@dataclass(frozen=True)
class SpeedupRow(Row):
    at: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Speedup(Bars):
    """``ideal`` is a line across, None where there is nothing to gain."""

    name: ClassVar[str] = "speedup"
    title: ClassVar[str] = "Speedup"
    rows: Sequence[SpeedupRow]
    ideal: float | None

    def head(self, places: Places) -> float:
        return 28

    def marks(self, sheet: Sheet, places: Places) -> None:
        for row, middle in places.of(self.rows):
            sheet.block(places.left, middle, places.x(row.at) - places.left, places.bar, TONES[row.kind][0])
        _lines(sheet, places, self.ideal)
        for row, middle in places.of(self.rows):
            if row.kind == "baseline":
                continue
            mark = TONES[row.kind][1]
            if row.interval:
                low, high = (places.x(value) for value in row.interval)
                sheet.line((low, high), (middle, middle), mark, 2.5)
                for x in (low, high):
                    sheet.line((x, x), (middle - places.bar * 0.3, middle + places.bar * 0.3), mark, 1.6)
            sheet.dots((places.x(row.at),), (middle,), mark, "paper" if row.kind == "level" else mark, 8, 1.8)


def chart(record: Record) -> Speedup | None:
    """None where no technique has a speedup, and in scale mode, whose own figures show them."""
    shown = [t for t in measured(record) if t.speedup is not None]
    others = [t for t in shown if t.name != BASELINE]
    if not others or (record.mode == "scale" and record.scaling is not None and record.scaling.strong):
        return None
    rows = [_row(t, record) for t in shown]
    best = max(ideal(t, record) for t in others)
    high = max(best, 1.0, *(value for row in rows for value in (row.at, *(row.interval or ()))))
    beyond = best if best > 1.05 else None
    said = f"; the ideal is {best:g}" if beyond else ""
    along = "Times as fast as sequential"
    return Speedup(
        _sentence(others, record, beyond),
        f"Bars of speedup with 95{NBSP}% intervals: {listed(rows)}{said}.",
        rows,
        Axis(0.0, high * 1.04, "×", f"{along}, with 95{NBSP}% interval", along),
        beyond,
    )


def _row(t: TechniqueMeasurement, record: Record) -> SpeedupRow:
    interval = None if t.name == BASELINE or not t.speedup_ci95 else (t.speedup_ci95[0], t.speedup_ci95[1])
    value = times(t.speedup) + (f" ({times_interval(interval)})" if interval else "")
    label, kind, main = of_row(t, record)
    return SpeedupRow(label, value, value, kind, main, t.speedup or 0.0, interval)


def _sentence(others: Sequence[TechniqueMeasurement], record: Record, best: float | None) -> str:
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
    groups = [
        (sum(t.verdict == "faster" for t in others), "faster than sequential"),
        (sum(t.verdict == "slower" for t in others), "slower"),
        (sum(t.verdict == "no measurable difference" for t in others), "without a measurable difference"),
        (sum(t.verdict is None for t in others), "without an interval"),
    ]
    found = [f"{counted(count, what, words=True)} {how}" for count, how in groups if count]
    return f"{reached}; {', '.join(found)}."


def _lines(sheet: Sheet, places: Places, ideal: float | None) -> None:
    """Those of the baseline and of the ideal."""
    names = [(places.x(1.0), "sequential", "ink-3")]
    if ideal:
        names.append((places.x(ideal), f"ideal {ideal:g}×", "ink"))
    for x, _, colour in names:
        dash: Dash = "dashed" if colour == "ink" else ""
        if places.narrow:  # through the bars only: the names are between them
            for middle in places.middles:
                sheet.line((x, x), (middle - places.bar / 2 - 3, middle + places.bar / 2 + 3), colour, 1.2, dash)
        else:
            sheet.line((x, x), (places.top - 4, places.bottom), colour, 1.2, dash)
    _line_names(sheet, places, names)


def _line_names(sheet: Sheet, places: Places, lines: list[tuple[float, str, str]]) -> None:
    """The names above the lines: in the middle of them, or to both sides where they would meet."""
    y, gap = places.top - 4 - places.size * 0.7, 10
    widths = [breadth(said, places.size) for _, said, _ in lines]
    lefts = [max(0.0, x - width / 2) for (x, _, _), width in zip(lines, widths, strict=True)]
    if len(lines) == 2 and lefts[0] + widths[0] + gap > lefts[1]:
        lefts[0] = max(0.0, lines[0][0] + 4 - widths[0])
        lefts[1] = max(lines[1][0] - 4, lefts[0] + widths[0] + gap)
    lefts[-1] = min(lefts[-1], places.width - widths[-1])
    for (_, said, colour), left, width in zip(lines, lefts, widths, strict=True):
        sheet.text(left + width / 2, y, said, colour, "center")
