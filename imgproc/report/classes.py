"""A class: the speedups of many machines as one figure, and its lines as a table for other programs."""

from __future__ import annotations

from collections.abc import Sequence

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.speedup import side_by_side
from imgproc.report.sentences import spoken
from imgproc.report.tables import Table
from imgproc.runs.classes import Line

#: More bars than this are no picture any more: then those are drawn that are spread evenly over the order.
MOST_DRAWN = 40
_COLUMNS = (
    "shown_as", "cpu", "cores", "technique", "label", "workers", "speedup", "speedup_low", "speedup_high", "verdict",
    "mode", "function", "images", "megapixels", "created", "from_elsewhere",
)  # fmt: skip


def table(lines: Sequence[Line]) -> Table:
    """All of them; nothing in it leads to a run."""
    return Table(
        _COLUMNS,
        [
            (
                x.shown_as, x.cpu, x.cores, x.technique, x.label, x.workers, x.speedup, x.speedup_low, x.speedup_high,
                x.verdict, x.mode, x.task, x.images, x.megapixels, x.created, x.elsewhere,
            )
            for x in lines
        ],
    )  # fmt: skip


def interval(line: Line) -> list[float] | None:
    """Of the speedup."""
    ends = line.speedup_low, line.speedup_high
    return [end for end in ends if end is not None] if None not in ends else None


def figure(lines: Sequence[Line]) -> Chart | None:
    """The speedup of each machine with its interval; None where none has any."""
    timed = [line for line in lines if line.speedup is not None and line.technique != BASELINE]
    if not timed:
        return None
    shown = timed
    said = f"How many times as fast as the sequential program on the same machine: {counted(len(timed), 'run')}"
    if len(timed) > MOST_DRAWN:
        shown = [timed[round(k * (len(timed) - 1) / (MOST_DRAWN - 1))] for k in range(MOST_DRAWN)]
        said += f"; {MOST_DRAWN} are drawn, evenly spread over the order"
    return side_by_side([(_name(line), _measured(line)) for line in shown], 1, f"{said}.")


def _name(line: Line) -> str:
    cores = f"{counted(line.cores, 'core')}, " if line.cores else ""
    return f"{line.shown_as or line.cpu or 'unknown processor'}: {cores}{spoken(line.label)}"


def _measured(line: Line) -> TechniqueMeasurement:
    return TechniqueMeasurement(
        line.technique, line.label, line.workers, speedup=line.speedup, speedup_ci95=interval(line),
        verdict=line.verdict,  # type: ignore[arg-type]
    )  # fmt: skip


def different_work(lines: Sequence[Line]) -> bool:
    """Whether not all did the same, as far as the number and size of the images tell."""
    return len({(line.task, line.images, round(line.megapixels, 2)) for line in lines}) > 1
