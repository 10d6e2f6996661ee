"""Waiting on behalf of clients: for a run, for one like curl; for files to be checked, for a moment.

Whoever waits holds a thread, so only so many do; the others are told at once where to look."""

from __future__ import annotations

import threading
import time

from flask import request

from imgproc.errors import UserError
from imgproc.runs.record import FINAL_STATES
from imgproc.runs.store import RunRow, Store
from imgproc.runs.vetting import Check
from imgproc.web.front import CAME

#: Most clients that may wait at once for a run.
MAX_WAITING = 8
#: Most that may wait at once for files to be checked, and how long after their post has come.
MAX_CHECKING = 8
CHECK_SECONDS = 1.5
_POLL_SECONDS = 0.15
_places = threading.BoundedSemaphore(MAX_WAITING)
_check_places = threading.BoundedSemaphore(MAX_CHECKING)


def for_files(check: Check) -> bool:
    """Wait until the files of a run are checked, a moment after its post came; False: they are not yet."""
    if check.done.is_set() or not _check_places.acquire(blocking=False):
        return check.done.is_set()
    try:
        now = time.monotonic()
        return check.done.wait(max(0.0, CHECK_SECONDS - (now - request.environ.get(CAME, now))))
    finally:
        _check_places.release()


def until_final(store: Store, run_id: str) -> RunRow | None:
    """The run once it has ended; None if too many wait already or the client of this request went away.

    Raises:
        UserError: the run was deleted meanwhile.
    """
    gone = request.environ.get("waitress.client_disconnected", lambda: False)
    if not _places.acquire(blocking=False):
        return None
    try:
        while not gone():
            row = store.get(run_id)
            if row is None:
                raise UserError("This run was deleted before it ended.", code="not_found")
            if row.state in FINAL_STATES:
                return row
            time.sleep(_POLL_SECONDS)
    finally:
        _places.release()
    return None
