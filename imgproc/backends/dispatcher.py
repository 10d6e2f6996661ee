"""Handing tasks to workers, each of which may die, hang or fall silent without a word: the loop of every technique.

Workers are given a few batches ahead. Whatever becomes of one, each task ends in exactly one result, and nothing is
waited for that will not come.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Container, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from imgproc.backends.base import DIED, BackendError, hung
from imgproc.backends.task import Task, TaskResult
from imgproc.pixels.stopwatch import Span

#: Seconds between two looks at the workers.
TICK = 0.25
#: Seconds between two looks while nobody has anything to do.
NOBODY_SECONDS = 0.02
#: Longest that there may be no worker to give anything to, in seconds, and longest that nothing may come back
#: beyond what the deadline allows.
PATIENCE = 30.0


class Packer(Protocol):
    """Makes of tasks what workers are given, and of what they give back results."""

    def pack(self, tasks: Sequence[Task], ahead: float) -> Any:
        """The tasks as they are handed over, to a worker whose clock is so many seconds ahead."""

    def results(self, batch: Any, wanted: Container[int]) -> Iterator[TaskResult]:
        """Those that are wanted of what came back. Never raises."""

    def close(self) -> None:
        """Let go of what is still held for workers."""


@dataclass(eq=False, slots=True)
class Assignment:
    """A batch at a worker, until it is back.

    ``since``: when it was sent, or came to be the worker's first. ``last``: nothing follows until it and all before it
    are back. ``doubled``: its tasks were handed to others too; whose result comes first counts.
    """

    worker: str
    tasks: list[Task]
    batch: Any
    since: float
    last: bool
    _inbox: SimpleQueue[Any]
    _clock: Callable[[], float]
    #: What takes it back; the workforce may set it.
    cancel: Callable[[], object] | None = None
    dropped: bool = False
    doubled: bool = False

    def done(self, batch: Any) -> None:
        """To be called once with what came of it, from any thread."""
        self._inbox.put((self, batch, self._clock()))

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.dropped = True
        if self.cancel:
            self.cancel()


class Workforce(Protocol):
    """The workers of a technique, behind addresses: of one worker each, or of a pool that hands out by itself. What was
    started anew has another address."""

    #: Batches at one address, and together with those that are back and not unpacked.
    room: int
    held: int
    #: Whether all that is at an address is lost with a task that kills or hangs its worker.
    shared_fate: bool
    #: Set by the dispatcher: to be called, from any thread, when somebody is gone.
    wake: Callable[[], object]

    def look(self) -> Mapping[str, bool]:
        """The addresses there are that are ready for work, and whether each was heard of lately.

        Raises:
            BackendError: all is lost.
        """

    def submit(self, assignment: Assignment) -> None:
        """Have that worker, and only it, run the batch and call ``done`` with what comes of it; None if nothing can."""

    def at(self, worker: str) -> Mapping[int, float] | None:
        """The tasks that are worked on there, each with the time of its beginning; None where that cannot be told. Of
        one that is gone those that are to blame."""

    def ahead(self, worker: str) -> float:
        """By how many seconds the worker's clock is ahead of the caller's; also of one that is gone."""

    def end(self, worker: str, late: Collection[int]) -> None:
        """These tasks hang: kill who is at them, or see to it that it is given nothing more."""


@dataclass(eq=False)
class Dispatcher:
    """Carries the tasks of one run to workers.

    Args:
        deadline: seconds that one task may take.
        clock: seconds, as in ``Workforce.at``.
        memory: bytes that tasks may take together that are handed out; one always is.
    """

    workforce: Workforce
    packer: Packer
    deadline: float
    clock: Callable[[], float] = time.perf_counter
    memory: float = math.inf
    _open: dict[int, Task] = field(default_factory=dict)
    _todo: deque[list[Task]] = field(default_factory=deque)
    #: Tasks of the largest batch.
    _most: int = 0
    #: Tasks that had a worker die or hang. They are tried again alone: a second death then is certainly theirs. And
    #: last: what made workers die without their fault may then be over.
    _suspects: deque[Task] = field(default_factory=deque)
    _blamed: set[int] = field(default_factory=set)
    _failed: list[TaskResult] = field(default_factory=list)
    #: Whether any tasks were handed to a second worker while the first may still do them.
    _doubled: bool = False
    _able: list[str] = field(default_factory=list)
    _out: dict[str, dict[Assignment, None]] = field(default_factory=dict)
    #: What came back and when; None: a look is worth while.
    _inbox: SimpleQueue[tuple[Assignment, Any, float] | None] = field(default_factory=SimpleQueue)
    _looked: float = -TICK
    #: When something was last heard, and when there was last somebody to work.
    _heard: float = 0.0
    _staffed: float = 0.0

    def results(self, batches: Sequence[list[Task]]) -> Generator[TaskResult, None, None]:
        """One for each task, as completed. An early end takes back what was handed out.

        Args:
            batches: of tasks; each goes to one worker, as a whole and in this order.

        Raises:
            BackendError: there is nobody left to work, or nothing comes back.
        """
        self._open = {task.index: task for batch in batches for task in batch}
        self._todo.extend(batches)
        self._most = max(map(len, batches), default=0)
        self.workforce.wake = lambda: self._inbox.put(None)
        self._heard = self._staffed = self.clock()
        wait = 0.0
        try:
            while self._open:
                arrived, now = self._arrived(wait), self.clock()
                if now - self._looked >= TICK:
                    self._looked = now
                    there = self.workforce.look()
                    arrived += self._arrived(0)  # what came back before somebody was gone
                    self._judge(there)
                self._check(now, bool(arrived))
                self._hand_out(len(arrived))
                for assignment, batch in arrived:
                    yield from self._results(assignment, batch)
                yield from self._failures()
                wait = TICK if any(self._out.values()) else NOBODY_SECONDS
        finally:
            for assignment in chain(*self._out.values()):
                assignment.drop()

    def _check(self, now: float, arrived: bool) -> None:
        if arrived:
            self._heard = now
        if self._able:
            self._staffed = now
        if now - self._staffed > PATIENCE:
            raise BackendError(f"There has been no worker to give an image to for {PATIENCE:g} seconds.")
        if now - self._heard > PATIENCE + 2 * self.deadline * self._most:
            raise BackendError(f"None of the workers has given anything back for {now - self._heard:.0f} seconds.")

    # What comes back

    def _arrived(self, seconds: float) -> list[tuple[Assignment, Any]]:
        """What has come back, after at most so many seconds in which nothing does."""
        arrived: list[tuple[Assignment, Any]] = []
        inbox = self._inbox
        with suppress(Empty):
            found = inbox.get(seconds > 0, seconds)
            while True:
                if found is None:
                    self._looked = -TICK
                else:
                    self._take(found, arrived)
                if inbox.empty():
                    break
                found = inbox.get_nowait()
        return arrived

    def _take(self, found: tuple[Assignment, Any, float], arrived: list[tuple[Assignment, Any]]) -> None:
        assignment, batch, at = found
        out = self._out.get(assignment.worker, {})
        assignment.batch = assignment.cancel = None  # which may hold what was sent
        if assignment not in out:
            return
        del out[assignment]
        for following in out:
            following.since = max(following.since, at)
            break
        if batch is None:
            self._lost(assignment, {task.index for task in assignment.tasks}, DIED)
        else:
            arrived.append((assignment, batch))

    def _results(self, assignment: Assignment, batch: Any) -> Iterator[TaskResult]:
        ahead = self.workforce.ahead(assignment.worker)
        for result in self.packer.results(batch, self._open):
            del self._open[result.index]
            if ahead:
                spans = tuple(Span(s.stage, s.start - ahead, s.end - ahead) for s in result.spans)
                result = replace(result, spans=spans)
            yield replace(result, attempts=2) if result.index in self._blamed else result
        self._heard = self.clock()  # the caller may have taken its time

    def _failures(self) -> Iterator[TaskResult]:
        failed, self._failed = self._failed, []
        for result in failed:
            if self._open.pop(result.index, None):
                yield result

    # Who is there

    def _judge(self, there: Mapping[str, bool]) -> None:
        """See who can be given something; what the others had is handed out again."""
        for worker in [worker for worker in self._out if worker not in there]:
            self._gone(worker, self.workforce.at(worker), DIED)
        self._able = [worker for worker, heard in there.items() if heard and not self._hangs(worker)]
        for worker in there:
            if worker not in self._able:
                for assignment in self._out.get(worker, {}):  # it is silent, but may come back
                    self._lost(assignment, (), "")
                    assignment.doubled = self._doubled = True
        for worker in self._able:
            self._out.setdefault(worker, {})

    def _hangs(self, worker: str) -> bool:
        """Whether the worker has taken longer than it may, and was ended."""
        out = self._out.get(worker)
        if not out:
            return False
        first, at, now = next(iter(out)), self.workforce.at(worker), self.clock()
        if at is None:  # it cannot be told which of the batch's tasks it is at
            if now - first.since <= self.deadline * len(first.tasks):
                return False
            late = {task.index for task in first.tasks}
        else:
            late = {task for task, since in at.items() if now - since > self.deadline}
            if late and self.workforce.shared_fate:  # what was begun within a look of them may as well be what hangs
                late = {task for task, since in at.items() if now - since > self.deadline - TICK}
            idle = self.workforce.shared_fate and not at and now - first.since > self.deadline
            if not late and not idle:
                return False
        if self.workforce.shared_fate:
            self._gone(worker, late, hung(self.deadline))
            self.workforce.end(worker, late)
            return True
        self.workforce.end(worker, late)
        for assignment in [one for one in out if any(task.index in late for task in one.tasks)]:
            del out[assignment]
            self._lost(assignment, late, hung(self.deadline))
        return False

    def _gone(self, worker: str, at: Collection[int] | None, why: str) -> None:
        """What the worker was at is to blame; where that is unknown all that it had, for it may have been through with
        the first, and died with that result. All else is handed out again."""
        out = list(self._out.pop(worker))
        if at is None:
            at = {task.index for assignment in out for task in assignment.tasks}
        for assignment in reversed(out):
            assignment.drop()
            self._lost(assignment, at, why)

    def _lost(self, assignment: Assignment, victims: Container[int], why: str) -> None:
        """Hand the tasks of an assignment out again; victims are blamed for its end, and the second time given up."""
        if assignment.doubled:
            return
        again: list[Task] = []
        for task in assignment.tasks:
            index = task.index
            if index not in victims:
                if index in self._blamed:  # it was handed out alone
                    self._suspects.appendleft(task)
                else:
                    again.append(task)
                continue
            self._heard = self.clock()
            if index not in self._blamed:
                self._blamed.add(index)
                self._suspects.append(task)
            else:
                self._failed.append(TaskResult(index, error=why, attempts=2))
        if again:
            self._todo.appendleft(again)

    # Who gets what

    def _hand_out(self, back: int) -> None:
        """To each worker as much as it has room for, the least busy first; suspects come last, each to an idle one.

        Args:
            back: batches that are back and not unpacked, which take memory too.
        """
        able, out = self._able, self._out
        room, alone = self.workforce.room, self.workforce.shared_fate
        most = self.workforce.held * len(able) - back - sum(map(len, out.values()))
        limited = self.memory < math.inf
        taken = self._memory_out() if limited else 0
        while most > 0:
            if limited and taken and taken + self._next_memory() > self.memory:
                return
            worker = able[0] if len(able) == 1 else min(able, key=lambda worker: len(out[worker]))
            at_it = len(out[worker])
            # The last ones wait here for whoever is free first, and not behind another.
            ahead = room if len(able) == 1 or len(self._todo) > len(able) else 1
            batch = self._next_batch() if at_it < ahead else []
            if not batch and not (at_it and alone):
                batch = self._next_suspect()
            if not batch:
                return
            self._send(worker, batch)
            if limited:
                taken += _memory(batch)
            most -= 1

    def _memory_out(self) -> int:
        """Bytes that the tasks take that are handed out."""
        return sum(_memory(assignment.tasks) for assignment in chain(*self._out.values()))

    def _next_memory(self) -> int:
        """What the next batch takes; those that were done after all are passed over when it is handed out."""
        for batch in chain(self._todo, ([task] for task in self._suspects)):
            if there := [task for task in batch if task.index in self._open]:
                return _memory(there)
        return 0

    def _next_batch(self) -> list[Task]:
        """The next one; empty if there is none."""
        if not self._doubled:
            return self._todo.popleft() if self._todo else []
        batch: list[Task] = []
        while self._todo and not batch:  # a worker that had been silent may have done all of it
            batch = [task for task in self._todo.popleft() if task.index in self._open]
        return batch

    def _next_suspect(self) -> list[Task]:
        """The next one as a batch; empty if there is none."""
        while self._suspects:
            task = self._suspects.popleft()
            if task.index in self._open:
                return [task]
        return []

    def _send(self, worker: str, tasks: list[Task]) -> None:
        batch = self.packer.pack(tasks, self.workforce.ahead(worker))
        assignment = Assignment(worker, tasks, batch, self.clock(), not self._todo, self._inbox, self.clock)
        self._out[worker][assignment] = None
        self.workforce.submit(assignment)


def _memory(tasks: Sequence[Task]) -> int:
    """Bytes that a worker takes for them, one after the other."""
    return max(task.memory for task in tasks)
