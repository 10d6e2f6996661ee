"""Waiting for a run on behalf of a client like curl."""

from __future__ import annotations

import threading
import time

from flask import request

from imgproc.errors import UserError
from imgproc.runs.record import FINAL_STATES
from imgproc.runs.store import RunRow, Store

#: Most clients that may wait at once: each holds a thread, and the pages need some too.
MAX_WAITING = 8
_POLL_SECONDS = 0.15
_places = threading.BoundedSemaphore(MAX_WAITING)


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
