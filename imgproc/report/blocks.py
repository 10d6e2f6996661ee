"""A text as the blocks that it is made of: lines, paragraphs and tables, which plain text has as lines and a terminal
draws."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field

from imgproc.numbers import NBSP

#: Columns of plain text that is wrapped.
_WIDE = 100


@dataclass(frozen=True)
class Paragraph:
    """Text that may be wrapped."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table. ``right``: its cells end in one line, as numbers do; ``wraps``: its cells may take several
    lines; ``rank``: where there is little room, those of the highest rank are left out first, and those of 0 never."""

    head: str
    right: bool = False
    wraps: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Row:
    """A row of a table: a text for each column, and its ``speedup`` with the interval, for a bar; None: no bar.
    ``verdict`` is that of the speedup; ``best``: it is measurably the fastest."""

    cells: tuple[str, ...]
    speedup: float | None = None
    interval: tuple[float, float] | None = None
    verdict: str | None = None
    best: bool = False


@dataclass(frozen=True)
class Drawn:
    """A table: ``plain`` are its lines in plain text, which may be none; the rest is what it is drawn from."""

    plain: list[str]
    columns: tuple[Column, ...]
    rows: list[Row] = field(default_factory=list)


#: A line, which may not be wrapped in plain text, or what is more than a line.
Block = str | Paragraph | Drawn


def as_text(blocks: Iterable[Block]) -> str:
    """All of it as plain text, each line with its end."""
    return "".join(f"{line}\n" for block in blocks for line in _lines(block))


def _lines(block: Block) -> list[str]:
    if isinstance(block, str):
        return [block]
    if isinstance(block, Paragraph):
        return [textwrap.fill(block.text, _WIDE, subsequent_indent="  ", break_on_hyphens=False).replace(NBSP, " ")]
    return block.plain


def ends(interval: Iterable[float] | None) -> tuple[float, float] | None:
    """An interval as a pair; None where there is none."""
    low_high = tuple(interval or ())
    return (low_high[0], low_high[1]) if len(low_high) == 2 else None
