"""A run as the start of another one: its settings on the form, its images kept, its command and its request to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app, url_for

from imgproc.errors import UserError
from imgproc.report import commands
from imgproc.report.longer import offer
from imgproc.runs import longer as lacking
from imgproc.runs.record import Record
from imgproc.settings import Settings
from imgproc.web import security
from imgproc.web.form import CLASS, IMAGES_OF, SHOWN_AS, Fields, parse_run
from imgproc.web.submit import Submission


@dataclass(frozen=True)
class Kept:
    """The run whose images the form takes, and how many there are."""

    id: str
    images: int


def kept(fields: Mapping[str, str], submission: Submission) -> Kept | None:
    """What the form says of images that an address or a post names; None where there are none for this browser."""
    run_id = fields.get(IMAGES_OF, "").strip()
    try:
        run = submission.before(run_id, security.known_owner()) if run_id else None
    except UserError:
        return None
    count = submission.kept(run) if run else 0
    return Kept(run_id, count) if count else None


@dataclass(frozen=True)
class Typed:
    """Settings to copy: a ``link`` that fills the form with its ``query``; a ``command``, empty where there is none; a
    request by ``curl``, which sends a ``token`` where the app asks for one."""

    link: str
    query: str
    command: str
    curl: str
    token: bool


def typed(record: Record, *more: tuple[str, str], seed: bool = False) -> Typed:
    """The settings of a run, and ``more`` fields; with the ``seed`` where it was asked for."""
    asked = [*commands.fields(record, seed=seed), *more]
    query, token = commands.query(asked), bool(current_app.config["ACCESS_TOKEN"])
    return Typed(
        f"{url_for('index', _external=True)}?{query}",
        query,
        commands.command(record),
        commands.curl(asked, url_for("process", _external=True), token=token),
        token,
    )


def typed_form(fields: Fields, settings: Settings) -> Typed:
    """What the fields of a form ask for.

    Raises:
        UserError: a field is unknown or its value not allowed.
    """
    mode, asked = parse_run(fields, settings)
    more = [(name, value) for name in (CLASS, SHOWN_AS) if (value := fields.get(name, "").strip())]
    return typed(Record("", mode, asked), *more, seed=True)


@dataclass(frozen=True)
class Repeat:
    """How to do a run again: its settings ``typed``; whether the form ``keeps`` its images for this browser; the fields
    that ``compare`` all techniques on them."""

    typed: Typed
    keeps: bool
    compare: list[tuple[str, str]]


def repeat(record: Record, submission: Submission, *, mine: bool) -> Repeat | None:
    """None for a run over items, which no form asks for.

    Args:
        mine: it is this browser's, which alone uses its images again.
    """
    if record.task:
        return None
    return Repeat(typed(record), mine and submission.kept(record) > 0, commands.fields(record, "compare"))


def longer(record: Record, submission: Submission) -> str:
    """What measuring on would do, for its owner; empty where the run lacks no rounds, or its images are gone."""
    found = lacking.longer(record, submission.most_seconds)
    return offer(found) if found and submission.kept(record) >= len(record.good_images) else ""
