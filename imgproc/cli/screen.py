"""What was found as a terminal shows it, by rich: tables that fit its width, with a bar for each speedup.

Loaded only where standard output is a terminal and there is a table to draw."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgproc.numbers import NBSP
from imgproc.report.blocks import Block, Column, Drawn, Paragraph, Row

#: Columns between two columns of a table.
_GAP = 2
#: Where there is less room, a column that wraps is this wide, and a bar at least and at most this wide.
_WRAPPED, _LEAST_BAR, _MOST_BAR = 16, 10, 40
_TO_COPY = "Command: "
_STYLES = {"faster": "green", "slower": "red"}
_SURE, _LOWER, _UPPER = "█", "▓", "░"


def draw(blocks: Iterable[Block]) -> None:
    """Print the blocks on standard output, which is a terminal."""
    console = Console(file=sys.stdout, highlight=False)
    for block in blocks:
        if isinstance(block, Drawn):
            if not block.plain:  # it is only here, where it needs its distance
                console.print()
            _draw_table(console, block)
        else:
            line = block.text if isinstance(block, Paragraph) else block
            # A command stays one line to whoever copies it, however many the terminal shows.
            console.print(_headed(line), soft_wrap=line.startswith(_TO_COPY))


def _headed(line: str) -> Text:
    """A line, with the word before its colon (“Advice: …”) set off."""
    text = Text(_printable(line))
    head, colon, _ = line.partition(": ")
    if colon and head.replace(" ", "").isalpha() and len(head) < 20:
        text.stylize("bold", 0, len(head) + 1)
    return text


def _printable(text: str) -> str:
    """Without signs that would tell a terminal to do something: names are from anybody."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.replace(NBSP, " "))


# ---------------------------------------------------------------- tables


def _draw_table(console: Console, drawn: Drawn) -> None:
    cells = [[_printable(cell) for cell in row.cells] for row in drawn.rows]
    wide = [max((len(line[k]) for line in (_heads(drawn.columns), *cells)), default=0) for k in _all(drawn)]
    bars = any(row.speedup for row in drawn.rows)
    shown = _that_fit(drawn.columns, wide, console.width - bars * (_LEAST_BAR + _GAP))
    room = console.width - _taken(drawn.columns, wide, shown) - _GAP
    whole = room >= -_GAP  # else names are folded too
    bars = bars and room >= _LEAST_BAR
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_edge=False)
    top = max((end for row in drawn.rows for end in (row.speedup or 0.0, *(row.interval or ()))), default=1.0)
    width = min(room, _MOST_BAR)
    for k in shown:
        column = drawn.columns[k]
        table.add_column(
            Text(column.head),
            justify="right" if column.right else "left",
            no_wrap=column.right or (whole and not column.wraps),
            overflow="fold",
        )
    if bars:
        table.add_column(Text(_axis(max(top, 1.0), width)), no_wrap=True, width=width)
    for row, line in zip(drawn.rows, cells, strict=True):
        texts = [Text(line[k]) for k in shown]
        if bars:
            texts.append(Text(bar(row, max(top, 1.0), width), style=_STYLES.get(row.verdict or "", "")))
        table.add_row(*texts, style="bold" if row.best else "")
    console.print(table)
    if bars and any(row.interval for row in drawn.rows):
        console.print(Text(f"Bars are speedups; {_LOWER}{_UPPER} is the 95% interval.", style="dim"))


def _heads(columns: Sequence[Column]) -> list[str]:
    return [column.head for column in columns]


def _all(drawn: Drawn) -> range:
    return range(len(drawn.columns))


def _that_fit(columns: Sequence[Column], wide: Sequence[int], width: int) -> list[int]:
    """The places of the columns that have room and say anything, the less important ones left out first."""
    shown = [k for k, column in enumerate(columns) if wide[k]]
    while _taken(columns, wide, shown) > width and (some := [k for k in shown if columns[k].rank]):
        shown.remove(max(some, key=lambda k: columns[k].rank))
    return shown


def _taken(columns: Sequence[Column], wide: Sequence[int], shown: Sequence[int]) -> int:
    """How many signs wide these columns are with the gaps between them."""
    widths = (min(wide[k], _WRAPPED) if columns[k].wraps else wide[k] for k in shown)
    return sum(widths) + _GAP * max(0, len(shown) - 1)


# ---------------------------------------------------------------- bars


def bar(row: Row, top: float, width: int) -> str:
    """A speedup as a bar, of which ``width`` signs are ``top``: as far as its interval begins it is full, then it is
    the interval, lighter beyond the speedup itself."""
    if not row.speedup:
        return ""
    low, high = row.interval or (row.speedup, row.speedup)
    sure, middle, end = (min(width, round(value / top * width)) for value in (low, row.speedup, high))
    return _SURE * sure + _LOWER * (middle - sure) + _UPPER * (end - middle)


def _axis(top: float, width: int) -> str:
    """The head of the bars: where they are as long as the baseline's, and where they end."""
    one = round(width / top)
    if top < 1.05 or one < 2:
        return "1x".rjust(one)
    end = f"{top:.3g}x"
    left = "1x".rjust(one)
    return left + end.rjust(width - len(left)) if width - len(left) > len(end) else left
