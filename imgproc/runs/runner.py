"""The process that takes one run at a time from queued to its end: ``python -m imgproc.runs.runner``.

The app's supervisor starts it and holds its standard input open. When that ends, the app is gone, and so is this
process at once, with everything it started; the next one finds the run it was at and queues it again.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import logging
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NoReturn

from filelock import FileLock

from imgproc.backends import leftovers
from imgproc.errors import UserError
from imgproc.measure.lock import NOT_ALONE, machine_lock
from imgproc.runs import logs, memory
from imgproc.runs.kept import remove_expired
from imgproc.runs.monitor import Monitor
from imgproc.runs.plugins import add_listed
from imgproc.runs.process_control import end_process, end_with_stdin, kill_children
from imgproc.runs.record import FINAL_STATES, Record, State, now
from imgproc.runs.removal import RUN_ID, Retention
from imgproc.runs.reserve import Reserve
from imgproc.runs.store import RunRow, Store
from imgproc.settings import Settings

EXECUTE = "imgproc.runs.execute:execute"
#: In the results folder: held by the runner that serves it.
RUNNER_LOCK = "runner.lock"
MOST_ATTEMPTS = 2
IDLE_SECONDS = 0.3
#: So often it is looked whether a full disk has room again.
FULL_SECONDS = 1.0
LOG_BYTES = 1_000_000
#: Uploads without a record are given up after this time, since another app may still be receiving them.
ABANDONED_SECONDS = 3600
#: So often an idle runner looks for them.
SWEEP_SECONDS = 600

UNEXPECTED = "Something unexpected went wrong in this run. The app’s log has the details; you can run it again."
STUCK = "Nothing moved for {seconds:.0f} seconds, so this run was ended. Try fewer images or another technique."
DISK_FULL = "The disk is full, so this run could not be finished. Free some space, then run it again."
NO_MEMORY = "There was not enough memory for this run. Try fewer workers or smaller images."
NO_RECORD = "The record of this run is missing or damaged, so it cannot be run. Send its images again."
INTERRUPTED = "This run was cut off {times} times before it could end, so it is not tried again by itself."

log = logging.getLogger("imgproc.runner")

#: Does the work of a run, as ``imgproc.runs.execute.execute``: fills the record, its state too, writes output files,
#: saves nothing else.
Execute = Callable[..., None]


class Runner:
    """Takes runs from the store and sees each to its end. Only one at a time may serve a results folder."""

    def __init__(self, settings: Settings, store: Store, execute: Execute) -> None:
        self.settings, self.store, self.execute = settings, store, execute
        self._retention = Retention(settings, store)
        self._mounts = self._retention.mounts
        self._reserve = Reserve([settings.RESULTS_DIR, *store.folders])
        # Three times a task's deadline: a hung worker is replaced after one, and its task tried once more.
        self.stuck_seconds = settings.TASK_SECONDS * 3 + 60

    def recover(self) -> None:
        """Clean up after a runner that died: its run is queued again, first in line, or marked interrupted."""
        leftovers.remove_abandoned()
        for work in self.settings.RESULTS_DIR.glob("*/work"):
            shutil.rmtree(work, ignore_errors=True)
        self._remove_abandoned()
        for row in self.store.running():
            log.info("Run %s was left running; tried %d times.", row.id, row.attempts)
            remove_scratch(self._folder(row.id))
            self._with_room(partial(self._settle, row))

    def _settle(self, row: RunRow) -> None:
        """Decide about a run that a runner has left."""
        try:
            record = Record.load(self._folder(row.id))
        except UserError:
            if self._mounts.may_lack(row.id):
                self.store.requeue(row.id)
            else:
                self.store.fail(row.id, NO_RECORD)
            return
        if record.state in FINAL_STATES:  # it died between saving the record and the index
            self.store.finish(record)
        elif row.cancel:
            self._end(record, "cancelled")
        elif row.attempts < MOST_ATTEMPTS:
            record.state, record.started = "queued", None
            record.forget_results()  # or they would be mixed with what the next try finds
            self._try_to_save(record)
            self.store.requeue(record.id)
        else:
            self._end(record, "interrupted", INTERRUPTED.format(times=row.attempts))

    def run_next(self) -> bool:
        """Take the next run and see it to its end; False: none waits, or none whose folder is there.

        Raises:
            UserError: the index cannot be used. The run, if one was taken, is left to the next runner.
        """
        run_id = self.store.claim(os.getpid(), lambda waiting: not self._mounts.may_lack(waiting))
        if run_id is None:
            return False
        folder = self._folder(run_id)
        try:
            record = Record.load(folder)
        except UserError:
            self.store.fail(run_id, NO_RECORD)
            return True
        log.info("Run %s begins.", run_id)
        record.state, record.started = "running", now()
        try:
            record.save(folder)
            self._watch_over(record)
        except Exception as problem:  # a run may fail in any way; the runner goes on
            said = isinstance(problem, UserError) and problem.__cause__ is None  # all there is to know, in words
            log.error("Run %s failed: %s", run_id, reason(problem), exc_info=not said)
            record.state, record.error = "failed", reason(problem)
        remove_scratch(folder)
        self._end(record, record.state, record.error)
        log.info("Run %s ends: %s.", run_id, record.state)
        memory.give_back()
        return True

    def serve(self, wanted: Callable[[], bool]) -> None:
        """Clean up after the one before, then see run after run to its end as long as this is ``wanted``. Returns, for
        another try, once a full disk has room again.

        Raises:
            UserError: the index cannot be used for another reason.
        """
        swept = -math.inf
        try:
            self.recover()
            while wanted():
                ran = self.run_next()
                if ran or time.monotonic() - swept > SWEEP_SECONDS:
                    self.tidy()
                    swept = time.monotonic()
                if not ran:
                    self._reserve.keep()  # it was given up, perhaps, and there is room again
                    time.sleep(IDLE_SECONDS)
        except UserError as problem:
            if not _is_full(problem):
                raise
            log.warning("The disk is full: the runs wait until there is room.")
            time.sleep(FULL_SECONDS)
            while wanted() and self.store.is_full():
                time.sleep(FULL_SECONDS)

    def tidy(self) -> None:
        """Remove what nobody will ask for any more, and the runs that are too old or too many."""
        try:
            self._remove_abandoned()
            self._retention.apply()
        except UserError:
            log.warning("Runs that are too old or too many stay for now.", exc_info=True)

    def _remove_abandoned(self) -> None:
        # Of a run that the index knows the results are somewhere, but not here while their disk is not mounted.
        if self._mounts.has_results_of_uploads():
            remove_abandoned(self.settings, lambda run_id: self.store.get(run_id) is not None)
        else:
            remove_expired(self.settings.UPLOADS_DIR)

    def _folder(self, run_id: str) -> Path:
        return self.settings.RESULTS_DIR / run_id

    def _watch_over(self, record: Record) -> None:
        """Execute the run with its monitor beside it."""
        give_up = partial(self._give_up, record.id)
        with Monitor(self.store, record.id, stuck_seconds=self.stuck_seconds, on_stuck=give_up) as monitor:
            try:
                self._execute_alone(record, monitor)
            except Exception:
                if not monitor.cancelled():
                    raise
                log.info("Run %s was cancelled.", record.id, exc_info=True)
                record.state = "cancelled"
        if record.state not in FINAL_STATES:
            record.state = "cancelled" if monitor.cancelled() else "done"

    def _execute_alone(self, record: Record, monitor: Monitor) -> None:
        """Execute the run as soon as no other measured one goes on here."""

        def wait(seconds: float) -> None:
            if monitor.cancelled():
                raise UserError("This run was cancelled while it waited.")
            monitor.waiting(seconds)

        uploads, results = self.settings.UPLOADS_DIR / record.id, self._folder(record.id)
        with machine_lock(wait, budget=record.settings.budget) as alone:
            if not alone:
                record.warnings.append(NOT_ALONE)
            if not monitor.cancelled():
                hooks = {"progress": monitor.progress, "cancelled": monitor.cancelled}
                self.execute(record, uploads, results, self.settings, **hooks)

    def _give_up(self, run_id: str) -> None:
        """The run hangs: say so, and end this process, because only that ends whatever hangs."""
        log.error("Run %s has not moved for %.0f seconds; ending this runner.", run_id, self.stuck_seconds)
        try:
            # From the file, because the run that hangs may be in the middle of changing its record.
            record = Record.load(self._folder(run_id))
            self._end(record, "failed", STUCK.format(seconds=self.stuck_seconds))
        except Exception:  # the next runner finds the run and decides
            log.exception("That could not be recorded.")
        kill_children()
        remove_scratch(self._folder(run_id))
        end_process(1)

    def _end(self, record: Record, state: State, error: str | None = None) -> None:
        """Save the record in its final state, then bring the index up to it."""
        record.state, record.error, record.finished = state, error, now()
        try:
            self._with_room(lambda: record.save(self._folder(record.id)))
        except Exception as problem:
            log.exception("The record of run %s could not be saved.", record.id)
            # Results that no record names are of no use: they make room for the record of what happened.
            shutil.rmtree(self._folder(record.id) / "images", ignore_errors=True)
            record.state, record.error = "failed", reason(problem)
            record.forget_results()
            self._try_to_save(record)
        self._with_room(lambda: self.store.finish(record))

    def _with_room(self, write: Callable[[], None]) -> None:
        """Do it; on a full disk once more, in the room that is kept back for that."""
        try:
            write()
        except (OSError, UserError) as problem:
            if not _is_full(problem):
                raise
            self._reserve.release()
            write()

    def _try_to_save(self, record: Record) -> None:
        try:
            record.save(self._folder(record.id))
        except OSError:
            log.warning("The record of run %s is left as it was.", record.id, exc_info=True)


def reason(problem: Exception) -> str:
    """What to tell the user about an exception: its own words only where they are meant for people."""
    if isinstance(problem, UserError):
        return problem.message
    if _is_full(problem):
        return DISK_FULL
    return NO_MEMORY if isinstance(problem, MemoryError) else UNEXPECTED


def _is_full(problem: Exception) -> bool:
    """Whether it says that a disk is full."""
    if isinstance(problem, UserError):
        return problem.code == "disk_full"
    return isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)


def remove_scratch(folder: Path) -> None:
    """Remove what a run has no use for once it stands still: its scratch folder and half written files."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    for half in list(folder.rglob("*.part")) if folder.is_dir() else []:
        with suppress(OSError):
            half.unlink()


