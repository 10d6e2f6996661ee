"""What all techniques with worker processes have in common: one that dies or hangs costs one task, and the run always
ends.

None of the libraries survives the death of a worker unharmed, so here a death costs all workers: they are killed,
others are started, and unfinished tasks are handed out again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue

from imgproc.backends.base import DEFAULTS, Backend, BackendError, Options
from imgproc.backends.envelopes import Desk
from imgproc.backends.pools.watcher import Watch
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Parcel
from imgproc.pixels.inner_threads import one_opencv_thread

LOG = logging.getLogger(__name__)

#: So often in a row may workers end without a result or a task to blame, or not start.
TRIES = 3


class Crew(Backend):
    """Tasks on worker processes. Techniques say how these are started and fed; ``start`` sets ``_watch``, and
    ``close`` takes it away."""

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._watch: Watch | None = None

    @property
    def ahead(self) -> int:
        """Parcels handed out ahead: none of the workers ever waits for one, and few images are held."""
        return max(self.workers + 1, 2 * self.workers // self.chunk_size)

    def _submit(self, parcel: Parcel, done: Callable[[Parcel | None], None]) -> None:
        """Have a worker call ``run_parcel(parcel)``, and ``done`` be called with what comes of it; None, should the
        pool break. Not with the library's exception, whose traceback would keep the parcel in memory."""
        raise NotImplementedError

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
                watch = self._ready_watch()
                with closing(self._attempt(batch, watch, deadline)) as results:
                    for result in results:
                        del waiting[result.index]
                        yield replace(result, attempts=2 if result.index in again else 1)
                if len(waiting) == expected:
                    continue
                if self._watch is not watch:  # another thread closed this backend
                    return
                victims = watch.victims_now()
                self.close(kill=True)
                self.replacements += 1
                if watch.fatal:
                    raise BackendError(watch.fatal)
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

    def _ready_watch(self) -> Watch:
        for tries_left in reversed(range(TRIES)):
            try:
                self.start()
                break
            except BackendError:
                if not tries_left:
                    raise
        assert self._watch is not None
        return self._watch

    def _attempt(self, batch: list[Task], watch: Watch, deadline: float) -> Generator[TaskResult, None, None]:
        """Results of the batch until it is done or the pool is broken."""
        watch.deadline = deadline
        try:
            desk, most = Desk(watch.not_waiting), (self.ahead + self.workers) * self.chunk_size
            packed = desk.parcels(batch, self.chunk_size, most)
            # The desk is closed first, for a library may still ask for more while it ends.
            with closing(self._work_through(packed)) as parcels, closing(desk):
                watch.waiting_since = time.perf_counter()
                for parcel in parcels:
                    with watch.not_waiting():
                        yield from desk.results(parcel)
        except Exception:  # each library has its own words for a dead worker
            LOG.info("%s: the pool broke", self.name, exc_info=True)
        finally:
            watch.deadline = watch.waiting_since = None

    def _work_through(self, parcels: Iterator[Parcel]) -> Generator[Parcel, None, None]:
        """Have every parcel worked on, ``ahead`` at a time, by ``_submit``; results as they come.

        Raises:
            Exception: the pool is broken.
        """
        assert self._watch is not None
        done: SimpleQueue[Parcel | None] = SimpleQueue()
        self._watch.tell(lambda: done.put(None))

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
