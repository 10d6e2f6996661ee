"""Figure ``grid``: speedups of workers times OpenCV's threads in each, as a map of lightness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from imgproc.measure.curves import Cell, Scaling
from imgproc.numbers import counted, times, times_interval
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import POINT, Style
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pixels of a cell, above and below the map, and at most across a cell.
_HIGH, _HEAD, _FOOT, _ACROSS = 44, 46, 30, 190


def chart(record: Record) -> Chart | None:
    """None where only one number of OpenCV's threads has speedups."""
    data = record.scaling
    timed = [cell for cell in data.grid if cell.speedup is not None] if data else []
    if data is None or len({cell.cv2_threads for cell in timed}) < 2:
        return None
    workers, threads, cells = _table(data.grid)
    best, worst = (pick(timed, key=lambda cell: cell.speedup or 0.0) for pick in (max, min))
    values = "; ".join(f"{_spoken(cell)} {_said(cell)}" for cell in data.grid)
    return Chart(
        "grid", "scaling", "Workers and OpenCV’s threads",
        f"Fastest is {_spoken(best)}, {_said(best)}; slowest {_spoken(worst)}, {_said(worst)}.",
        f"Map of speedups by workers and OpenCV’s threads in each: {values}.",
        (_HEAD + _HIGH * len(workers) + _FOOT,) * 2, partial(_draw, data, best), "Workers",
        tuple(f"{counted(count, 'thread')} each" for count in threads),
        tuple((counted(p, "worker"), tuple(map(_said, row))) for p, row in zip(workers, cells, strict=True)),
    )  # fmt: skip


def _table(grid: Sequence[Cell]) -> tuple[list[int], list[int], list[list[Cell | None]]]:
    """The numbers of workers, a row each, and of threads, a column each, and their cells; one may be missing."""
    workers, threads = sorted({cell.workers for cell in grid}), sorted({cell.cv2_threads for cell in grid})
    found = {(cell.workers, cell.cv2_threads): cell for cell in grid}
    return workers, threads, [[found.get((p, count)) for count in threads] for p in workers]


def _draw(data: Scaling, best: Cell, figure: Figure, style: Style) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    (workers, threads, cells), size = _table(data.grid), style.size * POINT
    names = [counted(p, "worker") for p in workers]
    left = max(map(style.breadth, names)) + 14
    wide = min((style.width - 4 - left) / len(threads), _ACROSS)
    axes = style.axes(figure, left, _HEAD, style.width - left - wide * len(threads), _FOOT)
    heat = LinearSegmentedColormap.from_list("heat", [style.colour("heat-0"), style.colour("heat-1")])
    speedups = [[cell.speedup if cell and cell.speedup else math.nan for cell in row] for row in cells]
    places = range(len(threads) + 1), range(len(workers) + 1)
    axes.pcolormesh(*places, speedups, cmap=heat, edgecolors=style.colour("paper"), linewidth=1.5)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.set_xticks([k + 0.5 for k in range(len(threads))], labels=[str(count) for count in threads])
    axes.set_yticks([k + 0.5 for k in range(len(workers))], labels=names, ha="left")
    axes.tick_params(length=0, pad=4, labelcolor=style.colour("ink"), top=True, labeltop=True, labelbottom=False)
    axes.tick_params(axis="y", pad=(left - 1) * 0.75)
    axes.set_title("OpenCV’s threads in each worker", pad=size + 9)
    reached = [cell.speedup for cell in data.grid if cell.speedup]
    low = min(reached)
    rings: list[tuple[float, float, str]] = []
    for row, column in product(range(len(workers)), range(len(threads))):
        cell = cells[row][column]
        if cell is None:
            continue
        colour = heat(((cell.speedup or low) - low) / (max(reached) - low or 1.0))[:3]
        # On this side of the limit black, on the other white has the better contrast, 4.58 at least.
        ink = ("black" if luminance(colour) > 0.179 else "white") if cell.speedup else style.colour("ink-3")
        value, points, interval = times(cell.speedup), size, times_interval(cell.speedup_ci95)
        if style.breadth(value, cell is best) > wide - 6:
            value, points = value.rstrip("×"), size * 0.85
        lines = [(value, points, "bold" if cell is best else "normal")]
        if interval and style.breadth(interval) * 0.82 < wide - 8:
            lines.append((interval, size * 0.82, "normal"))
        for k, (text, points, weight) in enumerate(lines):
            y = row + 0.5 + (17 * k - 8) * (len(lines) - 1) / _HIGH
            axes.text(column + 0.5, y, text, ha="center", va="center", color=ink, size=points, weight=weight)
        if cell.oversubscribed:
            rings.append((column + 10 / wide, row + 0.23, ink))
        if cell is best or cell.speedup is None:  # other pixels have no colour
            edge, width = (style.colour("ink"), 1.9) if cell is best else (style.colour("rule"), POINT)
            axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=edge, linewidth=width))
    if rings:
        over = f"more threads than the {counted(data.cores, 'core')}" if data.cores else "more threads than cores"
        xs, ys, inks = zip(*rings, strict=True)
        look: dict[str, Any] = {"s": 20, "facecolors": "none", "linewidths": 1.0}
        axes.scatter(xs, ys, edgecolors=inks, **look)
        handle = axes.scatter([], [], edgecolors=style.colour("ink-2"), **look)
        style.legend(figure, {over: handle}, left, figure.bbox.height - _FOOT + 9)


def luminance(colour: Sequence[float]) -> float:
    """Of a colour of shares of red, green and blue, by WCAG."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _spoken(cell: Cell) -> str:
    return f"{counted(cell.workers, 'worker')} with {counted(cell.cv2_threads, 'thread')} each"


def _said(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return times(cell.speedup) + (f" ({times_interval(cell.speedup_ci95)})" if cell.speedup_ci95 else "")
