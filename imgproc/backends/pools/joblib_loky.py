"""joblib with its loky processes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar

from joblib import Parallel, delayed, effective_n_jobs
from joblib.externals.loky import get_reusable_executor

from imgproc.backends.base import BackendError
from imgproc.backends.pools.processes import ProcessBackend, hang_up, in_background
from imgproc.backends.pools.watcher import kill
from imgproc.backends.worker_loop import Parcel, run_parcel

#: loky ends workers that idled for so long, in seconds; its 5 minutes would fall between two measured rounds.
IDLE_SECONDS = 7 * 24 * 3600


class _Outgoing(Parcel):
    """A parcel that is stamped when it is pickled: joblib asks for several before it submits the first."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Parcel, (self.items, time.perf_counter())


class JoblibLoky(ProcessBackend):
    """``joblib.Parallel`` with ``backend="loky"``.

    joblib has one set of loky workers per process, so only one of these can be started at a time. It runs
    everything in the caller's own process when it has a reason to, as with one job; here that is an error.

    It asks for tasks in a thread of its own, and for as many as there are workers at a time.
    """

    name = "joblib"
    capabilities = replace(ProcessBackend.capabilities, min_workers=2, start_methods=("loky",), alone=True)
    _parallel: Parallel | None = None
    _executor: object = None
    _started: ClassVar[JoblibLoky | None] = None

    def start(self) -> None:
        if self.workers < 2:
            raise BackendError(
                "With one worker joblib starts no process: it would be the sequential program under another name. "
                "Choose 2 workers or more."
            )
        if effective_n_jobs(self.workers) != self.workers:
            raise BackendError("joblib refuses to start worker processes here and would use the caller’s own process.")
        if JoblibLoky._started not in (None, self):
            raise BackendError("joblib keeps one set of workers per process, and another one is in use.")
        super().start()

    def _open_pool(self, initializer: Callable[[], None]) -> None:
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
        if os.getpid() in set(self._first):
            raise BackendError("joblib ran in the caller’s own process instead of its workers.")

    def _work_through(self, parcels: Iterator[Parcel]) -> Generator[Parcel, None, None]:
        assert self._parallel is not None and self._watch is not None
        self._watch.tell(partial(_break, self._executor, self._workers))
        results: Iterator[Any] = self._parallel(delayed(run_parcel)(_Outgoing(*parcel)) for parcel in parcels)
        try:
            # Not "yield from": that would close joblib's generator, which then warns.
            for parcel in results:  # noqa: UP028
                yield parcel
        except GeneratorExit:
            kill(self._workers)
            with suppress(Exception):  # joblib notices, and ends
                deque(results, maxlen=0)
            raise

    def _discard_pool(self) -> None:
        kill(self._workers)
        parallel, self._parallel, self._executor, self._first = self._parallel, None, None, iter(())
        if parallel is not None:
            in_background(lambda: parallel.__exit__(None, None, None)).join(5)
            in_background(lambda: get_reusable_executor(reuse=True).shutdown(kill_workers=True)).join(5)
        JoblibLoky._started = None


def _break(executor: object, workers: list[BaseProcess]) -> None:
    """Make loky notice that a worker died: it would read on where it is at that one's result, and write on where it
    is at its task."""
    queue = getattr(executor, "_call_queue", None)
    threads = getattr(executor, "_executor_manager_thread", None), getattr(queue, "_thread", None)
    kill(workers)
    for thread, pool, end in zip(threads, (executor, queue), ("_result_queue._writer", "_reader"), strict=True):
        if thread is not None:
            hang_up(thread, pool, end)