def remove_abandoned(settings: Settings, is_known: Callable[[str], bool] = lambda _: False) -> None:
    """Remove uploads that never became a run, because the app was killed while they came in or they were only tried,
    and what is left of runs that were deleted.

    Args:
        is_known: whether the index has a run of this id: its uploads stay although there is no folder of results.
    """
    remove_expired(settings.UPLOADS_DIR)
    for folder in (*settings.UPLOADS_DIR.glob("*"), *settings.RESULTS_DIR.glob("*")):
        results = settings.RESULTS_DIR / folder.name
        if not RUN_ID.fullmatch(folder.name) or (results / "run.json").exists():
            continue
        with suppress(OSError):
            old = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
            if old and (results.is_dir() or not is_known(folder.name)):
                shutil.rmtree(folder, ignore_errors=True)


def _log_to(folder: Path, kind: str) -> None:
    """The whole log goes to runner.log, what is wrong also to the app's own output."""
    logging.raiseExceptions = False  # a full disk must not fill the terminal
    on_screen = logging.StreamHandler()
    on_screen.setLevel(logging.WARNING)
    handlers: list[logging.Handler] = [on_screen]
    with suppress(OSError):
        handlers.append(RotatingFileHandler(folder / "runner.log", maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8"))
    logs.set_up(kind, handlers, "%(asctime)s %(levelname)s %(name)s: %(message)s")


def main(arguments: list[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m imgproc.runs.runner", description="Works off the queue of runs.")
    parser.add_argument("--execute", default=EXECUTE, metavar="MODULE:FUNCTION", help="what does the work of a run")
    module, _, name = parser.parse_args(arguments).execute.partition(":")
    end_with_stdin()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end_process(0))
    faulthandler.enable()
    settings = Settings.from_environment()
    settings.make_folders()
    lock = FileLock(settings.RESULTS_DIR / RUNNER_LOCK)
    lock.acquire(poll_interval=IDLE_SECONDS)  # until no other runner serves this folder, and as long as this one lives
    leftovers.take_over(settings.RESULTS_DIR / "runner.pid")
    _log_to(settings.RESULTS_DIR, settings.LOG_FORMAT)
    try:
        add_listed(settings.OWN_OPERATIONS)
        execute: Execute = getattr(import_module(module), name)
        runner = Runner(settings, Store(settings.database_url, settings.RESULTS_DIR), execute)
        while lock.is_locked:
            runner.serve(lambda: lock.is_locked)
    except Exception:
        # The supervisor starts another one, which begins with what this one has left.
        log.exception("The runner ends.")
    end_process(1)


if __name__ == "__main__":
    main()
