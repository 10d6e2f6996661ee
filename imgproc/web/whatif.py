"""The page on which a law of scaling is laid over the points of a run, by fields of its address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgproc.errors import UserError
from imgproc.measure.whatif import WhatIf
from imgproc.numbers import NBSP
from imgproc.report import charts, whatif
from imgproc.report.charts import style
from imgproc.report.charts import whatif as figure
from imgproc.report.whatif import as_dict as as_dict
from imgproc.runs.record import Record


def asked(record: Record, query: Mapping[str, str]) -> WhatIf:
    """What the address asks.

    Raises:
        UserError: the run has no points for a law, or a value is out of range; then ``field`` names it.
    """
    return whatif.chosen(whatif.bases(record), query)


def form(record: Record, query: Mapping[str, str]) -> dict[str, Any]:
    """The fields, as ``query`` has them, else as the run suggests."""
    found = whatif.bases(record)
    law = query.get("law", "").strip()
    law = law if law in found else next(iter(found))
    fields = whatif.fields(found, law)
    typed = {field.name: query.get(field.name, "").strip() for field in fields}
    return {
        "fields": {field.name: field for field in fields},
        "values": {field.name: typed[field.name] or f"{field.default}" for field in fields},
        "laws": [(name, whatif.NAMES[name], True) for name in found],
        "label": whatif.label(found[law]),
        "start_note": whatif.start_note(found[law]),
    }


def page(record: Record, shown: WhatIf, query: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows of it."""
    return {
        **form(record, query),
        "said": whatif.said(shown),
        "chart": figure.chart(shown),
        "drawn_from": {"of_run": record.id, "query": whatif.query_of(shown)},
    }


def text(shown: WhatIf) -> str:
    return "\n".join(whatif.said(shown).sentences).replace(NBSP, " ") + "\n"


def drawing(record: Record, query: Mapping[str, str], results: Path, format: str, theme: str, narrow: bool) -> bytes:
    """The figure of what ``query`` asks.

    Raises:
        UserError: as ``asked`` does, or there is no such format or theme.
    """
    shown = asked(record, query)
    if format not in charts.FORMATS or theme not in charts.THEMES:
        raise UserError("This run has no such figure.", code="not_found")
    os.environ.setdefault("MPLCONFIGDIR", str(results / ".matplotlib"))
    return style.save(figure.chart(shown), format, style.Style(theme, narrow), record.id)
