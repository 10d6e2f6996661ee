"""Watching worker processes: who died, who hangs, and at what."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from imgproc.backends.base import DIED, hung
from imgproc.backends.worker_loop import Board, Entry

#: Seconds between two looks for hung workers.
TICK = 0.25


class Watch:
    """What the caller knows of a set of workers, of which one's death ends all.

    ``over`` is set then, and ``victims`` says what those to blame were at: task index -> why it failed.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self.victims: dict[int, str] = {}
        #: Why other workers would be of no use; empty where they may be.
        self.fatal = ""
        #: Seconds that a task may take; None while nothing runs.
        self.deadline: float | None = None
        #: Since when the caller waits for a result; None while it does not.
        self.waiting_since: float | None = None
        self._on_death: Callable[[], None] = lambda: None

    def tell(self, on_death: Callable[[], None]) -> None:
        """Have ``on_death`` called when a worker dies, at once if one has."""
        self._on_death = on_death
        if self.over.is_set():
            on_death()

    def victims_now(self) -> dict[int, str]:
        """``victims``, for a caller that knows that a worker died, perhaps before this object does."""
        self.over.wait(1)
        return self.victims

    @contextmanager
    def not_waiting(self) -> Iterator[None]:
        """The caller has something of its own to do, for which no worker is to blame."""
        since, self.waiting_since = self.waiting_since, None
        try:
            yield
        finally:
            if since is not None:
                self.waiting_since = time.perf_counter()


class Watcher(Watch, threading.Thread):
    """Watches the processes of one pool from when they are ready until one dies; kills those that hang."""

    def __init__(self, board: Board, workers: list[BaseProcess]) -> None:
        Watch.__init__(self)
        threading.Thread.__init__(self, name="worker watch", daemon=True)
        self.board = board
        self.workers = workers
        self._seen: dict[BaseProcess, Entry | None] = {}
        self._hung: dict[BaseProcess, str] = {}

    def run(self) -> None:
        sentinels = {worker.sentinel: worker for worker in self.workers}
        try:
            while not (dead := wait(sentinels, timeout=TICK)):
                self._look()
            for sentinel in {*dead, *wait(sentinels, timeout=0)}:  # others may have died by now
                worker = sentinels[sentinel]  # type: ignore[index]  # they are what was given
                entry = self.board.read(worker.pid or 0)
                if entry and entry.busy:
                    self.victims[entry.task] = self._hung.get(worker, DIED)
        finally:
            self.over.set()
            self._on_death()

    def _look(self) -> None:
        deadline, since, now = self.deadline, self.waiting_since, time.perf_counter()
        if deadline is None:
            self._seen = {}
            return
        before, self._seen = self._seen, {worker: self.board.read(worker.pid or 0) for worker in self.workers}
        # Seen twice the same: one reading might have met the worker in the middle of writing.
        same = [(w, entry) for w, entry in self._seen.items() if entry and entry == before.get(w)]
        for worker, entry in same:
            if entry.busy and now - entry.time > deadline:
                self._hung[worker] = hung(deadline)
                end(worker)
        idle = [entry.time for _, entry in same if not entry.busy]
        # A stopped worker can keep the others from getting work.
        if since is not None and len(idle) == len(self.workers) and now - max(since, *idle) > deadline:
            for worker in self.workers:
                end(worker)


def kill(workers: Iterable[BaseProcess]) -> None:
    """Kill worker processes and wait until they are dead."""
    workers = list(workers)
    for worker in workers:
        end(worker)
    for worker in workers:
        wait([worker.sentinel], timeout=5)


def end(worker: BaseProcess) -> None:
    """Kill a worker process, stopped or not."""
    if worker.pid and not wait([worker.sentinel], timeout=0):  # 0 would be all of us
        with suppress(OSError):
            os.kill(worker.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
