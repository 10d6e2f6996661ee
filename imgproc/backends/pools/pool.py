"""What all techniques with a group of worker processes have in common: one that dies costs all the others too.

None of the libraries survives the death of a worker unharmed, so all are killed then, others are started, and the
dispatcher hands unfinished tasks out again.
"""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from typing import TypeVar

from imgproc.backends.base import DEFAULTS, Backend, BackendError, Options
from imgproc.backends.dispatcher import Assignment, Dispatcher, Workforce
from imgproc.backends.envelopes import EnvelopePacker
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Batch
from imgproc.pixels.inner_threads import one_opencv_thread

LOG = logging.getLogger(__name__)

#: So often in a row may workers end without a result or a task to blame, or not start.
TRIES = 3


_Started = TypeVar("_Started")


class WorkersDied(BackendError):
    """Workers ended while they started, nobody knows why: by chance, the next time they may not."""


def started(start: Callable[[], _Started]) -> _Started:
    """What ``start`` returns. Where workers die meanwhile it is tried again, as any work is whose worker dies.

    Raises:
        WorkersDied: they did each time.
    """
    for _ in range(TRIES - 1):
        with suppress(WorkersDied):
            return start()
    return start()


class WorkersClosed(Exception):
    """Another thread closed the backend in the middle of a run."""


class DispatchedBackend(Backend):
    """Tasks on worker processes, handed out by the dispatcher. Techniques say what their workforce is."""

    @abstractmethod
    def _workforce(self, tasks: Sequence[Task]) -> Workforce:
        """Those that are to do these tasks, started."""

    def _abandon(self) -> None:
        """A run ended early: workers may still be at its tasks."""
        self.close(kill=True)

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. An early end kills workers of this machine; the next run starts new ones.

        With carriers the caller's process works too, on one thread; what it hangs at cannot be interrupted.
        """
        left = len(tasks)
        if not left:
            return
        with one_opencv_thread() if any(task.carrier for task in tasks) else nullcontext():
            try:
                workforce = self._workforce(tasks)
                with (
                    closing(EnvelopePacker()) as packer,
                    closing(
                        Dispatcher(workforce, packer, deadline, memory=self.most_memory).results(self.batches(tasks))
                    ) as results,
                ):
                    for result in results:
                        left -= 1
                        yield result
            except WorkersClosed:
                left = 0
            finally:
                if left:
                    self._abandon()


class WorkerGroup:
    """What the caller knows of workers of which one's death ends all.

    ``over`` is set then, and ``victims`` are the tasks that those to blame were at.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self.victims: set[int] = set()
        #: Why other workers would be of no use; empty where they may be.
        self.fatal = ""
        self._on_death: Callable[[], object] = lambda: None

    def busy(self) -> Mapping[int, float]:
        """The tasks that are worked on, and since when."""
        raise NotImplementedError

    def notify(self, on_death: Callable[[], object]) -> None:
        """Have ``on_death`` called when a worker dies, at once if one has."""
        self._on_death = on_death
        if self.over.is_set():
            on_death()

    def ended(self) -> None:
        """A worker is dead."""
        self.over.set()
        self._on_death()


class PoolBackend(DispatchedBackend):
    """Tasks on a group of worker processes. Techniques say how these are started and fed; ``start`` sets ``_group``,
    and ``close`` takes it away."""

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._group: WorkerGroup | None = None

    @property
    def ahead(self) -> int:
        """Batches handed out ahead: none of the workers ever waits for one, and few images are held."""
        return max(self.workers + 1, 2 * self.workers // self.chunk_size)

    @abstractmethod
    def _submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        """Have a worker call ``run_batch(batch)``, and ``done`` be called with what comes of it; None, should the
        pool break. Not with the library's exception, whose traceback would keep the batch in memory.

        Args:
            last: nothing more comes until this and all before it are done.
        """

    def _workforce(self, tasks: Sequence[Task]) -> Workforce:
        return GroupWorkforce(self, self.ready_group(), self.ahead)

    def ready_group(self) -> WorkerGroup:
        """The workers, started.

        Raises:
            BackendError: they could not be, several times.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self.start()
                break
            except BackendError:
                if not tries_left:
                    raise
        assert self._group is not None
        return self._group

    def replace_group(self) -> WorkerGroup:
        """Others in the place of workers of which one is dead."""
        self.close(kill=True)
        self.replacements += 1
        return self.ready_group()


class GroupWorkforce:
    """A backend's group of workers, and those that come in its place, each at an address of its own."""

    shared_fate = True

    def __init__(self, backend: PoolBackend, group: WorkerGroup, room: int) -> None:
        self.room, self.held = room, max(room, backend.ahead + backend.workers)
        self.wake: Callable[[], object] = lambda: None
        self._backend, self._group = backend, group
        self._number = 0
        self._victims: Collection[int] = ()
        #: Whether the group is to be replaced, though it may be alive; and whether it was of any use.
        self._broken = self._ended = self._useful = False
        self._fruitless = 0

    def look(self) -> Mapping[str, bool]:
        if self._backend._group is not self._group:
            raise WorkersClosed
        if self._broken or self._ended or self._group.over.is_set():
            self._renew()
        if not self._number:
            self._begin()
        return {str(self._number): True}

    def _renew(self) -> None:
        if self._broken:  # who feeds the workers may know of a death before their watcher does
            self._group.over.wait(1)
        self._victims, fatal = set(self._group.victims), self._group.fatal
        if fatal:
            self._backend.close(kill=True)
            raise BackendError(fatal)
        self._fruitless = 0 if self._useful or self._ended or self._victims else self._fruitless + 1
        if self._fruitless == TRIES:
            self._backend.close(kill=True)
            raise BackendError("The worker processes kept ending, whatever they were given.")
        self._group = self._backend.replace_group()
        self._begin()

    def _begin(self) -> None:
        self._broken = self._ended = self._useful = False
        self._number += 1
        self._group.notify(self.wake)

    def submit(self, assignment: Assignment) -> None:
        group = self._group
        if self._backend._group is not group:  # another thread closed the backend: its next run's workers are not ours
            raise WorkersClosed

        def done(batch: Batch | None) -> None:
            if batch is not None:
                self._useful = True
                assignment.done(batch)
            elif group is self._group:
                self._broken = True
                self.wake()

        try:
            self._backend._submit(assignment.batch, assignment.last, done)
        except Exception:  # each library has its own words for a dead worker
            LOG.info("%s: the pool broke", self._backend.name, exc_info=True)
            done(None)

    def at(self, worker: str) -> Mapping[int, float]:
        return self._group.busy() if worker == str(self._number) else dict.fromkeys(self._victims, 0.0)

    def ahead(self, worker: str) -> float:
        return 0.0

    def end(self, worker: str, late: Collection[int]) -> None:
        self._ended = True
        self._group.over.set()  # should the run end with these tasks, the next one must not get workers that hang
        self.wake()
