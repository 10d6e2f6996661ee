"""What all pools of processes have in common: workers that die or hang cost one task, and the run always ends.

The libraries do the work, each in its own file. None of them survives the death of a worker unharmed, so here
a death costs the pool: its workers are killed, a new one is made, and unfinished tasks are handed out again.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import ClassVar

from imgproc.backends.base import DIED, Backend, BackendError, Capabilities, hung
from imgproc.backends.board import Board, Entry, Parcel, begin_work, pack, unpack
from imgproc.image.task import Task, TaskResult

LOG = logging.getLogger(__name__)

#: Seconds between two looks for hung workers.
TICK = 0.25
#: Longest that all workers together may take to get ready, in seconds.
START_SECONDS = 60.0
#: So often in a row may a pool break without a result or a task to blame, or not start.
TRIES = 3
# Windows cannot wait for more at once.
_MOST = 60 if sys.platform == "win32" else None


class WorkerLost(Exception):
    """A worker died."""


class ProcessBackend(Backend):
    """Tasks on worker processes. Techniques say how their library makes, feeds and discards its pool."""

    capabilities: ClassVar[Capabilities] = Capabilities(memory="copied", killable=True, max_workers=_MOST)
    #: How worker processes come to be. Never by fork: OpenCV's threads do not survive it.
    start_method: str = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._board: Board | None = None
        self._watcher: Watcher | None = None
        self._workers: list[BaseProcess] = []

    @abstractmethod
    def _open_pool(self, initializer: Callable[[str], None], board: str) -> None:
        """Make a pool whose workers call ``initializer(board)``; need not wait for them."""

    def _opened(self) -> None:
        """Called when every worker is ready."""

    @abstractmethod
    def _discard_pool(self) -> None:
        """Call ``_kill_workers`` and let go of what is left of the pool, if any; must not block for long."""

    def _submit(self, parcel: Parcel, done: Callable[[Parcel | BaseException], None]) -> None:
        """Have a worker call ``run_parcel(parcel)``, and ``done`` be called with what comes of it."""
        raise NotImplementedError

    def context(self) -> BaseContext:
        """The multiprocessing context for the pool."""
        context = multiprocessing.get_context(self.start_method)
        # Workers are copies of the fork server, so it must not load the program, with OpenCV, into itself.
        context.set_forkserver_preload([])
        return context

    def start(self) -> None:
        if self._watcher is not None and not self._watcher.over.is_set():
            return
        self.close(kill=True)
        self._board = board = Board()
        try:
            self._open_pool(begin_work, board.folder)
            self._await_workers(board)
            self._opened()
        except BaseException as problem:
            self.close(kill=True)
            if isinstance(problem, Exception) and not isinstance(problem, BackendError):
                raise BackendError("The worker processes could not be started.") from problem
            raise
        self._watcher = Watcher(board, self._workers)
        self._watcher.start()

    def _await_workers(self, board: Board) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if ready := board.ready():
                self._workers = [process for process in multiprocessing.active_children() if process.pid in ready]
                if len(self._workers) >= self.workers:
                    return
            time.sleep(0.003)
        raise BackendError(f"The worker processes were not ready within {START_SECONDS:g} seconds.")

    def close(self, *, kill: bool = False) -> None:
        """End the workers. They have nothing to finish or to save, so ``kill`` makes no difference."""
        board, self._board, self._watcher = self._board, None, None
        if board is not None:
            self._discard_pool()
            board.remove()
            self._workers = []

    def _kill_workers(self) -> None:
        for worker in self._workers:
            end(worker)
        for worker in self._workers:
            wait([worker.sentinel], timeout=5)

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. An early end kills the workers; the next run starts new ones."""
        waiting = {task.index: task for task in tasks}
        again: set[int] = set()
        fruitless = 0
        try:
            while waiting:
                # Tasks that had a worker die come last and alone: a second death then is certainly theirs.
                batch = [t for t in waiting.values() if t.index not in again] or list(waiting.values())[:1]
                expected = len(waiting) - len(batch)
                before = len(waiting)
                watcher = self._ready_watcher()
                with closing(self._attempt(batch, watcher, deadline)) as results:
                    for result in results:
                        del waiting[result.index]
                        yield replace(result, attempts=2 if result.index in again else 1)
                if len(waiting) == expected:
                    continue
                if self._watcher is not watcher:  # another thread closed this backend
                    return
                victims = watcher.victims_now()
                self.close(kill=True)
                for index in victims.keys() & waiting.keys():
                    if index in again:
                        del waiting[index]
                        yield TaskResult(index, error=victims[index], attempts=2)
                    again.add(index)
                fruitless = 0 if victims or len(waiting) < before else fruitless + 1
                if fruitless == TRIES:
                    raise BackendError("The worker processes kept ending, whatever they were given.")
        finally:
            if waiting:
                self.close(kill=True)

    def _ready_watcher(self) -> Watcher:
        for tries_left in reversed(range(TRIES)):
            try:
                self.start()
                break
            except BackendError:
                if not tries_left:
                    raise
        assert self._watcher is not None
        return self._watcher

    def _attempt(self, batch: list[Task], watcher: Watcher, deadline: float) -> Generator[TaskResult, None, None]:
        """Results of the batch until it is done or the pool is broken."""
        watcher.deadline = deadline
        try:
            with closing(self._work_through(map(pack, batch))) as parcels:
                watcher.waiting_since = time.perf_counter()
                for parcel in parcels:
                    watcher.waiting_since = None
                    yield unpack(parcel)
                    watcher.waiting_since = time.perf_counter()
        except Exception:  # each library has its own words for a dead worker
            LOG.info("%s: the pool broke", self.name, exc_info=True)
        finally:
            watcher.deadline = watcher.waiting_since = None

    def _work_through(self, parcels: Iterator[Parcel]) -> Generator[Parcel, None, None]:
        """Have every parcel worked on, few at a time, by ``_submit``; results as they come.

        Raises:
            Exception: the pool is broken.
        """
        assert self._watcher is not None
        done: SimpleQueue[Parcel | BaseException] = SimpleQueue()
        self._watcher.tell(lambda: done.put(WorkerLost()))
        in_flight = 0
        for parcel in islice(parcels, 2 * self.workers):
            self._submit(parcel, done.put)
            in_flight += 1
        while in_flight:
            outcome = done.get()
            if isinstance(outcome, BaseException):
                break
            in_flight -= 1
            for parcel in islice(parcels, 1):
                self._submit(parcel, done.put)
                in_flight += 1
            yield outcome
        while not done.empty():  # what was finished before the death is not lost
            if isinstance(outcome := done.get(), Parcel):
                yield outcome


