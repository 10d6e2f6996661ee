"""What all figures of a record have in common. Nothing here draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP
from imgproc.report.charts.style import WIDTHS, Style
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """A figure, in its ``section`` of the page: ``sentence`` says what it shows, ``alt`` its values. ``heights`` are
    those of the wide and of the narrow one, in pixels. ``columns`` and ``cells`` (a name, which is of the kind ``of``,
    and its values) are its numbers as a table, where the page's other tables lack them."""

    name: str
    section: Literal["summary", "why", "bounds", "scaling", "figures"]
    title: str
    sentence: str
    alt: str
    heights: tuple[int, int]
    draw: Callable[[Figure, Style], None]
    of: str = ""
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def wide(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return WIDTHS[False], self.heights[False]

    @property
    def narrow(self) -> tuple[int, int]:
        return WIDTHS[True], self.heights[True]


def measured(record: Record) -> list[TechniqueMeasurement]:
    """Those with times, in the order of the page's table."""
    of_label = {t.label: t for t in record.techniques if t.available and t.median_seconds}
    return [of_label[label] for label in record.found.order if label in of_label]


def ideal(technique: TechniqueMeasurement, record: Record) -> float:
    """The speedup nobody can beat without luck: its workers and their inner threads, but no more than the cores."""
    cores = record.environment.get("cores_usable")
    return float(min(technique.threads, cores if isinstance(cores, int) and cores > 0 else technique.threads))


def highlighted(t: TechniqueMeasurement, record: Record) -> bool:
    """Whether it is the one that the run is about; none where too few rounds crown nobody."""
    return t is record.technique and record.found.outcome != "undecided"


def share(value: float) -> str:
    """A share in whole percent: 12 %, under 1 %."""
    return f"{round(value * 100)}{NBSP}%" if value >= 0.01 else f"under 1{NBSP}%"
