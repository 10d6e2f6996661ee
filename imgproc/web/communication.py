"""What handing data over costs on this machine, as the page of techniques shows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from imgproc.errors import UserError
from imgproc.installation import called
from imgproc.report import charts
from imgproc.report import communication as told
from imgproc.report.charts import communication as figure
from imgproc.report.charts import style
from imgproc.runs.communication import Communication


def page(cache: Path) -> dict[str, Any]:
    """What was measured, from the folder ``cache``; else the command that measures it."""
    found = Communication.load(cache)
    return {
        "chart": figure.chart(found),
        "drawn_from": {"measured_at": found.measured},
        "measured": found.measured,
        "sentences": list(told.sentences(found)),
        "columns": told.COLUMNS,
        "rows": told.rows(found),
        "ways": [one.way for one in found.there],
        "command": f"{called()} communication",
    }


def drawing(cache: Path, results: Path, format: str, theme: str, narrow: bool) -> bytes:
    """Its figure.

    Raises:
        UserError: there is no such format or theme, or nothing was measured yet.
    """
    found = Communication.load(cache)
    chart = figure.chart(found)
    if chart is None or format not in charts.FORMATS or theme not in charts.THEMES:
        raise UserError("This machine has no such figure.", code="not_found")
    os.environ.setdefault("MPLCONFIGDIR", str(results / ".matplotlib"))
    return style.save(chart, format, style.Style(theme, narrow), found.measured)
