"""What goes on beside a run while it is measured, in one small thread: progress out, cancel in, a look at the clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from imgproc.errors import UserError
from imgproc.measure.results import Progress
from imgproc.runs.store import Store

#: About three times a second is smooth for a person and cannot be seen in a measurement.
EVERY_SECONDS = 0.33

log = logging.getLogger(__name__)


class Monitor:
    """``progress`` and ``cancelled`` of one run, both without waiting: the thread beside it talks to the store.

    ``on_stuck`` is called, in that thread, when nothing has moved for ``stuck_seconds``.
    """

    def __init__(self, store: Store, run_id: str, *, stuck_seconds: float, on_stuck: Callable[[], None]) -> None:
        self._store, self._run_id = store, run_id
        self._stuck_seconds, self._on_stuck = stuck_seconds, on_stuck
        self._latest: Progress | None = None
        self._stored: Progress | None = None
        self._position: object = None
        self._moved = time.monotonic()
        self._cancelled = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def progress(self, now: Progress) -> None:
        """Take note of where the run stands."""
        self._latest = now
        # Estimates of time change by themselves; these change only when something was done.
        position = (now.phase, now.technique, now.round, now.images_done, now.passes_done)
        if position != self._position:
            self._position = position
            self._moved = time.monotonic()

    def waiting(self, seconds: float) -> None:
        """The run waits, with good reason, for another one on this machine."""
        self._moved = time.monotonic()
        self._latest = Progress("waiting", label="Another measured run on this machine goes first", elapsed=seconds)

    def cancelled(self) -> bool:
        """Whether the run is to stop."""
        return self._cancelled

    def __enter__(self) -> Monitor:
        self._tick()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            self._tick()
            if time.monotonic() - self._moved > self._stuck_seconds:
                self._on_stuck()
                return

    def _tick(self) -> None:
        try:
            latest = self._latest
            if latest is not None and latest is not self._stored:
                self._store.set_progress(self._run_id, latest)
                self._stored = latest
            self._cancelled = self._cancelled or self._store.cancel_requested(self._run_id)
        except UserError:
            log.warning("The progress of run %s could not be stored.", self._run_id)
        except Exception:  # this thread must outlive anything, for the sake of its watch
            log.exception("The monitor of run %s stumbled.", self._run_id)
