"""joblib with its loky processes."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from imgproc.backends.base import BackendError
from imgproc.backends.dispatcher import Workforce
from imgproc.backends.pools.pool import GroupWorkforce
from imgproc.backends.pools.processes import ProcessBackend, hang_up, in_background
from imgproc.backends.pools.watcher import kill
from imgproc.backends.sharing import memory as shared
from imgproc.backends.surroundings import Needs, without_shared_memory
from imgproc.backends.task import Task
from imgproc.backends.worker_loop import Batch, run_batch

if TYPE_CHECKING:  # joblib is loaded when it is started, not when it is listed
    from joblib import Parallel

LOG = logging.getLogger(__name__)

#: loky ends workers that idled for so long, in seconds; its 5 minutes would fall between two measured rounds.
IDLE_SECONDS = 7 * 24 * 3600


class _Outgoing(Batch):
    """A batch that is stamped when it is pickled: joblib asks for several before it submits the first."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Batch, (self.envelopes, time.perf_counter(), self.number)


_Sent = tuple[Batch, bool, Callable[[Batch | None], None]]


class _Feeder:
    """A thread that has joblib work through batches, in one call as many as come until one is said to be the last."""

    def __init__(self, parallel: Parallel) -> None:
        self._parallel = parallel
        self._inbox: SimpleQueue[_Sent | None] = SimpleQueue()
        self._done: dict[int, Callable[[Batch | None], None]] = {}
        self._thread = threading.Thread(target=self._work, name="joblib", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        self._inbox.put((batch, last, done))

    def close(self) -> None:
        """Its workers are dead."""
        self._inbox.put(None)
        self._thread.join(5)

    def _work(self) -> None:
        from joblib import delayed

        try:
            while sent := self._inbox.get():
                for batch in self._parallel(delayed(run_batch)(batch) for batch in self._batches(sent)):
                    if batch.envelopes:
                        self._done.pop(batch.number)(batch)
        except Exception:  # joblib noticed the death of a worker
            LOG.info("joblib: the pool broke", exc_info=True)
        for done in list(self._done.values()):
            done(None)

    def _batches(self, sent: _Sent | None) -> Iterator[Batch]:
        """Empty ones as long as the caller has enough to do: joblib holds a lock while it asks, and must not wait."""
        while sent:
            batch, last, done = sent
            self._done[batch.number] = done
            yield _Outgoing(*batch)
            if last:
                return
            while self._inbox.empty():
                yield Batch(())
            sent = self._inbox.get()


class JoblibLoky(ProcessBackend):
    """``joblib.Parallel`` with ``backend="loky"``.

    joblib has one set of loky workers per process, so only one of these can be started at a time. It runs
    everything in the caller's own process when it has a reason to, as with one job; here that is an error.

    It asks for batches in a thread of its own, for as many as there are workers at a time, and gives results back in
    bursts. So it is handed all of them at once; those with images, which take memory, as many as it may hold.
    """

    name = "joblib"
    capabilities = replace(ProcessBackend.capabilities, min_workers=2, start_methods=("loky",), alone=True)
    needs = Needs(files=(10, 1))
    _parallel: Parallel | None = None
    _executor: object = None
    _feeder: _Feeder | None = None
    _started: ClassVar[JoblibLoky | None] = None

    def start(self) -> None:
        with warnings.catch_warnings():  # of what it is about to refuse
            warnings.simplefilter("ignore")
            from joblib import effective_n_jobs

        if self.workers < 2:
            raise BackendError(
                "With one worker joblib starts no process: it would be the sequential program under another name. "
                "Choose 2 workers or more."
            )
        if effective_n_jobs(self.workers) != self.workers:
            raise BackendError(
                f"joblib refuses to start worker processes here and would use the caller’s own process{_why_refused()}"
            )
        if JoblibLoky._started not in (None, self):
            raise BackendError("joblib keeps one set of workers per process, and another one is in use.")
        super().start()

    def _open_pool(self, initializer: Callable[[], None]) -> None:
        from joblib import Parallel, delayed

        JoblibLoky._started = self
        self._parallel = Parallel(
            n_jobs=self.workers,
            backend="loky",
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=self.ahead,
            initializer=initializer,
            idle_worker_timeout=IDLE_SECONDS,
        )
        self._parallel.__enter__()
        self._executor = getattr(self._parallel._backend, "_workers", None)  # joblib makes another one when it breaks
        self._first = self._parallel(delayed(os.getpid)() for _ in range(self.workers))

    def _opened(self) -> None:
        assert self._parallel is not None
        if os.getpid() in set(self._first):
            raise BackendError("joblib ran in the caller’s own process instead of its workers.")
        self._feeder = _Feeder(self._parallel)
        _when_broken(self._executor, self._breaks)

    def _workforce(self, tasks: Sequence[Task]) -> Workforce:
        carried = any(task.carrier for task in tasks)
        return GroupWorkforce(self, self.ready_group(), self.ahead + self.workers if carried else len(tasks))

    def _submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        assert self._feeder is not None
        self._feeder.submit(batch, last, done)

    def _discard_pool(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        parallel, self._parallel, feeder, self._feeder = self._parallel, None, self._feeder, None
        _break(self._executor, self._workers)
        if feeder is not None:
            feeder.close()
        with warnings.catch_warnings():  # that what it was given first comes to nothing
            warnings.simplefilter("ignore")
            self._executor, self._first = None, iter(())
        if parallel is not None:
            in_background(lambda: parallel.__exit__(None, None, None)).join(5)
            in_background(lambda: get_reusable_executor(reuse=True).shutdown(kill_workers=True)).join(5)
        _delete_empty_folders()
        JoblibLoky._started = None


def _when_broken(executor: Any, breaks: Callable[[], None]) -> None:
    """Have ``breaks`` called when loky knows that a worker died, before it kills the others: it tells first what waits
    for results, and joblib in its own time."""
    submit = getattr(executor, "submit", None)
    if submit is None:
        return

    def watched(*args: Any, **named: Any) -> Any:
        future = submit(*args, **named)
        future.add_done_callback(lambda one: breaks() if not one.cancelled() and one.exception() else None)
        return future

    executor.submit = watched


def _delete_empty_folders() -> None:
    """joblib makes a folder in shared memory each time it begins, for large arrays, which no task of ours has, and
    keeps most of them until the program ends: one that serves runs for weeks would fill it."""
    for folder in shared.FOLDER.glob(f"joblib_memmapping_folder_{os.getpid()}_*"):
        with suppress(OSError):  # it is another thread's and not empty, or gone
            folder.rmdir()


def _why_refused() -> str:
    """Why joblib starts no processes, after a colon; a full stop where nothing is known."""
    if os.environ.get("JOBLIB_MULTIPROCESSING") == "0":
        return ": the environment variable JOBLIB_MULTIPROCESSING is 0. Unset it."
    lack = without_shared_memory()
    return f": {lack}" if lack else "."


def _break(executor: object, workers: list[BaseProcess]) -> None:
    """Make loky notice that a worker died: it would read on where it is at that one's result, and write on where it
    is at its task."""
    queue = getattr(executor, "_call_queue", None)
    threads = getattr(executor, "_executor_manager_thread", None), getattr(queue, "_thread", None)
    kill(workers)
    for thread, pool, end in zip(threads, (executor, queue), ("_result_queue._writer", "_reader"), strict=True):
        if thread is not None:
            hang_up(thread, pool, end)
