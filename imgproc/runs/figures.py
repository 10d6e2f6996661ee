"""The figures of a record: which there are, what they show in words, and their files."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from imgproc.errors import UserError
from imgproc.image.task import write_whole
from imgproc.runs.charts import CHARTS, Chart
from imgproc.runs.layout import SAID, Layout
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.units import seconds

#: Formats with their media types.
FORMATS = {"svg": "image/svg+xml", "png": "image/png"}
THEMES = ("light", "dark")
FOLDER = "figures"
#: Part of the names of kept figures: raise it when they are drawn in another way.
_DRAWN_AS = 1
_IMPORTING = threading.Lock()


@dataclass(frozen=True)
class Figure:
    """A figure on a page: ``sentence`` says what it shows, ``alt`` its values; sizes are width and height in
    pixels. ``columns`` and ``cells`` (a name and its values per technique) are its numbers as a table, where the
    page's table of techniques lacks them."""

    name: str
    title: str
    sentence: str
    alt: str
    wide: tuple[int, int]
    narrow: tuple[int, int]
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, tuple[str, ...]], ...] = ()


def figures(record: Record) -> list[Figure]:
    """Those that the data of the record allow, in the order to show them."""
    return [_described(chart) for make in CHARTS.values() if (chart := make(record))]


def _described(chart: Chart) -> Figure:
    wide, narrow = Layout(chart), Layout(chart, narrow=True)
    sizes = (wide.width, wide.height), (narrow.width, narrow.height)
    return Figure(chart.name, chart.title, chart.sentence, chart.alt, *sizes, *_table(chart))


def _table(chart: Chart) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The single values of a chart, one row per technique."""
    if chart.legend:
        columns = tuple(SAID.get(stage, stage) for stage in chart.legend)
        values = [[dict(row.parts).get(stage) for stage in chart.legend] for row in chart.rows]
    else:
        most = max(len(row.dots) for row in chart.rows)
        columns = tuple(f"Round {k}" for k in range(1, most + 1))
        values = [[*row.dots, *[None] * (most - len(row.dots))] for row in chart.rows]
    cells = (tuple(map(seconds, line)) for line in values)
    return columns, tuple(zip((row.label for row in chart.rows), cells, strict=True)) if columns else ()


def figure(record: Record, name: str, format: str = "svg", theme: str = "light", narrow: bool = False) -> bytes:
    """One figure, 864 pixels wide or 344 if ``narrow``; a PNG has twice as many. The same bytes each time.

    Raises:
        UserError: the record has no such figure, or there is no such format or theme.
    """
    for value, known, field in ((format, FORMATS, "format"), (theme, THEMES, "theme")):
        if value not in known:
            raise UserError(f"The {field} of a figure is {' or '.join(known)}, not “{value}”.", field=field)
    chart = CHARTS[name](record) if name in CHARTS else None
    if chart is None:
        raise UserError("This run has no such figure.", code="not_found")
    drawn: bytes = _drawing().draw(chart, format, theme, narrow, record.id)
    return drawn


def kept(
    record: Record, folder: Path, name: str, format: str = "svg", theme: str = "light", narrow: bool = False
) -> bytes:
    """``figure``, drawn once and then kept in ``folder``, the run's results, as soon as the run has ended.

    Raises:
        UserError: as ``figure`` does.
    """
    # Where its index of fonts goes; a server's home may not be writable.
    os.environ.setdefault("MPLCONFIGDIR", str(folder.parent / ".matplotlib"))
    if record.state not in FINAL_STATES or not _known(name, format, theme):
        return figure(record, name, format, theme, narrow)
    path = folder / FOLDER / f"{name}-{'narrow' if narrow else 'wide'}-{theme}-{_DRAWN_AS}.{format}"
    with suppress(OSError):
        return path.read_bytes()
    made = figure(record, name, format, theme, narrow)
    with suppress(OSError):  # the run was deleted meanwhile, or the disk is full: it can be drawn again
        path.parent.mkdir(exist_ok=True)
        write_whole(path, made)
    return made


def _known(name: str, format: str, theme: str) -> bool:
    """Whether these may be part of a file's name."""
    return name in CHARTS and format in FORMATS and theme in THEMES


def _drawing() -> ModuleType:
    """The module that draws, imported at first use: matplotlib takes a second, and once more to find the fonts."""
    with _IMPORTING:
        # A missing font or folder is nothing that anybody could mend here.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from imgproc.runs import drawing

        return drawing
