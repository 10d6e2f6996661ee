"""What the techniques with threads have in common: keeping the deadline.

A thread cannot be killed. One that hangs is given up: another takes its place, and its task is tried once more.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import ClassVar

import cv2

from imgproc.backends.base import DEFAULTS, Backend, Capabilities, Options, hung
from imgproc.backends.task import Task, TaskResult, current_worker, run_task

#: Seconds between two looks for hung threads.
TICK = 0.1
#: Longest that ``close`` waits for threads that still work, in seconds.
CLOSE_SECONDS = 5.0


class Job:
    """One try of one task. A thread calls it; its result goes to ``outbox``."""

    def __init__(self, task: Task, outbox: SimpleQueue[tuple[Job, TaskResult]], attempt: int = 1) -> None:
        self.task = task
        self.outbox = outbox
        self.attempt = attempt
        self.thread: threading.Thread | None = None
        self.started: float | None = None
        self.dropped = False  # nobody waits for it any more

    def __call__(self) -> None:
        if self.dropped:
            return
        self.thread = threading.current_thread()
        self.started = time.perf_counter()
        try:
            result = run_task(self.task)
        except KeyboardInterrupt:  # Ctrl-C reaches the main thread only, so this one is the task's own
            error = "Unexpected KeyboardInterrupt while working on this image."
            result = TaskResult(self.task.index, error=error, worker=current_worker())
        self.outbox.put((self, result))


class ThreadBackend(Backend):
    """Runs jobs on threads and replaces threads that hang. Techniques say how a job gets to a thread."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        memory="shared", killable=False, inner_threads=True, splits=True
    )

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._open: dict[Job, None] = {}

    @abstractmethod
    def _submit(self, job: Job) -> None:
        """Have the job called by the next free thread."""

    @abstractmethod
    def _replace(self, thread: threading.Thread) -> None:
        """Give this thread up for another; jobs not begun stay submitted."""

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. After an early end, what threads are at is finished behind the scenes."""
        self.start()
        cv2.setNumThreads(self.cv2_threads)
        outbox: SimpleQueue[tuple[Job, TaskResult]] = SimpleQueue()
        look = time.perf_counter() + TICK
        try:
            for task in tasks:
                self._put(Job(task, outbox))
            while self._open:
                try:
                    job, result = outbox.get(timeout=TICK)
                except Empty:
                    pass
                else:
                    if job in self._open:  # else it was given up, and came back after all
                        del self._open[job]
                        yield replace(result, attempts=job.attempt)
                if time.perf_counter() >= look:
                    yield from self._give_up_hung(outbox, deadline)
                    look = time.perf_counter() + TICK
        finally:
            self._drop_all()

    def _put(self, job: Job) -> None:
        self._open[job] = None
        self._submit(job)

    def _give_up_hung(self, outbox: SimpleQueue[tuple[Job, TaskResult]], deadline: float) -> Iterator[TaskResult]:
        now = time.perf_counter()
        for job in [job for job in self._open if job.started is not None and now - job.started > deadline]:
            assert job.thread is not None  # it is set before the time
            del self._open[job]
            self._replace(job.thread)
            if job.attempt == 1:
                self._put(Job(job.task, outbox, attempt=2))
            else:
                yield TaskResult(job.task.index, error=hung(deadline), attempts=2)

    def _drop_all(self) -> None:
        for job in self._open:
            job.dropped = True
        self._open = {}


def join_all(threads: Iterable[threading.Thread]) -> None:
    """Wait for threads that are ending, ``CLOSE_SECONDS`` for all together."""
    until = time.monotonic() + CLOSE_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
