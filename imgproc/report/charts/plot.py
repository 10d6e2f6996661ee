"""A plot of speedups by numbers of workers: points with intervals and lines, named where the lines end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgproc.measure.curves import Point
from imgproc.numbers import counted
from imgproc.report.charts.charts import NARROW, WIDE, Dash, Marker, breadth, broadest, ticks

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

_DODGE = 5
#: Room between the plot and the names at its right.
_LEADER = 24
_AXIS = "Times as fast as sequential"
Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A line of (workers, speedup), and its name."""

    name: str
    line: Line
    colour: str
    dash: Dash
    width: float


@dataclass(frozen=True)
class Look:
    """Of a series' line and points; ``side``: where points step that would hide another's, -1 is to the left."""

    colour: str
    dash: Dash
    marker: Marker
    side: int


@dataclass(frozen=True)
class Dot:
    """How a series' points look, beside its name."""

    look: Look
    hollow: bool = False
    wide: ClassVar[float] = 12

    def draw(self, sheet: Sheet, x: float, y: float) -> None:
        size = 8.5 if self.look.marker == "dot" else 7.5
        fill = "paper" if self.hollow else self.look.colour
        sheet.dots((x,), (y,), self.look.colour, fill, size, 1.8, self.look.marker)


@dataclass(frozen=True)
class Stroke:
    """How a line looks, beside its name."""

    colour: str
    dash: Dash
    width: float
    wide: ClassVar[float] = 26

    def draw(self, sheet: Sheet, x: float, y: float) -> None:
        half = self.wide / 2
        sheet.line((x - half, x + half), (y, y), self.colour, self.width, self.dash)


Sample = Dot | Stroke


@dataclass(frozen=True)
class Entry:
    """A name in the key: its sample begins at ``x``, its middle is at ``y``."""

    text: str
    sample: Sample
    x: float
    y: float


@dataclass(frozen=True)
class Series:
    """Measured points and the line of the law fitted to them; ``law`` says which. ``shared``: the numbers of workers
    that another series has too."""

    name: str
    points: Sequence[Point]
    fitted: Line
    law: str
    shared: set[int]
    look: Look

    @property
    def end(self) -> tuple[float, float]:
        """Where its name belongs: the end of its line, or its last point."""
        last = max(self.points, key=lambda p: p.workers)
        point = float(last.workers), last.speedup or 0.0
        return max(point, self.fitted[-1]) if self.fitted else point

    @property
    def stroke(self) -> Stroke:
        return Stroke(self.look.colour, self.look.dash, 2)

    def said(self) -> list[tuple[str, Sample]]:
        """What stands there, and beside what sample."""
        lines: list[tuple[str, Sample]] = [(self.name, Dot(self.look))]
        return [*lines, (self.law, self.stroke)] if self.law else lines


