"""What all pools of processes have in common: how their workers are started and watched.

The libraries do the work, each in its own file.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Set
from contextlib import suppress
from functools import partial
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from operator import attrgetter
from typing import ClassVar

from imgproc.backends.base import DEFAULTS, BackendError, Capabilities, Options
from imgproc.backends.places import pin_process, places
from imgproc.backends.pools.pool import PoolBackend, WorkersDied, started
from imgproc.backends.pools.starting import context_without_main
from imgproc.backends.pools.watcher import ProcessGroup
from imgproc.backends.surroundings import Needs, check
from imgproc.backends.worker_loop import StatusFolder, begin_work
from imgproc.pixels.inner_threads import one_opencv_thread

#: Longest that all workers together may take to get ready, in seconds; forked ones have nothing to load.
START_SECONDS = 60.0
FORK_SECONDS = 10.0
#: Seconds in which what is not stuck is done.
MOMENT = 0.2
# Windows cannot wait for more at once.
_MOST = 60 if sys.platform == "win32" else None


class ProcessBackend(PoolBackend):
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
        unpinned="",
    )

    #: What its workers need of the system.
    needs: ClassVar[Needs] = Needs(files=(10, 2))

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._status: StatusFolder | None = None
        self._workers: list[BaseProcess] = []

    @abstractmethod
    def _open_pool(self, initializer: Callable[[], None]) -> None:
        """Make a pool whose workers call ``initializer``; need not wait for them."""

    def _opened(self) -> None:
        """Called when every worker is ready."""

    @abstractmethod
    def _discard_pool(self) -> None:
        """Kill ``_workers`` and let go of what is left of the pool, if any; must not block for long."""

    def _breaks(self) -> None:
        """To be called by a library that knows of a worker's death, before it ends the others."""
        if isinstance(group := self._group, ProcessGroup):
            group.look()

    def context(self) -> BaseContext:
        """The multiprocessing context for the pool."""
        context: BaseContext = context_without_main(self.start_method)
        if self.start_method == "fork":  # Python warns where a process has threads; the record of a run always does
            warnings.filterwarnings("ignore", r".* multi-threaded, use of fork\(\)", DeprecationWarning)
        return context

    def start(self) -> None:
        if self._group is not None and not self._group.over.is_set():
            return
        self.close(kill=True)
        check(self.needs, self.workers, self.start_method)
        self._group = started(self._new_group)

    def _new_group(self) -> ProcessGroup:
        self._status = status = StatusFolder()
        others = set(multiprocessing.active_children())
        try:
            # OpenCV's own threads do not survive a fork: a worker that then ends them waits for ever.
            with one_opencv_thread():
                self._open_pool(partial(begin_work, status.folder, self.cv2_threads))
                self._await_workers(status, others)
            self._opened()
            self.places = places(self.affinity, self.workers, self.cv2_threads)
            for worker, cpus in zip(self._workers, self.places, strict=False):
                pin_process(worker.pid or 0, cpus)
        except BaseException as problem:
            self._workers = [process for process in multiprocessing.active_children() if process not in others]
            self.close(kill=True)
            if isinstance(problem, Exception) and not isinstance(problem, BackendError):
                raise BackendError("The worker processes could not be started.") from problem
            raise
        return ProcessGroup(status, self._workers)

    def _await_workers(self, status: StatusFolder, others: Set[BaseProcess]) -> None:
        seconds = FORK_SECONDS if self.start_method == "fork" else START_SECONDS
        until = time.monotonic() + seconds
        seen: set[BaseProcess] = set()
        while time.monotonic() < until:
            alive = set(multiprocessing.active_children()) - others
            seen |= alive
            # A pool may go on with another in its place, which waits for ever for a lock that the dead one holds.
            if len(alive) < max(self.workers, len(seen)):
                raise WorkersDied("A worker process ended while it started.")
            if ready := status.ready():
                self._workers = [process for process in alive if process.pid in ready]
                if len(self._workers) >= self.workers:
                    self.cv2_threads = min(ready.values())
                    status.close()
                    return
            time.sleep(0.003)
        advice = " Choose forkserver or spawn to start them." if self.start_method == "fork" else ""
        raise BackendError(f"The worker processes were not ready within {seconds:g} seconds.{advice}")

    def close(self, *, kill: bool = False) -> None:
        """End the workers. They have nothing to finish or to save, so ``kill`` makes no difference."""
        status, self._status, self._group = self._status, None, None
        if status is not None:
            self._discard_pool()
            status.remove()
            self._workers = []


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

    Who reads from a worker that was killed in the middle of a large batch, or writes to it, waits as long as the
    caller's own copies of the workers' ``ends`` of the pipes, given by attribute, are open.
    """
    waiting.join(MOMENT)
    if waiting.is_alive():
        for end in ends:
            with suppress(AttributeError, OSError):  # another Python may have other names
                attrgetter(end)(pool).close()
        waiting.join(5)
