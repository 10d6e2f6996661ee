"""Whether the app can do its work: the runner, the index and the disk, for ``/healthz``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from imgproc.errors import UserError
from imgproc.runs.store import Store
from imgproc.runs.supervisor import is_served
from imgproc.settings import Settings
from imgproc.web.latest import Latest

#: Whoever asks waits no longer than this, whatever hangs.
WAIT_SECONDS = 0.2
#: What was found is told for so long where looking again takes longer: a busy moment is no illness.
TOLD_SECONDS = 10.0


@dataclass(frozen=True)
class Report:
    """``status`` is ok, or what is the matter."""

    status: str
    queued: int
    runner: bool


class Health:
    """Safe to use from many threads."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._latest = Latest(self._find, wait=WAIT_SECONDS, fresh=0.0, stale=TOLD_SECONDS)

    def report(self) -> Report:
        """What is found now; where that takes long, what was found last.

        Raises:
            UserError: the index cannot be used, or nothing was found for long.
        """
        try:
            return self._latest.get()
        except TimeoutError:
            raise UserError(
                "The index or the disk does not answer. Whoever runs this app can see whether the database and the "
                "folders of UPLOADS_DIR and RESULTS_DIR can be reached.",
                code="unavailable",
            ) from None

    def _find(self) -> Report:
        queued, served = self._store.queued(), is_served(self._settings.RESULTS_DIR)
        if queued and not served:
            return Report("no runner", queued, served)
        try:
            folders = self._settings.UPLOADS_DIR, self._settings.RESULTS_DIR, *self._store.folders
            free = min(shutil.disk_usage(folder).free for folder in folders)
        except OSError:
            return Report("no disk", queued, served)
        enough = free >= self._settings.DISK_RESERVE_MB * 1_000_000
        return Report("ok" if enough else "disk full", queued, served)
