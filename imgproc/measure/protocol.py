"""How techniques are timed against each other: one warm-up, then interleaved rounds in shuffled order.

The timed region is the same for all: from handing over the list of tasks to the last result, which comes
after the last output file was handed to the system, or, in a durable run, was on the disk. Start-up is a figure of its
own, and nothing else happens inside.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

from imgproc.backends import BASELINE, Technique
from imgproc.backends.base import Backend, BackendError, Options
from imgproc.backends.phases import Plan, numbered
from imgproc.backends.places import OFF
from imgproc.backends.schedules import PIXELS_TRAVEL, SCHEDULES, Schedule
from imgproc.backends.schedules import USUAL as USUAL_SCHEDULE
from imgproc.backends.sharing.transport import PATHS
from imgproc.backends.task import HOST, TaskResult
from imgproc.measure.breakdown import CALLER
from imgproc.measure.derive import USUAL, comparisons_of, derive, derive_points, derive_weak, typical_spans
from imgproc.measure.energy import EnergyMeter, find
from imgproc.measure.peak_memory import PeakMemory
from imgproc.measure.process_tree import cpu_seconds, own_tree, started_since
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.measure.statistics import Rules
from imgproc.pixels.stopwatch import Span

OnResult = Callable[[TaskResult], None]

#: A record keeps every round's spans up to so many per technique, and only the typical round's beyond.
MOST_SPANS = 20_000


@dataclass(frozen=True)
class TaskOutcome:
    """What came of one task, and of which image, and which strip of it, it was."""

    result: TaskResult
    image: int
    part: int | None


@dataclass(frozen=True)
class Pass:
    """One pass over the images: a result for each, and the outcomes of the tasks that these came of, in
    the order they came. ``replaced``: whether workers died or hung meanwhile."""

    results: tuple[TaskResult, ...]
    parts: tuple[TaskOutcome, ...]
    start: float
    round: Round
    replaced: bool = False


class Contender:
    """One way of running a technique that is under measurement: its workers and what was measured of it so far.

    ``transfer``: how pixels reach its workers, where its technique leaves that open. ``copies``: how often each image
    is in one of its passes. ``point``: which amount of work its passes are of, where a run has several; None: all of
    it. ``restart_each_pass``: its workers have to be started anew for each pass, which is not part
    of its time.
    """

    def __init__(
        self,
        technique: Technique,
        workers: int,
        *,
        deadline: float,
        label: str = "",
        options: Options | None = None,
        transfer: str = "paths",
        copies: int = 1,
        point: float | None = None,
        shares_backend_with: Contender | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            deadline: seconds that one task may take.
            label: unique among the contenders of a run; the technique's where not given.
            shares_backend_with: one with the same technique, workers and options but for the chunk size, which is
                started first.
        """
        self.technique, self.shares_backend_with = technique, shares_backend_with
        first = shares_backend_with
        self.backend: Backend = first.backend if first else technique.load()(workers, options or Options())
        asked = options or Options()
        self._pinned = asked.affinity != OFF
        self._asked = SCHEDULES[asked.schedule]
        #: Its own, where others of the same workers have another.
        self._chunk = asked.chunk_size if self.backend.capabilities.chunks else 1
        self.transfer, self.copies = self.backend.capabilities.transfer or transfer, copies
        self.point = point
        self.restart_each_pass = False
        self.deadline, self.clock = deadline, clock
        self.started = False
        self.passes: list[Pass] = []
        self.processes = [os.getpid()]
        #: One for all passes: what it finds out about shared memory, which takes long, serves several of them.
        self._memory = PeakMemory(lambda: self.processes)
        self._energy: EnergyMeter | None = None
        self.measurement = TechniqueMeasurement(
            technique.name, label or technique.label, copies=copies, point=point, antipattern=technique.antipattern
        )
        self._describe()

    @property
    def does_the_same(self) -> bool:
        """Whether its passes are of the run's whole work, each image once."""
        return self.copies == 1 and self.point is None

    def start(self) -> None:
        """Make the workers and note how long that took."""
        before = set(own_tree())
        start = self.clock()
        self.backend.start()
        seconds = self.clock() - start
        if first := self.shares_backend_with:
            self.processes = first.processes
            self.measurement.startup_seconds = first.measurement.startup_seconds
        else:
            new = [pid for pid in own_tree(self.backend.helpers) if pid not in before]
            self.processes = list(dict.fromkeys([os.getpid(), *self.backend.helpers, *new]))
            if self.measurement.startup_seconds is None:  # the first time counts, if it is closed in between
                self.measurement.startup_seconds = seconds
        self.started = True
        self._describe()

    @property
    def unscheduled(self) -> str:
        """Why its tasks are not shared out by the schedule that was asked for, in words; empty where they are."""
        able = self.backend.capabilities
        if able.carries and self.transfer != PATHS and self._asked.shares:
            return PIXELS_TRAVEL
        return able.unscheduled

    @property
    def schedule(self) -> Schedule:
        """How its tasks are shared out."""
        return SCHEDULES[USUAL_SCHEDULE] if self.unscheduled else self._asked

    def use_transfer(self, transfer: str) -> None:
        """From now on pixels reach its workers in that way."""
        self.transfer = transfer
        self._describe()

    def _describe(self) -> None:
        backend, able, m = self.backend, self.backend.capabilities, self.measurement
        m.workers, m.cv2_threads, m.start_method = backend.workers, backend.cv2_threads, backend.start_method
        m.numba_threads = backend.numba_threads
        m.dashboard = backend.dashboard
        m.transfer = self.transfer if able.carries else None
        m.chunk_size = self._chunk if able.chunks else None
        m.affinity = backend.places
        m.unpinned = backend.unpinned if self._pinned else ""
        m.unscheduled = self.unscheduled
        m.schedule = None if m.unscheduled else self.schedule.name

    def run(self, plan: Plan, on_result: OnResult, *, pinned: bool = True) -> Pass:
        """One timed pass.

        Args:
            pinned: whether workers must keep the inner threads they were given; what a user's own function does to them
                is its own affair.

        Raises:
            BackendError: the technique failed, or its workers were not what they claim to be.
        """
        parts: list[TaskOutcome] = []
        self.backend.chunk_size = self._chunk
        with closing(plan), self._memory as memory:
            began, cpu_before = time.time(), cpu_seconds(self.processes)
            replacements = self.backend.replacements
            with self._energy_meter() as energy:
                start = self.clock()
                results, ends = self._carry_out(plan, parts, on_result)
                wall = self.clock() - start
            again = any(part.result.attempts > 1 for part in parts)
            if replaced := again or self.backend.replacements > replacements:
                new = started_since(began, self.backend.helpers)
                self.processes += [pid for pid in new if pid not in self.processes]
            cpu = max(0.0, cpu_seconds(self.processes) - cpu_before)
        m, notes = self.measurement, self.backend.notes
        m.warnings = list(dict.fromkeys([*m.warnings, *(f"{m.label}: {note}" for note in notes)]))
        notes.clear()
        for part in parts if pinned else ():
            self._check(part.result)
        moved = [part.result.bytes_moved for part in parts if part.result.bytes_moved is not None]
        phases = [round(end - start, 6) for end in ends] if len(ends) > 1 else []
        done = Round(wall, cpu, memory.bytes, sum(moved) if moved else None, phases, joules=energy.joules(wall))
        return Pass(tuple(results), tuple(parts), start, done, replaced)

    def _energy_meter(self) -> EnergyMeter:
        """Of this machine; where workers are on others, nothing is counted, as that would be less than they take."""
        if self._energy is None:
            self._energy = EnergyMeter(find().counters if self.backend.local else ())
        return self._energy

    def _carry_out(
        self, plan: Plan, parts: list[TaskOutcome], on_result: OnResult
    ) -> tuple[list[TaskResult], list[float]]:
        """Run phase after phase; returns the results of the images, and when each phase ended."""
        ends: list[float] = []
        results: list[TaskResult] | None = None
        while True:
            try:
                phase = numbered(plan.send(results) if results is not None else next(plan))
            except StopIteration as end:
                return end.value, ends
            found: dict[int, TaskResult] = {}
            with closing(self.backend.run(phase, deadline=self.deadline)) as running:  # type: ignore[type-var]
                for result in running:
                    found[result.index] = result
                    on_result(result)
            if len(found) != len(phase):
                raise BackendError("The technique did not give one result for each image.")
            ends.append(self.clock())
            parts.extend(TaskOutcome(found[task.index], task.of_image, task.part) for task in phase)
            results = [replace(found[task.index], index=task.of_image) for task in phase]

    def _check(self, result: TaskResult) -> None:
        if result.worker is None:
            return
        if result.worker.cv2_threads != self.backend.cv2_threads:
            raise BackendError(
                f"A worker ran with {result.worker.cv2_threads} inner OpenCV threads instead of "
                f"{self.backend.cv2_threads}, so its times would not be comparable."
            )
        if result.worker.numba_threads != self.backend.numba_threads:
            raise BackendError(
                f"It ran with {result.worker.numba_threads} of Numba’s threads instead of "
                f"{self.backend.numba_threads}, so its times would not be comparable."
            )
        if result.worker.other_threads != 1:
            raise BackendError("A worker’s BLAS or OpenMP threads were not pinned to one.")

    @property
    def walls(self) -> list[float]:
        """Seconds of each counted pass so far."""
        return [p.round.wall_seconds for p in self.passes]

    def close(self, *, kill: bool = False) -> None:
        self.started = False
        self.backend.close(kill=kill)


