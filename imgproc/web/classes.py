"""The page of a class: one table of the runs that were posted to it, and records that are brought from elsewhere."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from flask import Request

from imgproc.errors import UserError
from imgproc.report import charts
from imgproc.report import classes as told
from imgproc.report.charts import style
from imgproc.report.differences import short_names
from imgproc.report.pictures import Micro, micro
from imgproc.runs import classes
from imgproc.runs.access import parse_class, parse_shown
from imgproc.runs.classes import Line
from imgproc.runs.elsewhere import read_foreign
from imgproc.web import lookup, security
from imgproc.web.comparing import FILES, MOST_MEGABYTES, reading, records_sent
from imgproc.web.form import SHOWN_AS

#: Most records that are sent at once.
MOST = 30


@dataclass(frozen=True)
class Shown:
    """A line with its mark; ``mine``: this browser posted it."""

    line: Line
    interval: list[float] | None
    micro: Micro | None
    mine: bool


def checked(name: str) -> str:
    """The name of a class from an address.

    Raises:
        UserError: no class can be called so.
    """
    if not (found := parse_class(name)):
        raise UserError("There is nothing at this address. It may be mistyped.", code="not_found")
    return found


def page(name: str) -> dict[str, Any]:
    """What the page shows; a class that nobody posted to yet is an empty one.

    Raises:
        UserError: no class can be called so.
    """
    name = checked(name)
    lines = _lines(name)
    top = max((value for line in lines for value in (line.speedup, line.speedup_high) if value), default=0.0)
    return {
        "name": name,
        "lines": [_shown(line, top) for line in lines],
        "table": told.table(lines),
        "chart": told.figure(lines),
        "drawn_from": {"class_name": name, "of": _digest(lines)},
        "different_work": told.different_work(lines),
        "elsewhere": sum(line.elsewhere for line in lines),
        "most": MOST,
        "most_lines": classes.MOST_LINES,
        "megabytes": MOST_MEGABYTES,
    }


def bring(name: str, request: Request) -> list[Line]:
    """Add a line for each record that was sent.

    Raises:
        UserError: there is none, or one cannot be posted; those before it are.
    """
    sent = records_sent(request, MOST)
    name, shown_as = checked(name), parse_shown(request.form.get(SHOWN_AS, ""))
    if not sent:
        raise UserError("Choose a run.json to post.", field=FILES)
    if len(sent) > MOST:
        raise UserError(f"Up to {MOST} records can be sent at once; these are {len(sent)}.", field=FILES, limit=MOST)
    names, owner = short_names([file for file, _ in sent]), security.owner()
    with reading:
        return [
            classes.bring(
                name, read_foreign(data, short), data, owner, shown_as, lookup.store(), lookup.settings().RESULTS_DIR
            )
            for short, (_, data) in zip(names, sent, strict=True)
        ]


def withdraw(name: str, key: str) -> str:
    """Take out the line with that key.

    Raises:
        UserError: there is none, or somebody else posted it.
    """
    name, results = checked(name), lookup.settings().RESULTS_DIR
    line = classes.brought(name, key, results)
    if line:
        security.require_owner(line.owner)
        classes.withdraw(name, line, results)
        return key
    row = lookup.store().get(key)
    if row is None or row.class_name != name or not security.is_owner(row.owner):
        raise UserError("There is no such line of yours in this class.", code="not_found")
    classes.post(key, "", "", lookup.store(), results)
    return key


def drawing(name: str, format: str, theme: str, narrow: bool) -> bytes:
    """Its figure.

    Raises:
        UserError: there is no such format or theme, or nothing to draw yet.
    """
    name, results = checked(name), lookup.settings().RESULTS_DIR
    chart = told.figure(_lines(name))
    if chart is None or format not in charts.FORMATS or theme not in charts.THEMES:
        raise UserError("This class has no such figure.", code="not_found")
    os.environ.setdefault("MPLCONFIGDIR", str(results / ".matplotlib"))
    return style.save(chart, format, style.Style(theme, narrow), name)


def _lines(name: str) -> list[Line]:
    return classes.lines(name, lookup.store(), lookup.settings().RESULTS_DIR)


def _shown(line: Line, top: float) -> Shown:
    ends = told.interval(line)
    ideal = float(min(line.workers, line.cores or line.workers))
    return Shown(line, ends, micro(line.speedup, ends, ideal, line.verdict, top=top), security.is_owner(line.owner))


def _digest(lines: list[Line]) -> str:
    return hashlib.sha256("".join(f"{line.key} {line.shown_as}\n" for line in lines).encode()).hexdigest()[:16]
