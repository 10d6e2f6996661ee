"""Whether the folders of results and uploads are those that they were: where a disk is not mounted, an empty folder is
in its place, and nothing may be removed, or given up, for want of what should be in it."""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from pathlib import Path

from imgproc.runs.store import Store
from imgproc.settings import Settings

#: In the folder of results, where the index is elsewhere: it is the one that belongs to that index.
OF_INDEX = "belongs-to-the-index"
#: In the folders of uploads and of results, with the same in it: they belong to each other.
OF_UPLOADS = ".results-and-uploads"

log = logging.getLogger(__name__)


class Mounts:
    """Looks at the marks in the folders, and makes them when all that there should be is there."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._warned: set[str] = set()

    def has_results_of_index(self) -> bool:
        """Whether the folder of results is that of the index: it lies there, or the folder has its mark, which is made
        when no run of the index lacks its folder."""
        results, mark = self._settings.RESULTS_DIR, self._settings.RESULTS_DIR / OF_INDEX
        if not self._settings.DATABASE_URL or mark.exists():
            return True
        lost = [run_id for run_id in self._store.with_folders() if not (results / run_id).is_dir()]
        if not lost:
            with suppress(OSError):  # on a full disk: the next time
                mark.touch()
            return True
        self._warn(
            f"{len(lost)} runs of the index have no folder in RESULTS_DIR. They stay in the index: is the disk with "
            "the results mounted? If they are gone for good, delete them in the history, or make a file named "
            f"{OF_INDEX} in RESULTS_DIR."
        )
        return False

    def may_lack(self, run_id: str) -> bool:
        """Whether a run has no folder of results, and may have one on a disk that is not mounted."""
        return not (self._settings.RESULTS_DIR / run_id).is_dir() and not self.has_results_of_index()

    def has_results_of_uploads(self) -> bool:
        """Whether the folder of results is that of the uploads: both have the same mark, which is made where there are
        no uploads yet, or most have results."""
        uploads, results = self._settings.UPLOADS_DIR, self._settings.RESULTS_DIR
        marks = uploads / OF_UPLOADS, results / OF_UPLOADS
        found, there = map(_read, marks)
        if found and found == there:
            return True
        if not found:
            runs = [folder for folder in uploads.glob("[!.]*") if folder.is_dir()]
            if 2 * sum((results / folder.name / "run.json").exists() for folder in runs) < len(runs):
                return False
            return _make(marks, there or secrets.token_hex(16))
        self._warn(
            "RESULTS_DIR is not the folder that the uploads in UPLOADS_DIR belong to, so uploads without results stay: "
            f"is the disk with the results mounted? If they are gone for good, remove {OF_UPLOADS} from UPLOADS_DIR."
        )
        return False

    def _warn(self, said: str) -> None:
        """Once."""
        if said not in self._warned:
            self._warned.add(said)
            log.warning("%s", said)


def _read(mark: Path) -> str:
    try:
        return mark.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _make(marks: tuple[Path, Path], text: str) -> bool:
    """Write it into both, that of the uploads last; False where that cannot be."""
    try:
        for mark in reversed(marks):
            mark.write_text(text, encoding="ascii")
    except OSError:
        return False
    return True
