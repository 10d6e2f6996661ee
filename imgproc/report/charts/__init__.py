"""The figures of a record: which there are, what they show in words, and their files."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.report.charts import (
    granularity,
    grid,
    isoefficiency,
    roofline,
    rounds,
    scaling,
    speedup,
    stages,
    style,
    waterfall,
)
from imgproc.report.charts.chart import Chart
from imgproc.runs.record import FINAL_STATES, Record

#: THE table of figures, in the order they are shown. A new one is one file in this folder and one entry here.
CHARTS: dict[str, Callable[[Record], Chart | None]] = {
    "speedup": speedup.chart,
    "waterfall": waterfall.chart,
    "roofline": roofline.chart,
    "scaling": scaling.chart,
    "grid": grid.chart,
    "granularity": granularity.chart,
    "isoefficiency": isoefficiency.chart,
    "rounds": rounds.chart,
    "stages": stages.chart,
}
#: Formats with their media types.
FORMATS = {"svg": "image/svg+xml", "png": "image/png"}
THEMES = tuple(style.COLOURS)
FOLDER = "figures"
#: Part of the names of kept figures: raise it when they are drawn in another way.
_DRAWN_AS = 5


def figures(record: Record) -> list[Chart]:
    """Those that the data of the record allow, in the order to show them."""
    return [made for make in CHARTS.values() if (made := make(record))]


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
    return style.save(chart, format, style.Style(theme, narrow), record.id)


def kept(
    record: Record, folder: Path, name: str, format: str = "svg", theme: str = "light", narrow: bool = False
) -> bytes:
    """``figure``, drawn once and then kept in ``folder``, the run's results, as soon as the run has ended.

    Raises:
        UserError: as ``figure`` does.
    """
    # Where its index of fonts goes; a server's home may not be writable.
    os.environ.setdefault("MPLCONFIGDIR", str(folder.parent / ".matplotlib"))
    if record.state not in FINAL_STATES or not (name in CHARTS and format in FORMATS and theme in THEMES):
        return figure(record, name, format, theme, narrow)
    path = folder / FOLDER / f"{name}-{'narrow' if narrow else 'wide'}-{theme}-{_DRAWN_AS}.{format}"
    with suppress(OSError):
        return path.read_bytes()
    made = figure(record, name, format, theme, narrow)
    with suppress(OSError):  # the run was deleted meanwhile, or the disk is full: it can be drawn again
        path.parent.mkdir(exist_ok=True)
        write_whole(path, made)
    return made
