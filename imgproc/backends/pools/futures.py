"""``concurrent.futures``: threads and processes behind one interface."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import thread as thread_futures
from typing import Any

from imgproc.backends.base import DEFAULTS, BackendError, Options
from imgproc.backends.dispatcher import Assignment
from imgproc.backends.pools.processes import ProcessBackend, hang_up, in_background
from imgproc.backends.pools.threaded import ThreadBackend
from imgproc.backends.pools.watcher import kill
from imgproc.backends.worker_loop import Batch, run_batch


class FuturesThreads(ThreadBackend):
    """``ThreadPoolExecutor``. A hung thread costs the executor, since it cannot replace one of its threads."""

    name = "futures-threads"

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._executor: ThreadPoolExecutor | None = None
        self._threads: list[threading.Thread] = []
        self._futures: dict[Future[None], Assignment] = {}

    def _open(self) -> None:
        self._futures = {}
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="image worker")
        self._threads = make_daemon_threads(self._executor, self.workers)

    def submit(self, assignment: Assignment) -> None:
        assert self._executor is not None
        future = self._executor.submit(self.work_on, assignment)
        self._futures[future] = assignment
        future.add_done_callback(lambda done: None if done.cancelled() else self._futures.pop(done, None))

    def _replace(self, thread: threading.Thread) -> None:
        futures, self._futures = self._futures, {}
        self._let_go()
        self._open()
        for future, assignment in futures.items():
            if future.cancelled():
                self.submit(assignment)

    def _let_go(self) -> list[threading.Thread]:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        return self._threads


def make_daemon_threads(executor: ThreadPoolExecutor, count: int) -> list[threading.Thread]:
    """Have the executor make all its threads now, none of which can hold up the end of the program."""
    meeting = threading.Barrier(count + 1)

    def meet() -> threading.Thread:
        meeting.wait()
        return threading.current_thread()

    made: list[Future[threading.Thread]] = []
    # submit() makes the threads, and a thread is a daemon if the one that made it is.
    maker = threading.Thread(target=lambda: made.extend(executor.submit(meet) for _ in range(count)), daemon=True)
    maker.start()
    try:
        meeting.wait(timeout=30)
    except threading.BrokenBarrierError:
        raise BackendError("The threads could not be started.") from None
    maker.join()
    threads = [future.result() for future in made]
    # concurrent.futures joins even daemon threads at exit, for ever if one hangs; close() joins those that end.
    for thread in threads:
        forget_at_exit(thread)
    return threads


def forget_at_exit(thread: threading.Thread) -> None:
    """Have ``concurrent.futures`` not wait for a thread of its at the end of the program."""
    joined: Any = getattr(thread_futures, "_threads_queues", {})
    joined.pop(thread, None)


class FuturesProcesses(ProcessBackend):
    """``ProcessPoolExecutor``. The death of a worker breaks the whole executor: it is made anew."""

    name = "futures-processes"
    _executor: ProcessPoolExecutor | None = None

    def _open_pool(self, initializer: Callable[[], None]) -> None:
        self._executor = ProcessPoolExecutor(self.workers, mp_context=self.context(), initializer=initializer)
        for _ in range(self.workers):  # it starts one process per task until it has all
            self._executor.submit(int)

    def _submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        assert self._executor is not None

        def over(future: Future[Batch]) -> None:
            if future.exception():  # the executor tells it before it ends the other workers
                self._breaks()
            done(None if future.exception() else future.result())

        self._executor.submit(run_batch, batch).add_done_callback(over)

    def _discard_pool(self) -> None:
        kill(self._workers)
        executor, self._executor = self._executor, None
        if executor is not None:
            hang_up(in_background(executor.shutdown), executor, "_call_queue._reader", "_result_queue._writer")
