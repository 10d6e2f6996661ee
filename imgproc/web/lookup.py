"""What views look up: the app's settings and index, and runs, as far as the browser that asks may see them."""

from __future__ import annotations

import re

from flask import current_app

from imgproc.errors import UserError
from imgproc.runs.mounts import Mounts
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.store import RunRow, Store
from imgproc.runs.vetting import Vetting
from imgproc.settings import Settings
from imgproc.web import errors, security
from imgproc.web.submit import Submission

#: Ids are shorter in runs of earlier versions; nothing else is asked of the index.
_RUN_ID = re.compile("[0-9A-Za-z_-]{1,64}")


def settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found


def store() -> Store:
    found: Store = current_app.config["STORE"]
    return found


def vetting() -> Vetting:
    found: Vetting = current_app.config["VETTING"]
    return found


def submission() -> Submission:
    """One that is about to be made."""
    return Submission(settings(), store(), vetting(), current_app.config["ADMISSION"], security.visitor())


def row(run_id: str) -> RunRow:
    """Raises: UserError: there is no such run, or none that this browser may see, which is said in the same words."""
    found = store().get(run_id) if _RUN_ID.fullmatch(run_id) else None
    if found is None or (found.visible == "private" and not security.is_owner(found.owner)):
        raise errors.no_such_run()
    return found


def run(run_id: str) -> tuple[RunRow, Record]:
    """Raises: UserError: there is no such run, or its record cannot be read."""
    found = row(run_id)
    try:
        record = Record.load(settings().RESULTS_DIR / run_id)
    except UserError:
        if Mounts(settings(), store()).may_lack(run_id):
            raise UserError(
                "What this run has is on a disk that is not there now. Whoever runs this app can see whether that of "
                "RESULTS_DIR is mounted; a run that waits goes on then.",
                code="unavailable",
            ) from None
        raise
    if record.state not in FINAL_STATES or found.state == "failed":
        # The index knows first that a run began, and alone that its record could not be written.
        record.state, record.error = found.state, record.error or found.error
    return found, record


def owned(run_id: str) -> RunRow:
    """Raises: UserError: there is no such run to be seen, or it is somebody else's."""
    found = row(run_id)
    security.require_owner(found.owner)
    return found
