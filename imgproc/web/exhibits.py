"""The page of an exhibit: the newest run of each of its functions, waited for or told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgproc.backends import TECHNIQUES
from imgproc.errors import UserError
from imgproc.exhibits import Exhibit, Part
from imgproc.report import charts, exhibits
from imgproc.report.charts import style
from imgproc.report.exhibits import Measured
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.store import RunRow, Store
from imgproc.web import pages


@dataclass(frozen=True)
class Shown:
    """One function: its newest run, if there is one, and what was measured, or why that is not there to be shown."""

    part: Part
    row: RunRow | None
    measured: Measured | None
    note: str

    @property
    def going_on(self) -> bool:
        return self.row is not None and self.row.state not in FINAL_STATES


def page(shown: Exhibit, store: Store, results: Path) -> dict[str, Any]:
    rows = list(_rows(shown, store, results))
    measured = [row.measured for row in rows if row.measured]
    waits = [row.row for row in rows if row.row and row.going_on]
    current = next((row for row in waits if row.state == "running"), waits[0] if waits else None)
    top = exhibits.highest(shown, measured)
    chart = None if waits else exhibits.figure(shown, measured)
    conclusion, *said = exhibits.lesson(shown, measured) or [""]
    return {
        "exhibit": shown,
        "rows": rows,
        "words": exhibits.words(shown),
        "measured": measured,
        "current": current,
        "current_part": next((row.part for row in rows if row.row is current), None),
        "live": pages.live(current, store.position(current.id)) if current else None,
        "chart": chart,
        "drawn_from": {"exhibit": shown.name, "of": "-".join(one.record.id for one in measured)},
        "conclusion": conclusion,
        "sentences": said,
        "wrong": [(one.record, other) for one in measured for other in one.record.other_pixels if other.picture],
        "cells": {one.part.name: one.cells(shown, top) for one in measured},
        "labels": {name: TECHNIQUES[name].label for name in shown.techniques},
        "alarms": sum(len(one.record.alarms) for one in measured),
        "finished": max((one.record.finished or one.record.created for one in measured), default=""),
    }


def going_on(shown: Exhibit, store: Store) -> list[str]:
    """Its runs that wait or are measured, in their order."""
    rows = (store.newest(_task(shown, part)) for part in shown.parts)
    return [row.id for row in rows if row and row.state not in FINAL_STATES]


def text(shown: Exhibit, store: Store, results: Path) -> str:
    """All of it in plain text."""
    rows = list(_rows(shown, store, results))
    notes = [f"{row.part.label}: {row.note}" for row in rows if row.note]
    return exhibits.text(shown, [row.measured for row in rows if row.measured], notes)


def drawing(shown: Exhibit, store: Store, results: Path, format: str, theme: str, narrow: bool) -> bytes:
    """Its figure.

    Raises:
        UserError: there is no such format or theme, or nothing to draw yet.
    """
    measured = [row.measured for row in _rows(shown, store, results) if row.measured]
    chart = exhibits.figure(shown, measured)
    if chart is None or format not in charts.FORMATS or theme not in charts.THEMES:
        raise UserError("This exhibit has no such figure.", code="not_found")
    os.environ.setdefault("MPLCONFIGDIR", str(results / ".matplotlib"))
    return style.save(chart, format, style.Style(theme, narrow), shown.name)


def _rows(shown: Exhibit, store: Store, results: Path) -> Iterator[Shown]:
    for part in shown.parts:
        row = store.newest(_task(shown, part))
        measured, note = _measured(part, row, results)
        yield Shown(part, row, measured, note)


def _task(shown: Exhibit, part: Part) -> str:
    return f"{shown.name}/{part.name}"


def _measured(part: Part, row: RunRow | None, results: Path) -> tuple[Measured | None, str]:
    if row is None:
        return None, "not measured yet"
    if row.state != "done":
        return None, row.error or row.state
    try:
        return Measured(part, Record.load(results / row.id)), ""
    except UserError as problem:
        return None, problem.message
