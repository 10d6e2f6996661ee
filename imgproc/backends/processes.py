"""What all pools of processes have in common: workers that die or hang cost one task, and the run always ends.

The libraries do the work, each in its own file. None of them survives the death of a worker unharmed, so here
a death costs the pool: its workers are killed, a new one is made, and unfinished tasks are handed out again.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from operator import attrgetter
from queue import SimpleQueue
from typing import ClassVar

from imgproc.backends.base import DEFAULTS, Backend, BackendError, Capabilities, Options
from imgproc.backends.board import Board, Parcel, begin_work
from imgproc.backends.desk import Desk
from imgproc.backends.watcher import Watcher
from imgproc.image.task import Task, TaskResult, one_opencv_thread

LOG = logging.getLogger(__name__)

#: Longest that all workers together may take to get ready, in seconds; forked ones have nothing to load.
START_SECONDS = 60.0
FORK_SECONDS = 10.0
#: So often in a row may a pool break without a result or a task to blame, or not start.
TRIES = 3
#: Seconds in which what is not stuck is done.
MOMENT = 0.2
# Windows cannot wait for more at once.
_MOST = 60 if sys.platform == "win32" else None


class ProcessBackend(Backend):
    """Tasks on worker processes. Techniques say how their library makes, feeds and discards its pool."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        memory="copied",
        splits=True,
        killable=True,
        max_workers=_MOST,
        inner_threads=True,
        start_methods=tuple(
            method for method in ("forkserver", "spawn", "fork") if method in multiprocessing.get_all_start_methods()
        ),
        chunks=True,
        carries=True,
    )

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        #: Parcels handed out ahead: none of the workers ever waits for one, and few images are held.
        self.ahead = max(self.workers + 1, 2 * self.workers // self.chunk_size)
        self._board: Board | None = None
        self._watcher: Watcher | None = None
        self._workers: list[BaseProcess] = []

    @abstractmethod
    def _open_pool(self, initializer: Callable[[], None]) -> None:
        """Make a pool whose workers call ``initializer``; need not wait for them."""

    def _opened(self) -> None:
        """Called when every worker is ready."""

    @abstractmethod
    def _discard_pool(self) -> None:
        """Kill ``_workers`` and let go of what is left of the pool, if any; must not block for long."""

    def _submit(self, parcel: Parcel, done: Callable[[Parcel | None], None]) -> None:
        """Have a worker call ``run_parcel(parcel)``, and ``done`` be called with what comes of it; None, should the
        pool break. Not with the library's exception, whose traceback would keep the parcel in memory."""
        raise NotImplementedError

    def context(self) -> BaseContext:
        """The multiprocessing context for the pool."""
        context = multiprocessing.get_context(self.start_method)
        if self.start_method == "fork":  # Python warns where a process has threads; the record of a run always does
            warnings.filterwarnings("ignore", r".* multi-threaded, use of fork\(\)", DeprecationWarning)
        # Workers are copies of the fork server, so it must not load the program, with OpenCV, into itself.
        context.set_forkserver_preload([])
        return context

    def start(self) -> None:
        if self._watcher is not None and not self._watcher.over.is_set():
            return
        self.close(kill=True)
        self._board = board = Board()
        others = set(multiprocessing.active_children())
        try:
            # OpenCV's own threads do not survive a fork: a worker that then ends them waits for ever.
            with one_opencv_thread():
                self._open_pool(partial(begin_work, board.folder, self.cv2_threads))
                self._await_workers(board)
            self._opened()
        except BaseException as problem:
            self._workers = [process for process in multiprocessing.active_children() if process not in others]
            self.close(kill=True)
            if isinstance(problem, Exception) and not isinstance(problem, BackendError):
                raise BackendError("The worker processes could not be started.") from problem
            raise
        self._watcher = Watcher(board, self._workers)
        self._watcher.start()

    def _await_workers(self, board: Board) -> None:
        seconds = FORK_SECONDS if self.start_method == "fork" else START_SECONDS
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if ready := board.ready():
                self._workers = [process for process in multiprocessing.active_children() if process.pid in ready]
                if len(self._workers) >= self.workers:
                    self.cv2_threads = min(ready.values())
                    board.close()
                    return
            time.sleep(0.003)
        advice = " Choose forkserver or spawn to start them." if self.start_method == "fork" else ""
        raise BackendError(f"The worker processes were not ready within {seconds:g} seconds.{advice}")

    def close(self, *, kill: bool = False) -> None:
        """End the workers. They have nothing to finish or to save, so ``kill`` makes no difference."""
        board, self._board, self._watcher = self._board, None, None
        if board is not None:
            self._discard_pool()
            board.remove()
            self._workers = []

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. An early end kills the workers; the next run starts new ones.

        With carriers the caller's process works too, on one thread; what it hangs at cannot be interrupted.
        """
        with one_opencv_thread() if any(task.carrier for task in tasks) else nullcontext():
            yield from self._run(tasks, deadline)

    def _run(self, tasks: Sequence[Task], deadline: float) -> Iterator[TaskResult]:
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
            desk, most = Desk(watcher.not_waiting), (self.ahead + self.workers) * self.chunk_size
            # The desk is closed first, for a library may still ask for more while it ends.
            ready = desk.parcels(batch, self.chunk_size, most)
            with closing(self._work_through(ready)) as parcels, closing(desk):
                watcher.waiting_since = time.perf_counter()
                for parcel in parcels:
                    with watcher.not_waiting():
                        yield from desk.results(parcel)
        except Exception:  # each library has its own words for a dead worker
            LOG.info("%s: the pool broke", self.name, exc_info=True)
        finally:
            watcher.deadline = watcher.waiting_since = None

    def _work_through(self, parcels: Iterator[Parcel]) -> Generator[Parcel, None, None]:
        """Have every parcel worked on, ``ahead`` at a time, by ``_submit``; results as they come.

        Raises:
            Exception: the pool is broken.
        """
        assert self._watcher is not None
        done: SimpleQueue[Parcel | None] = SimpleQueue()
        self._watcher.tell(lambda: done.put(None))

        def submit(most: int) -> int:
            count = 0
            for parcel in islice(parcels, most):
                self._submit(parcel._replace(submitted=time.perf_counter()), done.put)
                count += 1
            return count

        in_flight = submit(self.ahead)
        while in_flight:
            result = done.get()
            if result is None:
                break
            in_flight += submit(1) - 1
            yield result
        while not done.empty():  # what was finished before the death is not lost
            if result := done.get():
                yield result


def in_background(letting_go: Callable[[], object]) -> threading.Thread:
    """Call something that a worker's death at a bad moment might block for ever, so that it can be left behind."""

    def call() -> None:
        with suppress(Exception):
            letting_go()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def hang_up(waiting: threading.Thread, pool: object, *ends: str) -> None:
    """Let a thread end that lets go of a pool's dead workers, and may be waiting for more from them.

    Who reads from a worker that was killed in the middle of a large parcel, or writes to it, waits as long as the
    caller's own copies of the workers' ``ends`` of the pipes, given by attribute, are open.
    """
    waiting.join(MOMENT)
    if waiting.is_alive():
        for end in ends:
            with suppress(AttributeError, OSError):  # another Python may have other names
                attrgetter(end)(pool).close()
        waiting.join(5)
