"""Figure ``grid``: speedups of workers times OpenCV's threads in each, as a map of lightness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgproc.measure.curves import Cell
from imgproc.numbers import counted, times, times_interval
from imgproc.report.charts.charts import NARROW, WIDE, Chart, Section, Table, breadth, broadest
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

_FOOT = 30


@dataclass(frozen=True)
class Grid(Chart):
    """A row per number of workers, a column per number of threads; a place may be missing."""

    name: ClassVar[str] = "grid"
    title: ClassVar[str] = "Workers and OpenCV’s threads"
    section: ClassVar[Section] = "scaling"
    cells: tuple[Cell, ...]
    cores: int | None

    @property
    def workers(self) -> list[int]:
        return sorted({cell.workers for cell in self.cells})

    @property
    def threads(self) -> list[int]:
        return sorted({cell.cv2_threads for cell in self.cells})

    @property
    def best(self) -> Cell:
        return max(self.cells, key=lambda cell: cell.speedup or 0.0)

    def at(self, workers: int, threads: int) -> Cell | None:
        return next((c for c in self.cells if (c.workers, c.cv2_threads) == (workers, threads)), None)

    def size(self, narrow: bool) -> tuple[int, int]:
        places = _Places(self, narrow)
        return places.width, places.height

    def draw(self, sheet: Sheet) -> None:
        places = _Places(self, sheet.narrow)
        _heads(sheet, places, self)
        reached = [cell.speedup for cell in self.cells if cell.speedup is not None]
        for cell in self.cells:
            share = 0.0
            if cell.speedup is not None and max(reached) > min(reached):
                share = (cell.speedup - min(reached)) / (max(reached) - min(reached))
            _cell(sheet, places, cell, share, cell is self.best)

    def table(self) -> Table:
        columns = tuple(_per_worker(count) for count in self.threads)
        rows = []
        for workers in self.workers:
            found = [self.at(workers, count) for count in self.threads]
            rows.append((counted(workers, "worker"), tuple(_said(cell) if cell else "–" for cell in found)))
        return Table("Workers", columns, tuple(rows))


class _Places:
    def __init__(self, chart: Grid, narrow: bool) -> None:
        self.narrow = narrow
        self.size = 12 if narrow else 14
        self.width = NARROW if narrow else WIDE
        self.chart = chart
        self.left = round(broadest([counted(p, "worker") for p in chart.workers], self.size)) + 14
        columns = len(chart.threads)
        self.cell = min((self.width - 4 - self.left) / columns, 190.0), 44.0
        self.top = round(self.size * 3.6)
        ring = any(cell.oversubscribed for cell in chart.cells)
        self.height = round(self.top + self.cell[1] * len(chart.workers)) + (_FOOT if ring else 4)

    def corner(self, cell: Cell) -> tuple[float, float]:
        wide, high = self.cell
        column, row = self.chart.threads.index(cell.cv2_threads), self.chart.workers.index(cell.workers)
        return self.left + wide * column, self.top + high * row


def _heads(sheet: Sheet, places: _Places, chart: Grid) -> None:
    wide, high = places.cell
    size = places.size
    sheet.text(places.left + 2, size * 0.8, "OpenCV’s threads in each worker", "ink-2")
    for k, count in enumerate(chart.threads):
        sheet.text(places.left + wide * (k + 0.5), size * 2.5, str(count), align="center")
    for k, count in enumerate(chart.workers):
        sheet.text(0, places.top + high * (k + 0.5), counted(count, "worker"))
    if any(cell.oversubscribed for cell in chart.cells):
        y = sheet.height - size * 0.8
        over = f"more threads than the {counted(chart.cores, 'core')}" if chart.cores else "more threads than cores"
        sheet.dots((places.left + 7,), (y,), "ink-2", "", 7, 1.6)
        sheet.text(places.left + 18, y, over, "ink-2")


def _cell(sheet: Sheet, places: _Places, cell: Cell, share: float, best: bool) -> None:
    (x, y), (wide, high) = places.corner(cell), places.cell
    fill, edge, ink = "", "rule", "ink-3"
    if cell.speedup is not None:
        fill, edge = _between(sheet.colour("heat-0"), sheet.colour("heat-1"), share), ""
        ink = readable(fill)
    sheet.block(x + 1, y + high / 2, wide - 2, high - 2, fill, edge=edge)
    size = float(places.size)
    small = size * 0.82
    value = times(cell.speedup)
    if breadth(value, size, best) > wide - 6:
        value, size = value.rstrip("×"), size * 0.85
    interval = times_interval(cell.speedup_ci95) if breadth(times_interval(cell.speedup_ci95), small) < wide - 8 else ""
    middle = y + high / 2
    sheet.text(x + wide / 2, middle - (8 if interval else 0), value, ink, "center", best, size)
    if interval:
        sheet.text(x + wide / 2, middle + 9, interval, ink, "center", size=small)
    if cell.oversubscribed:
        sheet.dots((x + 10,), (y + 10,), ink, "", 6, 1.4)
    if best:
        sheet.outline(x + 1, y + 1, wide - 2, high - 2, "ink", 2.5)


def _between(low: str, high: str, share: float) -> str:
    """The colour so far on the way from one to the other."""
    ends = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in (low, high)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(*ends, strict=True))


def readable(ground: str) -> str:
    """Black or white, whichever stands out: the better of them has a contrast of 4.58 at least on any colour."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, ground))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


# ---------------------------------------------------------------- what it shows


def chart(record: Record) -> Grid | None:
    """None where only one number of OpenCV's threads has speedups."""
    cells = record.scaling.grid if record.scaling else []
    timed = [cell for cell in cells if cell.speedup is not None]
    if record.scaling is None or len({cell.cv2_threads for cell in timed}) < 2:
        return None
    return Grid(_sentence(timed), _alt(cells), tuple(cells), record.scaling.cores)


def _sentence(timed: Sequence[Cell]) -> str:
    best, worst = (pick(timed, key=lambda cell: cell.speedup or 0.0) for pick in (max, min))
    return f"Fastest is {_spoken(best)}, {_said(best)}; slowest {_spoken(worst)}, {_said(worst)}."


def _alt(cells: Sequence[Cell]) -> str:
    values = "; ".join(f"{_spoken(cell)} {_said(cell)}" for cell in cells)
    return f"Map of speedups by workers and OpenCV’s threads in each: {values}."


def _spoken(cell: Cell) -> str:
    return f"{counted(cell.workers, 'worker')} with {counted(cell.cv2_threads, 'thread')} each"


def _per_worker(count: int) -> str:
    return f"{counted(count, 'thread')} each"


def _said(cell: Cell) -> str:
    return times(cell.speedup) + (f" ({times_interval(cell.speedup_ci95)})" if cell.speedup_ci95 else "")
