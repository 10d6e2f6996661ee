"""A run as the start of another one: its settings on the form, its images kept, its command and its request to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgproc.errors import UserError
from imgproc.report import commands
from imgproc.report.longer import offer
from imgproc.runs import longer as lacking
from imgproc.runs.record import Record
from imgproc.web import security
from imgproc.web.form import IMAGES_OF
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
class Repeat:
    """How to do a run again: the ``query`` that fills the form, ``command`` (empty where there is none) and ``curl``;
    whether the form ``keeps`` its images for this browser; the fields that ``compare`` all techniques on them."""

    query: str
    command: str
    curl: str
    keeps: bool
    compare: list[tuple[str, str]]


def repeat(record: Record, submission: Submission, url: str, *, mine: bool) -> Repeat | None:
    """None for a run over items, which no form asks for.

    Args:
        url: where a form is posted to.
        mine: it is this browser's, which alone uses its images again.
    """
    if record.task:
        return None
    return Repeat(
        commands.query(record),
        commands.command(record),
        commands.curl(record, url),
        mine and submission.kept(record) > 0,
        commands.fields(record, "compare"),
    )


def longer(record: Record, submission: Submission) -> str:
    """What measuring on would do, for its owner; empty where the run lacks no rounds, or its images are gone."""
    found = lacking.longer(record, submission.most_seconds)
    return offer(found) if found and submission.kept(record) >= len(record.good_images) else ""