class Watcher(threading.Thread):
    """Watches the workers of one pool from when they are ready until one dies; kills those that hang.

    ``over`` is set then, and ``victims`` says what each dead worker was at: task index -> why it failed.
    """

    def __init__(self, board: Board, workers: list[BaseProcess]) -> None:
        super().__init__(name="worker watch", daemon=True)
        self.board = board
        self.workers = workers
        self.over = threading.Event()
        self.victims: dict[int, str] = {}
        #: Seconds that a task may take; None while nothing runs.
        self.deadline: float | None = None
        #: Since when the caller waits for a result.
        self.waiting_since: float | None = None
        self._on_death: Callable[[], None] = lambda: None
        self._seen: dict[BaseProcess, Entry | None] = {}
        self._hung: dict[BaseProcess, str] = {}

    def tell(self, on_death: Callable[[], None]) -> None:
        """Have ``on_death`` called when a worker dies, at once if one has."""
        self._on_death = on_death
        if self.over.is_set():
            on_death()

    def victims_now(self) -> dict[int, str]:
        """``victims``, for a caller that knows that the pool is broken, perhaps before this thread does."""
        self.over.wait(1)
        return self.victims

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


def end(worker: BaseProcess) -> None:
    """Kill a worker process, stopped or not."""
    if not wait([worker.sentinel], timeout=0):
        with suppress(OSError):
            os.kill(worker.pid or 0, getattr(signal, "SIGKILL", signal.SIGTERM))


def in_background(letting_go: Callable[[], object]) -> threading.Thread:
    """Call something that a worker's death at a bad moment might block for ever, so that it can be left behind."""

    def call() -> None:
        with suppress(Exception):
            letting_go()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
