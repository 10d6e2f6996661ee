"""The queue in which uploads are vetted, before their runs may wait for the runner.

A run whose files are being checked is in the state ``checking``; it becomes ``queued``, or ``failed`` where no file
can be used. Children do the work (``intake/inspector.py``), threads of this queue wait for them; visitors take turns,
a file each. What was being checked when the app was killed is checked anew by the next one.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from imgproc.errors import UserError
from imgproc.intake.inspector import Inspector
from imgproc.measure.environment import usable_cores
from imgproc.runs.mounts import Mounts
from imgproc.runs.record import ImageRecord, Record, now
from imgproc.runs.store import RunRow, Store
from imgproc.runs.uploads import inspect_file, storage
from imgproc.settings import Settings

#: Threads and children without work are kept for so long.
IDLE_SECONDS = 5.0
#: So often a run is asked for whether it is still wanted.
_ASK_SECONDS = 0.5

_TOO_LONG = (
    "Checking the files of this run took longer than {seconds:g} seconds, so this one was not checked. "
    "Send it in a run of its own."
)

log = logging.getLogger(__name__)


class NoneGood(UserError):
    """Not one of the files sent can be used; ``images`` has the reason of each."""

    def __init__(self, images: Sequence[ImageRecord]) -> None:
        known = any(image.code != "unsupported_type" for image in images)
        said = f"None of the {len(images):,} files can be used. Every file has its reason."
        if len(images) == 1:
            said = f"The file cannot be used. {images[0].name}: {images[0].error}"
        super().__init__(
            said,
            code="refused_image" if known else "unsupported_type",
            field="images",
            file=images[0].name if len(images) == 1 else None,
        )
        self.images = images


class Check:
    """The files of one run of a visitor, being checked. ``done`` is set when all are; ``problem`` says then why there
    is no run."""

    def __init__(self, record: Record, visitor: str, uploads: Path, results: Path) -> None:
        self.record, self.visitor, self.uploads, self.results = record, visitor, uploads, results
        self.done = threading.Event()
        self.problem: UserError | None = None
        self.todo = deque(record.images)
        self.left = len(record.images)
        self.seconds = 0.0
        self.wanted, self.asked = True, time.monotonic()


class Vetting:
    """Vets uploads on all cores, a file of each visitor in turn. Threads and children are started when needed, and end
    when there is nothing to do; ``close`` ends them at once."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._most_threads = usable_cores()
        self._changed = threading.Condition()
        self._visitors: OrderedDict[str, deque[Check]] = OrderedDict()
        self._checks: dict[str, Check] = {}
        self._threads = 0
        self._inspector: Inspector | None = None
        self._closed = False

    def close(self) -> None:
        """End the children. Runs whose files are not checked yet stay as they are."""
        with self._changed:
            self._closed = True
            self._visitors.clear()
            inspector, self._inspector = self._inspector, None
            self._changed.notify_all()
        if inspector:
            inspector.close()

    def begin(self, record: Record, visitor: str) -> Check:
        """Put the files of a run that is ``checking`` into the queue: ``incoming-0000``, … in its folder of uploads.
        Each run of nobody is a visitor of its own."""
        folders = self._settings.UPLOADS_DIR / record.id, self._settings.RESULTS_DIR / record.id
        check = Check(record, visitor or record.id, *folders)
        (check.results / "previews").mkdir(parents=True, exist_ok=True)
        with self._changed:
            self._checks[record.id] = check
            self._visitors.setdefault(check.visitor, deque()).append(check)
            if self._inspector is None:
                limits = self._settings.max_pixels, self._settings.MAX_SIDE, self._settings.INSPECT_SECONDS
                self._inspector = Inspector(*limits, self._most_threads)
            if self._threads < self._most_threads:
                self._threads += 1
                threading.Thread(target=self._work, name="vetting", daemon=True).start()
            self._changed.notify_all()
        return check

    def progress(self, run_id: str) -> tuple[int, int] | None:
        """How many files of a run are checked, and how many there are; None where that is not known here."""
        check = self._checks.get(run_id)
        return (len(check.record.images) - check.left, len(check.record.images)) if check else None

    def recover(self) -> None:
        """Check anew what an app was checking that has ended since."""
        mounts = Mounts(self._settings, self._store)
        for row in self._store.checking():
            if _lives(row) or mounts.may_lack(row.id) or not self._store.take_check(row, os.getpid()):
                continue
            try:
                record = Record.load(self._settings.RESULTS_DIR / row.id)
            except UserError:
                self._store.fail(row.id, "The record of this run is missing or damaged. Send its images again.")
                continue
            if record.state == "checking":
                self.begin(record, row.visitor)
            else:  # it ended between saving the record and the index
                self._store.checked(record)

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            check, image, inspector = turn
            begin = time.monotonic()
            try:
                self._check_file(check, image, inspector)
            except UserError as problem:
                check.problem = problem
            except Exception:
                if self._closed:
                    return
                log.exception("A file of run %s could not be checked.", check.record.id)
                check.problem = UserError("The files could not be checked. Send them again.", code="internal")
            with self._changed:
                check.seconds += time.monotonic() - begin
                check.left -= 1
                last = not check.left
            if last:
                self._finish(check)

    def _next(self) -> tuple[Check, ImageRecord, Inspector] | None:
        """The file that is next, and who looks at it; None: nothing came for a while."""
        with self._changed:
            while not self._closed:
                if self._visitors and self._inspector:
                    return (*self._take(), self._inspector)
                if not self._changed.wait(IDLE_SECONDS) and not self._visitors:
                    break
            self._threads -= 1
            inspector = None if self._threads else self._inspector
            if inspector:
                self._inspector = None
        if inspector:
            inspector.close()
        return None

    def _take(self) -> tuple[Check, ImageRecord]:
        visitor, checks = self._visitors.popitem(last=False)
        check = checks[0]
        image = check.todo.popleft()
        if not check.todo:
            checks.popleft()
        if checks:
            self._visitors[visitor] = checks  # behind all others
        return check, image

    def _check_file(self, check: Check, image: ImageRecord, inspector: Inspector) -> None:
        if check.problem or not self._is_wanted(check):
            return
        # One that was accepted before the app was killed has its own name already.
        sent = check.uploads / f"incoming-{image.index:04d}"
        path = sent if sent.exists() else next(check.uploads.glob(f"{image.index:04d}.*"), sent)
        if check.seconds > self._settings.VET_SECONDS:
            image.error, image.code = _TOO_LONG.format(seconds=self._settings.VET_SECONDS), "refused_image"
            path.unlink(missing_ok=True)
            return
        inspect_file(inspector, image, path, check.uploads, check.results / "previews", check.record.settings.depth)

    def _is_wanted(self, check: Check) -> bool:
        """Whether the run was neither cancelled nor deleted meanwhile."""
        if check.wanted and time.monotonic() - check.asked > _ASK_SECONDS:
            check.asked = time.monotonic()
            row = self._store.get(check.record.id)
            check.wanted = row is not None and row.state == "checking"
        return check.wanted

    def _finish(self, check: Check) -> None:
        """Queue the run, or say that it failed."""
        record = check.record
        if not check.problem and not record.good_images:
            check.problem = NoneGood(record.images)
        record.state = "failed" if check.problem else "queued"
        if check.problem:
            record.error, record.finished = check.problem.message, now()
        try:
            with storage():
                record.save(check.results)
            if not self._store.checked(record):
                self._let_go(check)
        except UserError as problem:
            log.exception("Run %s could not be queued.", record.id)
            check.problem = problem
            with suppress(UserError):
                self._store.fail(record.id, problem.message)
        self._checks.pop(record.id, None)
        check.done.set()

    def _let_go(self, check: Check) -> None:
        """It was cancelled or deleted while its files were checked."""
        row = self._store.get(check.record.id)
        if row is not None:
            check.record.state, check.record.error, check.record.finished = row.state, row.error, now()
            check.record.save(check.results)
            return
        for folder in (check.uploads, check.results):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(row: RunRow) -> bool:
    """Whether the process that checks the files of this run is still there; its number may be another's by now."""
    if row.runner_pid is None or row.runner_pid == os.getpid():
        return False
    try:
        return bool(psutil.Process(row.runner_pid).create_time() < row.created.timestamp())
    except psutil.Error:
        return False
