"""How runs go: at once when their owner says so; by themselves when they are too old, or the oldest when all take too
much room. One that waits or is measured never does, and one that somebody downloads not by itself."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imgproc.errors import UserError
from imgproc.files import owned, sweep
from imgproc.runs.classes import FOLDER as CLASSES
from imgproc.runs.mounts import Mounts
from imgproc.runs.store import RunRow, Store
from imgproc.settings import Settings

#: As ids are now, and as they were in earlier versions.
RUN_ID = re.compile("[0-9a-f]{32}|[0-9a-f]{12}")
#: A mark in a run's folder while somebody downloads it, or copies its images; one that is older was left by an app of
#: another machine, of which nobody can tell here whether it lives.
_MARK, _MARK_SECONDS = "download", 86_400

log = logging.getLogger(__name__)


def remove(settings: Settings, store: Store, run_id: str) -> bool:
    """Remove a run with its images and results. On a disk too full for the index to be written the files go first,
    which makes room. False: it is being measured, or there is none.

    Raises:
        UserError: the index cannot be used; then nothing is removed.
    """
    try:
        if not store.delete(run_id):
            return False
    except UserError as problem:
        row = store.get(run_id) if problem.code == "disk_full" else None
        if row is None:
            raise
        if row.state == "running":
            return False
        _remove_folders(settings, run_id)
        with suppress(UserError):  # the runner finds it without its files, and tries again
            store.delete(run_id)
        return True
    _remove_folders(settings, run_id)
    return True


def _remove_folders(settings: Settings, run_id: str) -> None:
    results = settings.RESULTS_DIR / run_id
    with suppress(OSError):  # first, or a new index would have what is left of the run
        (results / "run.json").unlink(missing_ok=True)
    for folder in (settings.UPLOADS_DIR / run_id, results):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """As long as this lasts, the run of this folder does not go by itself."""
    mark = folder / f"{owned(_MARK)}{secrets.token_hex(6)}"
    with suppress(OSError):  # on a full disk: it goes on without
        mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _is_in_use(folder: Path) -> bool:
    sweep(folder, _MARK)
    with suppress(OSError):
        return any(time.time() - mark.stat().st_mtime < _MARK_SECONDS for mark in folder.glob(f"{_MARK}-*"))
    return True


class Retention:
    """Removes what is kept too long (KEEP_DAYS) or takes more than KEEP_MB with all the rest; for the runner, which is
    the only one that begins runs."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self.mounts = Mounts(settings, store)
        self._sizes: dict[str, int] = {}  # of runs that have ended: these do not grow any more

    def apply(self) -> list[str]:
        """Remove what is due; returns the ids.

        Raises:
            UserError: the index cannot be used.
        """
        self._remove_lines()
        ended, lost, gone = [], [], []
        for row in self._store.ended():
            if (self._settings.RESULTS_DIR / row.id).is_dir():
                ended.append(row)
            elif row.state != "failed":  # which may be for want of its files, and is to be read
                lost.append(row)
        if self.mounts.has_results_of_index():
            for row in lost:
                self._store.delete(row.id)
        for row in [row for row in ended if self._is_too_old(row)]:
            if self._remove(row, "it is too old"):
                ended.remove(row)
                gone.append(row.id)
        return gone + self._make_room(ended)

    def _remove_lines(self) -> None:
        """Of records from elsewhere in the tables of classes, which belong to no run here."""
        for line in (self._settings.RESULTS_DIR / CLASSES).glob("*/*.json"):
            with suppress(OSError):
                until = expires(self._settings, datetime.fromtimestamp(line.stat().st_mtime, UTC))
                if until is not None and until < datetime.now(UTC):
                    line.unlink()

    def _is_too_old(self, row: RunRow) -> bool:
        until = expires(self._settings, row.finished or row.created)
        return until is not None and until < datetime.now(UTC)

    def _make_room(self, ended: list[RunRow]) -> list[str]:
        """Remove the oldest until the rest fits, but the newest, whatever its size: somebody waits for it."""
        limit = self._settings.KEEP_MB * 1_000_000
        if not limit:
            return []
        gone, total = [], self._measure({row.id for row in ended})
        for row in ended[:-1]:
            if total <= limit:
                break
            if self._remove(row, "newer ones need its room"):
                total -= self._sizes.pop(row.id, 0)
                gone.append(row.id)
        return gone

    def _measure(self, ended: set[str]) -> int:
        """Bytes of all runs; those that have ended are looked at once."""
        folders = (self._settings.UPLOADS_DIR, self._settings.RESULTS_DIR)
        names = {path.name for folder in folders for path in folder.glob("*") if RUN_ID.fullmatch(path.name)}
        sizes = {
            name: self._sizes[name] if name in self._sizes else sum(_bytes(folder / name) for folder in folders)
            for name in names
        }
        self._sizes = {name: size for name, size in sizes.items() if name in ended}
        return sum(sizes.values())

    def _remove(self, row: RunRow, why: str) -> bool:
        if _is_in_use(self._settings.RESULTS_DIR / row.id) or not remove(self._settings, self._store, row.id):
            return False
        log.info("Run %s is removed, as %s.", row.id, why)
        return True


def expires(settings: Settings, finished: datetime) -> datetime | None:
    """When a run that ended then is too old; None: never."""
    return finished + timedelta(days=settings.KEEP_DAYS) if settings.KEEP_DAYS else None


def _bytes(folder: Path) -> int:
    """What the files below a folder take; one that several runs share, each its part."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            found = path.lstat()
            total += found.st_size // max(1, found.st_nlink) if path.is_file() else 0
    return total