def interleave(
    contenders: list[Contender],
    one_pass: Callable[[Contender, int], Pass | None],
    *,
    rounds: int,
    budget: float,
    seed: int,
    most: int | None = None,
    enough: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Run every contender once per round, in an order shuffled anew for each; keeps the passes in the contenders.

    Args:
        one_pass: makes a contender's pass of the round with that number, from 1. None takes the contender
            out of ``contenders``, with all its passes: what is left of it cannot be compared.
        rounds: how many; fewer when the next would exceed ``budget`` seconds, but at least one.
        most: go on up to so many rounds while ``enough`` says no.
    """
    shuffle = random.Random(seed).shuffle
    begin, longest = clock(), 0.0
    for number in range(1, (most or rounds) + 1):
        start = clock()
        if number > 1 and start - begin + longest > budget:
            return
        if number > rounds and enough():
            return
        order = list(contenders)
        shuffle(order)
        for contender in order:
            done = one_pass(contender, number)
            if done is None:
                contenders.remove(contender)
                contender.passes.clear()
            else:
                contender.passes.append(done)
        longest = max(longest, clock() - start)


def conclude(contenders: Iterable[Contender], *, images: int, megapixels: float, rules: Rules = USUAL) -> None:
    """Put what was measured into the measurements, and derive from it what follows.

    Args:
        images: how many there were, with so many ``megapixels``; those with more ``copies`` had each several times, and
            those of a ``point`` as many as their measurements say, which say nothing where it was all.
        rules: how speedups and verdicts come about.
    """
    contenders = list(contenders)
    for contender in contenders:
        m = contender.measurement
        m.rounds = [p.round for p in contender.passes]
        m.spans = [span for number, p in enumerate(contender.passes, 1) for span in spans(p, number)]
    same = [c.measurement for c in contenders if c.does_the_same]
    points = [c.measurement for c in contenders if c.point is not None]
    comparisons = comparisons_of(same, points)
    derive(same, images=images, megapixels=megapixels, rules=rules, comparisons=comparisons)
    baseline = next((m for m in same if m.name == BASELINE), None)
    derive_points(points, comparisons, rules, images=images, megapixels=megapixels, baseline=baseline)
    weak = [c.measurement for c in contenders if c.copies > 1]
    derive_weak(weak, baseline, images=images, megapixels=megapixels, rules=rules)
    for m in (contender.measurement for contender in contenders):
        if len(m.spans) > MOST_SPANS:
            m.spans = typical_spans(m)


def spans(done: Pass, number: int) -> list[SpanRecord]:
    """Every stage of a pass, in seconds from its start; workers are numbered from 1 as they first appear, and 0 is
    the caller."""
    numbers: dict[tuple[str, int, int], int] = {}
    records = []

    def note(lane: int, found: Iterable[Span], image: int, part: int | None, host: str = HOST) -> None:
        for span in found:
            start, end = (round(t - done.start, 6) for t in (span.start, span.end))
            elsewhere = host if host != HOST else None
            records.append(SpanRecord(lane, image, span.stage, start, end, number, part, elsewhere))

    for one in done.parts:
        note(CALLER, one.result.caller_spans, one.image, one.part)
        if (worker := one.result.worker) is not None:
            who = worker.host, worker.pid, worker.thread
            lane = numbers.setdefault(who, len(numbers) + 1)
            note(lane, one.result.spans, one.image, one.part, worker.host)
    for result in done.results:
        if result.worker is None:  # of several parts; what was done between them
            note(CALLER, result.caller_spans, result.index, None)
    return sorted(records, key=lambda s: (s.worker, s.start))
