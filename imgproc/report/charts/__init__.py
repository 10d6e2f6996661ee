"""The figures of a record: which there are, what they show in words, and their files."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.report.charts import grid, rounds, scaling, speedup, stages, waterfall
from imgproc.report.charts.charts import Chart, Section
from imgproc.runs.record import FINAL_STATES, Record

#: THE table of figures, in the order they are shown. A new one is one file in this folder and one entry here.
CHARTS: dict[str, Callable[[Record], Chart | None]] = {
    "waterfall": waterfall.chart,
    "scaling": scaling.chart,
    "grid": grid.chart,
    "speedup": speedup.chart,
    "rounds": rounds.chart,
    "stages": stages.chart,
}
#: Formats with their media types.
FORMATS = {"svg": "image/svg+xml", "png": "image/png"}
THEMES = ("light", "dark")
FOLDER = "figures"
#: Part of the names of kept figures: raise it when they are drawn in another way.
_DRAWN_AS = 2
_IMPORTING = threading.Lock()


@dataclass(frozen=True)
class Figure:
    """A figure on a page, in its ``section``: ``sentence`` says what it shows, ``alt`` its values; sizes are width
    and height in pixels. ``columns`` and ``cells`` (a name, which is of the kind ``of``, and its values) are its
    numbers as a table, where the page's other tables lack them."""

    name: str
    section: Section
    title: str
    sentence: str
    alt: str
    wide: tuple[int, int]
    narrow: tuple[int, int]
    of: str = ""
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, tuple[str, ...]], ...] = ()


def figures(record: Record) -> list[Figure]:
    """Those that the data of the record allow, in the order to show them."""
    return [_described(made) for make in CHARTS.values() if (made := make(record))]


def _described(chart: Chart) -> Figure:
    table = chart.table()
    numbers = (table.of, table.columns, table.rows) if table else ()
    sizes = chart.size(narrow=False), chart.size(narrow=True)
    return Figure(chart.name, chart.section, chart.title, chart.sentence, chart.alt, *sizes, *numbers)


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
        from imgproc.report.charts import drawing

        return drawing