class Plot:
    """Where the parts of the plot lie: the axes from ``left`` to ``right`` and from ``top`` down to ``bottom``."""

    def __init__(
        self, series: Sequence[Series], curves: Sequence[Curve], workers: Sequence[int], cores: int | None, unit: str,
        logarithmic: bool, narrow: bool,
    ) -> None:  # fmt: skip
        self.series, self.curves, self.workers = series, curves, workers
        self.unit, self.logarithmic, self.narrow = unit, logarithmic, narrow
        self.cores = cores if cores and workers[0] <= cores <= workers[-1] else None
        self.size = 12 if narrow else 14
        self.width = NARROW if narrow else WIDE
        values = [value for curve in curves for _, value in curve.line]
        for one in series:
            values += [v for p in one.points for v in (p.speedup or 0.0, *(p.speedup_ci95 or ()))]
            values += [value for _, value in one.fitted]
        self.high = max(values) * (1.08 if logarithmic else 1.04)
        self.low = min(values) / 1.08 if logarithmic else 0.0
        self.left = round(broadest([said for _, said in self._heights()], self.size)) + 8
        texts = [text for one in series for text in (one.name, one.law)] + [curve.name for curve in curves]
        self.right = self.width - (8 if narrow else round(broadest(texts, self.size) + _LEADER + Stroke.wide) + 8)
        self.pad = 16 if narrow else 26
        self.hollow = any(point.oversubscribed for one in series for point in one.points)
        self.head = round(self.key()[-1].y + self.size * 1.3) if narrow else 0
        self.top = round(self.head + self.size * (3.4 if self.cores else 2))
        self.bottom = self.top + (220 if narrow else 300)
        self.height = self.bottom + 44

    def x(self, workers: float) -> float:
        low, high = self.workers[0], self.workers[-1]
        share = math.log(workers / low) / math.log(high / low) if self.logarithmic else (workers - low) / (high - low)
        return self.left + self.pad + share * (self.right - self.left - 2 * self.pad)

    def y(self, speedup: float) -> float:
        low, high = self.low, self.high
        share = math.log(speedup / low) / math.log(high / low) if self.logarithmic else (speedup - low) / (high - low)
        return self.bottom - share * (self.bottom - self.top)

    def key(self) -> list[Entry]:
        """What the narrow plot, which has no room beside its lines, says above them: it flows into lines."""
        said: list[tuple[str, Sample]] = [(one.name, Dot(one.look)) for one in self.series]
        if self.hollow:
            said.append((f"more {self.unit}s than cores", Dot(self.series[0].look, hollow=True)))
        said += [(curve.name, Stroke(curve.colour, curve.dash, curve.width)) for curve in self.curves]
        said += [(one.law, one.stroke) for one in self.series if one.law]
        found, x, y = [], 0.0, self.size * 0.8
        for text, sample in said:
            wide = sample.wide + 6 + breadth(text, self.size)
            if x and x + wide > self.width:
                x, y = 0.0, y + self.size * 1.6
            found.append(Entry(text, sample, x, y))
            x += wide + 14
        return found

    # ------------------------------------------------------------ drawing

    def draw(self, sheet: Sheet) -> None:
        self._axes(sheet)
        for curve in self.curves:
            self._line(sheet, curve.line, curve.colour, curve.width, curve.dash)
        for one in self.series:
            self._line(sheet, one.fitted, one.look.colour, 2, one.look.dash)
        for one in self.series:
            self._points(sheet, one)
        if self.narrow:
            self._key(sheet)
        else:
            self._names(sheet)

    def _line(self, sheet: Sheet, line: Line, colour: str, width: float, dash: Dash) -> None:
        sheet.line([self.x(at) for at, _ in line], [self.y(value) for _, value in line], colour, width, dash)

    def _axes(self, sheet: Sheet) -> None:
        size = self.size
        for value, said in self._heights():
            y = self.y(value)
            # What is below the line at 1× is slower than sequential.
            sheet.line((self.left, self.right), (y, y), "axis" if value == 1 else "rule")
            sheet.text(self.left - 6, y, said, "ink-2", "right")
        sheet.line((self.left, self.right), (self.bottom, self.bottom), "axis")
        free = 0.0
        for workers in self.workers:
            x, half = self.x(workers), breadth(str(workers), size) / 2
            sheet.line((x, x), (self.bottom, self.bottom + 4), "axis")
            if x - half >= free:
                sheet.text(x, self.bottom + 5 + size * 0.75, str(workers), "ink-2", "center")
                free = x + half + 4
        middle = (self.left + self.right) / 2
        sheet.text(middle, sheet.height - size * 0.7, f"{self.unit.capitalize()}s", "ink-2", "center")
        sheet.text(0, self.head + size * 0.8, _AXIS, "ink-2")
        if self.cores:
            self._cores(sheet, self.cores)

    def _cores(self, sheet: Sheet, cores: int) -> None:
        """A thin line, and what is beyond it."""
        x, size, said = self.x(cores), self.size, counted(cores, "core")
        sheet.line((x, x), (self.top - 4, self.bottom), "ink-3")
        left = min(max(x - breadth(said, size) / 2, 0), self.width - breadth(said, size))
        more = f"{said}; hollow: more {self.unit}s than cores"
        fits = self.hollow and not self.narrow and left + breadth(more, size) <= self.width
        sheet.text(left, self.top - 4 - size * 0.7, more if fits else said, "ink-3")

    def _heights(self) -> list[tuple[float, str]]:
        if not self.logarithmic:
            return ticks(0.0, self.high, 6, "×")
        powers = range(math.ceil(math.log2(self.low)), math.floor(math.log2(self.high)) + 1)
        return [(2.0**k, f"{2.0**k:g}×") for k in powers]

    def _points(self, sheet: Sheet, one: Series) -> None:
        for point in one.points:
            x = self.x(point.workers) + (_DODGE * one.look.side if point.workers in one.shared else 0)
            if point.speedup_ci95:
                low, high = (self.y(value) for value in point.speedup_ci95)
                sheet.line((x, x), (low, high), one.look.colour, 2)
                for y in (low, high):
                    sheet.line((x - 4, x + 4), (y, y), one.look.colour, 1.6)
            Dot(one.look, point.oversubscribed).draw(sheet, x, self.y(point.speedup or 0.0))

    # ------------------------------------------------------------ names

    def _key(self, sheet: Sheet) -> None:
        for entry in self.key():
            entry.sample.draw(sheet, entry.x + entry.sample.wide / 2, entry.y)
            sheet.text(entry.x + entry.sample.wide + 6, entry.y, entry.text, "ink-2")

    def _names(self, sheet: Sheet) -> None:
        """Beside the ends of the lines, pushed apart where they would meet."""
        step = self.size * 1.35
        named = [(one.end, one.said(), 12) for one in self.series]
        named += [(c.line[-1], [(c.name, Stroke(c.colour, c.dash, c.width))], 4) for c in self.curves if c.line]
        named.sort(key=lambda name: self.y(name[0][1]))
        heights = [step * len(lines) + 6 for _, lines, _ in named]
        middles = _apart([self.y(value) for (_, value), _, _ in named], heights, self.top - 10.0, float(self.bottom))
        for ((at, value), lines, gap), middle in zip(named, middles, strict=True):
            first = middle - step * (len(lines) - 1) / 2
            x = self.right + _LEADER
            sheet.line((self.x(at) + gap, self.right + 2, x - 4), (self.y(value), self.y(value), first), "gray")
            for k, (text, sample) in enumerate(lines):
                sample.draw(sheet, x + Stroke.wide / 2, first + k * step)
                sheet.text(x + Stroke.wide + 8, first + k * step, text, "ink" if not k else "ink-2")


def _apart(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Middles as near to the wanted ones, which rise, as blocks of these heights allow without meeting each other."""
    found: list[float] = []
    for middle, height in zip(wanted, heights, strict=True):
        least = found[-1] + (heights[len(found) - 1] + height) / 2 if found else low + height / 2
        found.append(max(middle, least))
    limit = high
    for k in reversed(range(len(found))):
        found[k] = min(found[k], limit - heights[k] / 2)
        limit = found[k] - heights[k] / 2
    return found
