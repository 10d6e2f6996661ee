"""What the techniques with threads have in common.

A thread cannot be killed. One that hangs is given up: another takes its place, and its task is tried once more.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import ClassVar

import cv2

from imgproc.backends.base import DEFAULTS, Backend, Capabilities, Options
from imgproc.backends.dispatcher import Assignment, Dispatcher
from imgproc.backends.places import pin_this_thread, places
from imgproc.backends.task import Task, TaskResult, current_worker, run_task
from imgproc.pixels.inner_threads import pin_other_threads, pin_threads, pinned_libraries

#: Longest that ``close`` waits for threads that still work, in seconds.
CLOSE_SECONDS = 5.0


_of_thread = threading.local()


def _pin_this_thread() -> None:
    """OpenMP has a number of threads for each thread that calls it; Numba, say, may have loaded a library since."""
    if getattr(_of_thread, "pinned", None) is not pinned_libraries():
        pin_other_threads()
        _of_thread.pinned = pinned_libraries()


class Unpacked:
    """Tasks and results as they are, since threads share the caller's memory; see ``Packer``."""

    def pack(self, tasks: Sequence[Task], ahead: float) -> None:
        """Threads take the tasks themselves."""

    def results(self, batch: Sequence[TaskResult], wanted: Container[int]) -> Iterator[TaskResult]:
        """All of them: nobody else has these tasks."""
        return iter(batch)

    def close(self) -> None:
        """Nothing is held."""


class ThreadBackend(Backend):
    """Tasks on threads of this process, of which it replaces those that hang. Techniques say how a task gets to one.

    It is its own ``Workforce``, with one address for all threads.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        memory="shared", killable=False, inner_threads=True, splits=True, unpinned=""
    )
    room = held = sys.maxsize
    shared_fate = False
    wake: Callable[[], object]  # is never called: no thread ends by itself

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._started = False
        #: Of each thread what it has, which task of that it is at, and since when.
        self._at: dict[threading.Thread, tuple[Assignment, int, float]] = {}
        #: Which of ``places`` each thread is pinned to.
        self._placed: dict[threading.Thread, int] = {}
        self._placing = threading.Lock()

    @abstractmethod
    def _open(self) -> None:
        """Make the threads, none of which may hold up the end of the program; there are none."""

    @abstractmethod
    def submit(self, assignment: Assignment) -> None:
        """Have ``work_on`` called with it by the next free thread."""

    @abstractmethod
    def _replace(self, thread: threading.Thread) -> None:
        """Give this thread up for another; what is not begun stays submitted."""

    @abstractmethod
    def _let_go(self) -> Iterable[threading.Thread]:
        """Have the threads end when they have done what they are at, without waiting; returns them."""

    def start(self) -> None:
        if not self._started:
            self.cv2_threads = pin_threads(self.cv2_threads)
            self.places, self._placed = places(self.affinity, self.workers, self.cv2_threads), {}
            self._open()
            self._started = True

    def close(self, *, kill: bool = False) -> None:
        if self._started:
            self._started = False
            threads = list(self._let_go())
            until = time.monotonic() + (0 if kill else CLOSE_SECONDS)
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. After an early end, what threads are at is finished behind the scenes."""
        self.start()
        cv2.setNumThreads(self.cv2_threads)
        dispatcher = Dispatcher(self, Unpacked(), deadline, memory=self.most_memory)
        with closing(dispatcher.results(self.batches(tasks))) as results:
            yield from results

    def work_on(self, assignment: Assignment) -> None:
        """What a thread does with what is submitted."""
        thread, results = threading.current_thread(), []
        for task in assignment.tasks:
            if assignment.dropped:  # nobody waits for it, or another thread has all of it by now
                return
            self._at[thread] = assignment, task.index, time.perf_counter()
            _pin_this_thread()
            if self.places and thread not in self._placed:
                self._place(thread)
            try:
                results.append(run_task(task))
            except KeyboardInterrupt:  # Ctrl-C reaches the main thread only, so this one is the task's own
                error = "Unexpected KeyboardInterrupt while working on this image."
                results.append(TaskResult(task.index, error=error, worker=current_worker()))
            self._at.pop(thread, None)
        assignment.done(results)

    def _place(self, thread: threading.Thread) -> None:
        """Pin the calling thread to a place that no other one has."""
        with self._placing:
            taken = set(self._placed.values())
            place = next((place for place in range(len(self.places)) if place not in taken), 0)
            self._placed[thread] = place
        pin_this_thread(self.places[place])

    def look(self) -> Mapping[str, bool]:
        return {"": True}

    def at(self, worker: str) -> Mapping[int, float]:
        return {task: since for one, task, since in list(self._at.values()) if not one.dropped}

    def ahead(self, worker: str) -> float:
        return 0.0

    def end(self, worker: str, late: Collection[int]) -> None:
        for thread, (assignment, task, _) in list(self._at.items()):
            if task in late and not assignment.dropped:
                assignment.dropped = True  # should it ever go on, what was handed over with it is another's
                del self._at[thread]
                self._placed.pop(thread, None)
                self._replace(thread)
