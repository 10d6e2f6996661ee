"""Figures with a row per measurement: names at the left (or above each bar, if narrow), values at the right, the axis
below."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.report.charts.charts import NARROW, WIDE, Chart, Unit, breadth, ticks, wrapped
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

Kind = Literal["faster", "slower", "level", "baseline"]
#: Colour of the bar and of the marks on it.
TONES: dict[Kind, tuple[str, str]] = {
    "faster": ("accent-soft", "accent"),
    "slower": ("warn-soft", "warn"),
    "level": ("gray", "ink-3"),
    "baseline": ("gray", "ink-3"),
}
_FOOT = 44


@dataclass(frozen=True)
class Row:
    """One measurement: its name and its value in words, also where there is less room; ``main`` is the one that the
    run is about."""

    label: str
    value: str
    brief: str
    kind: Kind
    main: bool


R = TypeVar("R", bound=Row)


def of_row(t: TechniqueMeasurement, record: Record) -> tuple[str, Kind, bool]:
    """The label, the kind and whether it is the main one. A name may stand for several measurements, as with other
    numbers of workers, so the main one is told by identity."""
    verdicts: dict[str | None, Kind] = {"faster": "faster", "slower": "slower"}
    return t.label, "baseline" if t.name == BASELINE else verdicts.get(t.verdict, "level"), t is record.technique


def listed(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.label} {row.value}" for row in rows)


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``, in units of ``unit``; ``said`` is what is along it, also where there is less room."""

    low: float
    high: float
    unit: Unit
    said: str
    said_narrow: str
    logarithmic: bool = False


@dataclass(frozen=True)
class Bars(Chart):
    """``rows`` from top to bottom."""

    rows: Sequence[Row]
    axis: Axis

    @abstractmethod
    def marks(self, sheet: Sheet, places: Places) -> None:
        """Draw what stands for the values."""

    def head(self, places: Places) -> float:
        """Pixels above the rows."""
        return 4

    def size(self, narrow: bool) -> tuple[int, int]:
        places = Places(self, narrow)
        return places.width, places.bottom + _FOOT

    def draw(self, sheet: Sheet) -> None:
        places = Places(self, sheet.narrow)
        self.marks(sheet, places)
        _names(sheet, places, self.rows)
        _axis(sheet, places, self.axis)


class Places:
    """Where the parts of such a figure lie: ``left`` to ``right`` is the axis, which lies at ``bottom``; ``middles``
    are those of the rows' bars."""

    def __init__(self, chart: Bars, narrow: bool) -> None:
        self.narrow, self._axis = narrow, chart.axis
        self.size = 12 if narrow else 14
        self.pitch, self.bar = (46, 16) if narrow else (36, 19)
        self.width = NARROW if narrow else WIDE
        if narrow:
            self.left, self.right = 10.0, self.width - 12.0
        else:
            names = max(breadth(row.label, self.size, row.main) for row in chart.rows)
            values = max(breadth(row.value, self.size, row.main) for row in chart.rows)
            self.left = min(max(names + 14, 120.0), 230.0)
            self.right = self.width - values - 18
        self.top = round(chart.head(self))
        self.bottom = self.top + self.pitch * len(chart.rows) + 2
        below = 0.66 if narrow else 0.5  # the narrow figure has the name above the bar
        self.middles = [self.top + self.pitch * (k + below) for k in range(len(chart.rows))]

    def x(self, value: float) -> float:
        """Where a value of the axis lies."""
        low, high = self._axis.low, self._axis.high
        if self._axis.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def of(self, rows: Sequence[R]) -> Iterator[tuple[R, float]]:
        """Each row and where the middle of its bar lies."""
        return zip(rows, self.middles, strict=True)


def _names(sheet: Sheet, places: Places, rows: Sequence[Row]) -> None:
    size = places.size
    for row, middle in places.of(rows):
        if places.narrow:
            above = middle - places.bar / 2 - size * 0.8
            room = places.width - breadth(row.brief, size, row.main) - 12
            sheet.text(0, above, wrapped(row.label, room, 1, size, row.main)[0], bold=row.main)
            sheet.text(places.width, above, row.brief, align="right", bold=row.main)
            continue
        lines = wrapped(row.label, places.left - 10, 2, size, row.main)
        for k, line in enumerate(lines):
            sheet.text(0, middle + (k - (len(lines) - 1) / 2) * size * 1.15, line, bold=row.main)
        sheet.text(places.right + 16, middle, row.value, bold=row.main)


def _axis(sheet: Sheet, places: Places, axis: Axis) -> None:
    y = places.bottom
    sheet.line((places.left, places.right), (y, y), "axis")
    for value, said in ticks(axis.low, axis.high, 6 if places.narrow else 7, axis.unit, axis.logarithmic):
        sheet.line((places.x(value),) * 2, (y, y + 4), "axis")
        half = breadth(said, places.size) / 2
        x = min(max(places.x(value), half), sheet.width - half)
        sheet.text(x, y + 5 + places.size * 0.75, said, "ink-2", "center")
    label = axis.said_narrow if places.narrow else axis.said
    sheet.text((places.left + places.right) / 2, sheet.height - places.size * 0.7, label, "ink-2", "center")
