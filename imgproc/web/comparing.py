"""The page that sets runs side by side: some of the history, and records that were sent from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from flask import Request
from werkzeug.datastructures import FileStorage

from imgproc.errors import UserError
from imgproc.report.differences import Side, compared, short_names
from imgproc.runs.elsewhere import read_foreign
from imgproc.runs.record import Record
from imgproc.web.front import REFUSED

#: Most runs on one page, and megabytes of one record that is sent.
MOST, MOST_MEGABYTES = 6, 20
FILES, RUNS = "records", "run"
#: What the page shows besides an error.
NOTHING: dict[str, Any] = {"found": None, "sides": [], "most": MOST, "megabytes": MOST_MEGABYTES}
#: Reading and verifying a record takes memory and time: one request after the other.
reading = threading.Lock()


def page(request: Request, find: Callable[[str], Record]) -> dict[str, Any]:
    """What the page shows: a comparison where there are two runs or more, a record from elsewhere by itself where it
    is the only one, else how to choose them.

    Args:
        find: gives the record of a run that this browser may see; raises UserError.

    Raises:
        UserError: too many runs, a record is too large or none, or there is no such run.
    """
    sent = records_sent(request, MOST)  # first: it sets what a form may bring
    chosen = list(dict.fromkeys(name.strip() for name in request.values.getlist(RUNS) if name.strip()))
    if len(chosen) + len(sent) > MOST:
        raise UserError(f"Up to {MOST} runs stand side by side; these are {len(chosen) + len(sent)}.", field=RUNS)
    sides = [Side(name, find(run)) for name, run in zip(_short(chosen), chosen, strict=True)]
    with reading:
        sides += _from_elsewhere(sent)
    found = compared(sides) if len(sides) > 1 or sent else None
    return {**NOTHING, "found": found, "sides": sides}


def _short(ids: Sequence[str]) -> list[str]:
    """Names for runs: as much of their ids as tells them apart."""
    length = next((n for n in range(6, 64) if len({run[:n] for run in ids}) == len(ids)), 64)
    return [f"Run {run[:length]}" for run in ids]


def records_sent(request: Request, most_records: int) -> list[tuple[str, bytes]]:
    """Names and contents of the records that were posted.

    Raises:
        UserError: one is too large, or all together are.
    """
    if request.method != "POST":
        return []
    if problem := request.environ.get(REFUSED):
        raise problem
    most = most_records * MOST_MEGABYTES * 1_000_000
    if (request.content_length or 0) > most:
        raise _too_large("These records")
    request.max_content_length = most  # where no length is said
    files = request.files.getlist(FILES)
    try:
        return [(file.filename, _read(file)) for file in files if file.filename]
    finally:
        for file in files:
            file.close()


def _read(file: FileStorage) -> bytes:
    data = file.stream.read(MOST_MEGABYTES * 1_000_000 + 1)
    if len(data) > MOST_MEGABYTES * 1_000_000:
        raise _too_large(str(file.filename))
    return data


def _too_large(what: str) -> UserError:
    return UserError(
        f"{what}: a record may have up to {MOST_MEGABYTES} MB here. “python -m imgproc diff” takes larger ones.",
        code="too_large", field=FILES, limit=MOST_MEGABYTES,
    )  # fmt: skip


def _from_elsewhere(sent: Sequence[tuple[str, bytes]]) -> list[Side]:
    names = short_names([name for name, _ in sent]) if sent else []
    read = [read_foreign(data, name) for name, (_, data) in zip(names, sent, strict=True)]
    return [Side(one.name, one.record, True, one.wrong) for one in read]
