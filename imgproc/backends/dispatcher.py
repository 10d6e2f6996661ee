"""Handing tasks to the workers of a cluster, each of which may die, hang or fall silent without a word.

A worker is given a few parcels ahead and works on the first of them. Whatever becomes of it, each task ends in exactly
one result, and nothing is waited for that will not come.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Protocol

from imgproc.backends.base import DIED, BackendError, hung
from imgproc.backends.envelopes import Desk
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Entry, Parcel
from imgproc.pixels.stopwatch import Span

#: Seconds between two looks at the workers.
TICK = 0.25
#: Seconds between two looks while nobody has anything to do.
NOBODY_SECONDS = 0.02
#: Parcels at one worker: what it works on, and the next, so that it never waits for one.
AHEAD = 2
#: Longest that there may be no worker to give anything to, in seconds, and longest that nothing may come back
#: beyond what the deadline allows.
PATIENCE = 30.0


class Workforce(Protocol):
    """The workers of a cluster. A worker that was started anew is another one, with another name."""

    def look(self) -> Mapping[str, bool]:
        """The workers there are that are ready for work, by name, and whether each was heard of lately.

        Raises:
            BackendError: the cluster itself is lost.
        """

    def submit(self, worker: str, parcel: Parcel, done: Callable[[Parcel | None], None]) -> Callable[[], object]:
        """Have that worker, and no other, run the parcel, and ``done`` be called once with what comes of it, None if
        nothing can. Returns what takes the parcel back; ``done`` may be called even then."""

    def at(self, worker: str) -> Entry | None:
        """What the worker wrote about what it is at; None where that cannot be read."""

    def ahead(self, worker: str) -> float:
        """By how many seconds the worker's clock is ahead of the caller's; also of one that is gone."""

    def end(self, worker: str) -> None:
        """Kill the worker, or see to it that it is given nothing more. It is not there any more."""


def _done() -> None:
    """There is nothing to take back."""


@dataclass(eq=False)
class _Errand:
    """A parcel at a worker. ``since``: when it was sent, or came to be the worker's first. ``doubled``: its tasks were
    handed to others too; whose result comes first counts."""

    worker: str
    tasks: list[Task]
    since: float
    take_back: Callable[[], object] = _done
    doubled: bool = False


@dataclass(eq=False)
class Dispatcher:
    """Carries the tasks of one run to the workers of a crew.

    Args:
        deadline: seconds that one task may take.
        clock: seconds, as on the workers' boards.
    """

    crew: Workforce
    desk: Desk
    chunk_size: int
    deadline: float
    clock: Callable[[], float] = time.perf_counter
    _open: dict[int, Task] = field(default_factory=dict)
    _todo: deque[Task] = field(default_factory=deque)
    #: Tasks that had a worker die or hang. They are tried again alone: a second death then is certainly theirs. And
    #: last: what made workers die without their fault may then be over.
    _suspects: deque[Task] = field(default_factory=deque)
    _blamed: set[int] = field(default_factory=set)
    _failed: list[TaskResult] = field(default_factory=list)
    _able: list[str] = field(default_factory=list)
    _out: dict[str, list[_Errand]] = field(default_factory=dict)
    _inbox: SimpleQueue[tuple[_Errand, Parcel | None, float]] = field(default_factory=SimpleQueue)

    def results(self, tasks: Sequence[Task]) -> Generator[TaskResult, None, None]:
        """One for each task, as completed. An early end takes back what was handed out.

        Raises:
            BackendError: there is nobody left to work, or nothing comes back.
        """
        self._open = {task.index: task for task in tasks}
        self._todo.extend(tasks)
        heard = able = self.clock()  # when something came back, and when there was somebody to work
        looked, wait = -TICK, 0.0
        try:
            while self._open:
                arrived, now = self._arrived(wait), self.clock()
                if now - looked >= TICK:
                    there, looked = self.crew.look(), now
                    arrived += self._arrived(0)  # what came back before somebody was gone
                    self._judge(there)
                heard, able = now if arrived else heard, now if self._able else able
                self._check(now, heard, able)
                self._hand_out((AHEAD + 1) * len(self._able) - len(arrived))
                for errand, parcel in arrived:
                    yield from self._results(errand, parcel)
                yield from self._failures()
                wait = TICK if any(self._out.values()) else NOBODY_SECONDS
        finally:
            for errand in chain(*self._out.values()):
                errand.take_back()

    def _check(self, now: float, heard: float, able: float) -> None:
        if now - able > PATIENCE:
            raise BackendError(f"There has been no worker to give an image to for {PATIENCE:g} seconds.")
        if now - heard > PATIENCE + 2 * self.deadline * self.chunk_size:
            raise BackendError(f"None of the workers has given anything back for {now - heard:.0f} seconds.")

    # What comes back

    def _arrived(self, seconds: float) -> list[tuple[_Errand, Parcel]]:
        """What has come back, after at most so many seconds in which nothing does."""
        arrived = []
        with suppress(Empty):
            errand, parcel, at = self._inbox.get(seconds > 0, seconds)
            while True:
                out = self._out.get(errand.worker, [])
                errand.take_back = _done  # which may hold what was sent
                if errand in out:
                    out.remove(errand)
                    for following in out[:1]:
                        following.since = at
                    if parcel is None:
                        self._lost(errand, {task.index: DIED for task in errand.tasks})
                    else:
                        arrived.append((errand, parcel))
                errand, parcel, at = self._inbox.get_nowait()
        return arrived

    def _results(self, errand: _Errand, parcel: Parcel) -> Iterator[TaskResult]:
        wanted = Parcel(tuple(item for item in parcel.items if item.task in self._open))
        ahead = self.crew.ahead(errand.worker)
        for result in self.desk.results(wanted):
            del self._open[result.index]
            spans = tuple(Span(s.stage, s.start - ahead, s.end - ahead) for s in result.spans)
            yield replace(result, spans=spans, attempts=2 if result.index in self._blamed else 1)

    def _failures(self) -> Iterator[TaskResult]:
        failed, self._failed = self._failed, []
        for result in failed:
            if self._open.pop(result.index, None):
                yield result

    # Who is there

    def _judge(self, there: Mapping[str, bool]) -> None:
        """See who can be given something; what the others had is handed out again."""
        for worker in [worker for worker in self._out if worker not in there]:
            self._gone(worker, DIED)
        self._able = [worker for worker, heard in there.items() if heard and not self._hangs(worker)]
        for worker in there:
            if worker not in self._able:
                self._double(self._out.get(worker, []))
        for worker in self._able:
            self._out.setdefault(worker, [])

    def _hangs(self, worker: str) -> bool:
        """Whether the worker has taken longer than it may, and was ended."""
        first = next(iter(self._out.get(worker, [])), None)
        if first is None:
            return False
        entry, seconds, since = self.crew.at(worker), self.deadline, first.since
        if entry is None:  # it cannot be told which of the parcel's tasks it is at
            seconds *= len(first.tasks)
        else:
            since = max(since, entry.time)
        if self.clock() - since <= seconds:
            return False
        self._gone(worker, hung(self.deadline))
        self.crew.end(worker)
        return True

    def _gone(self, worker: str, why: str) -> None:
        """What the worker was at is to blame; what it had not begun is handed out again."""
        out, entry = self._out.pop(worker), self.crew.at(worker)
        for errand in out:
            errand.take_back()
            at = {task.index for task in errand.tasks} if errand is out[0] else set()
            if entry is not None:
                at = {entry.task} if entry.busy else set()
            self._lost(errand, dict.fromkeys(at, why))

    def _double(self, out: list[_Errand]) -> None:
        """The worker is silent, but may come back."""
        for errand in out:
            self._lost(errand, {})
            errand.doubled = True

    def _lost(self, errand: _Errand, victims: Mapping[int, str]) -> None:
        """Hand the tasks of an errand out again; those with a reason are blamed for its end, the second time given
        up for it."""
        if errand.doubled:
            return
        for task in reversed(errand.tasks):
            index = task.index
            if index not in victims:
                (self._suspects if index in self._blamed else self._todo).appendleft(task)
            elif index not in self._blamed:
                self._blamed.add(index)
                self._suspects.append(task)
            else:
                self._failed.append(TaskResult(index, error=victims[index], attempts=2))

    # Who gets what

    def _hand_out(self, most: int) -> None:
        """To each worker as much as it has room for, the least busy first; suspects come last, each to an idle one.

        Args:
            most: parcels out at a time, as those that are back and not unpacked take memory too.
        """
        while self._able and sum(map(len, self._out.values())) < most:
            worker = min(self._able, key=lambda worker: len(self._out[worker]))
            at_it = len(self._out[worker])
            # The last ones wait here for whoever is free first, and not behind another.
            ahead = AHEAD if len(self._todo) > len(self._able) * self.chunk_size else 1
            if at_it < ahead and (chunk := self._chunk(self._todo, self.chunk_size)):
                self._send(worker, chunk)
            elif not at_it and (suspect := self._chunk(self._suspects, 1)):
                self._send(worker, suspect)
            else:
                return

    def _chunk(self, tasks: deque[Task], most: int) -> list[Task]:
        chunk: list[Task] = []
        while tasks and len(chunk) < most:
            task = tasks.popleft()
            if task.index in self._open:  # else a worker that had been silent did it after all
                chunk.append(task)
        return chunk

    def _send(self, worker: str, tasks: list[Task]) -> None:
        parcel, now = self.desk.pack(tasks), self.clock()
        errand = _Errand(worker, tasks, now)
        self._out[worker].append(errand)

        def done(result: Parcel | None) -> None:
            self._inbox.put((errand, result, self.clock()))

        parcel = parcel._replace(submitted=now + self.crew.ahead(worker))
        errand.take_back = self.crew.submit(worker, parcel, done)
