"""What all figures of a record have in common. Nothing here draws."""

from __future__ import annotations

import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

#: The part of the page that a figure belongs to.
Section = Literal["why", "scaling", "figures"]
Unit = Literal["×", "s", "ms"]
#: Kinds of lines, and of marks at points.
Dash = Literal["", "dashed", "long", "dotted"]
Marker = Literal["dot", "diamond"]
#: Pixels across, for a page and for a phone.
WIDE, NARROW = 864, 344


@dataclass(frozen=True)
class Table:
    """The numbers of a figure: ``rows`` are names, which are of the kind ``of``, each with a value per column."""

    of: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Chart(ABC):
    """A figure before it is drawn: ``sentence`` says what it shows, ``alt`` its values."""

    section: ClassVar[Section] = "figures"
    name: ClassVar[str]
    title: ClassVar[str]
    sentence: str
    alt: str

    @abstractmethod
    def size(self, narrow: bool) -> tuple[int, int]:
        """Width and height in pixels."""

    @abstractmethod
    def draw(self, sheet: Sheet) -> None:
        """Put everything on a sheet of that size."""

    def table(self) -> Table | None:
        """Its numbers, where the page's table of techniques lacks them."""
        return None


def measured(record: Record) -> list[TechniqueMeasurement]:
    """Those with times, in the order of the page's table: of a comparison the fastest first, else the baseline last,
    in scale mode by their workers."""
    timed = [t for t in record.techniques if t.available and t.median_seconds]
    if record.mode == "compare":
        return sorted(timed, key=lambda t: t.median_seconds or 0.0)
    if record.mode == "scale":
        return sorted(timed, key=lambda t: (t.name == BASELINE, t.cv2_threads, t.workers))
    return sorted(timed, key=lambda t: t.name == BASELINE)


def cores(record: Record) -> int | None:
    """How many cores the run could use, where its record says so."""
    usable = record.environment.get("cores_usable")
    return usable if isinstance(usable, int) and usable > 0 else None


def ideal(technique: TechniqueMeasurement, record: Record) -> float:
    """The speedup nobody can beat without luck: its workers and their inner threads, but no more than the cores."""
    return float(min(technique.threads, cores(record) or technique.threads))


def share(value: float) -> str:
    """A share in whole percent: 12 %, under 1 %."""
    return f"{round(value * 100)}{NBSP}%" if value >= 0.01 else f"under 1{NBSP}%"


def time_unit(longest: float) -> tuple[Unit, str]:
    """The unit for an axis of seconds that ends at ``longest``, and its name."""
    return ("ms", "Milliseconds") if longest < 0.1 else ("s", "Seconds")


# ---------------------------------------------------------------- axes


def ticks(low: float, high: float, most: int, unit: Unit, logarithmic: bool = False) -> list[tuple[float, str]]:
    """At most so many round values of an axis, and how they are written (a time without its unit)."""
    factor = 1000.0 if unit == "ms" else 1.0
    low, high = low * factor, high * factor
    if logarithmic:
        values, decimals = _logarithmic(low, high, most), 0
    else:
        step, values = _linear(low, high, most)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    said = [f"{value:.{decimals}f}" if decimals and low > 0 else f"{value:,.10g}" for value in values]
    sign = "×" if unit == "×" else ""
    return [(value / factor, text + sign) for value, text in zip(values, said, strict=True)]


def _linear(low: float, high: float, most: int) -> tuple[float, list[float]]:
    """The smallest step of 1, 2 or 5 times a power of ten that gives at most so many values, and these."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return step, [round(k * step, 12) for k in range(first, last + 1)]


def _logarithmic(low: float, high: float, most: int) -> list[float]:
    """At most so many values of 1, 2 and 5 times powers of ten; fewer steps where the axis is long."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        every = [value for k in decades for step in steps if low <= (value := float(f"{step}e{k}")) <= high]
        if len(every) <= most:
            break
    return every[:: math.ceil(len(every) / most)] if every else []


# ---------------------------------------------------------------- text

#: Widths of letters as shares of the font's size, those of DejaVu Sans: the widest of the fonts asked for, and the
#: one that matplotlib has where a machine has none. An SVG is shown in fonts of another machine.
_LETTERS = {
    **dict.fromkeys("ijl.,:;|'’ \u00a0", 0.33),
    **dict.fromkeys("frt()/-", 0.41),
    **dict.fromkeys("mwMW%", 0.96),
    **dict.fromkeys("×+−", 0.84),
}
_CAPITAL, _OTHER, _BOLD = 0.72, 0.63, 1.13


def breadth(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text in a font of that size will be, in pixels."""
    widths = sum(_LETTERS.get(letter, _CAPITAL if letter.isupper() else _OTHER) for letter in text)
    return widths * size * (_BOLD if bold else 1.0)


def broadest(texts: Sequence[str], size: float, bold: bool = False) -> float:
    return max((breadth(text, size, bold) for text in texts), default=0.0)


def wrapped(text: str, room: float, lines: int, size: float, bold: bool = False) -> list[str]:
    """A text in at most so many lines that fit; what is too long ends in an ellipsis."""
    letters = max(4, int(room / max(breadth(text, size, bold) / max(1, len(text)), 1)))
    return textwrap.wrap(text, letters, max_lines=lines, placeholder="…") or [""]
