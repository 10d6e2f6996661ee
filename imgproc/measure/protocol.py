"""How techniques are timed against each other: one warm-up, then interleaved rounds in shuffled order.

The timed region is the same for all: from handing over the list of tasks to the last result, which comes
after the last output file was written. Start-up is a figure of its own, and nothing else happens inside.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import psutil

from imgproc.backends import BASELINE, Technique
from imgproc.backends.base import Backend, BackendError
from imgproc.image.task import Task, TaskResult
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.measure.statistics import karp_flatt, median_interval, paired_speedup, verdict

OnResult = Callable[[TaskResult], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Pass:
    """One pass over a list of tasks, in the order the results came."""

    results: tuple[TaskResult, ...]
    start: float
    round: Round


class Contender:
    """One technique under measurement: its workers and what was measured of it so far."""

    def __init__(
        self, technique: Technique, workers: int, *, deadline: float, clock: Clock = time.perf_counter
    ) -> None:
        self.technique = technique
        self.backend: Backend = technique.load()(workers)
        self.deadline = deadline
        self.clock = clock
        self.passes: list[Pass] = []
        self.measurement = TechniqueMeasurement(technique.name, technique.label)

    def start(self) -> None:
        """Make the workers and note how long that took."""
        start = self.clock()
        self.backend.start()
        self.measurement.startup_seconds = self.clock() - start
        self.measurement.workers = self.backend.workers
        self.measurement.cv2_threads = self.backend.cv2_threads

    def run(self, tasks: Sequence[Task], on_result: OnResult) -> Pass:
        """One timed pass.

        Raises:
            BackendError: the technique failed, or its workers were not what they claim to be.
        """
        cpu_before = _cpu_seconds()
        results: list[TaskResult] = []
        start = self.clock()
        with closing(self.backend.run(tasks, deadline=self.deadline)) as running:  # type: ignore[type-var]
            for result in running:
                results.append(result)
                on_result(result)
        wall = self.clock() - start
        self._check(results, tasks)
        return Pass(tuple(results), start, Round(wall, cpu_seconds=max(0.0, _cpu_seconds() - cpu_before)))

    def _check(self, results: Sequence[TaskResult], tasks: Sequence[Task]) -> None:
        if sorted(r.index for r in results) != sorted(t.index for t in tasks):
            raise BackendError("The technique did not give one result for each image.")
        for result in results:
            if result.worker and result.worker.cv2_threads != self.backend.cv2_threads:
                raise BackendError(
                    f"A worker ran with {result.worker.cv2_threads} inner OpenCV threads instead of "
                    f"{self.backend.cv2_threads}, so its times would not be comparable."
                )

    def close(self, *, kill: bool = False) -> None:
        self.backend.close(kill=kill)


def interleave(
    contenders: Sequence[Contender],
    one_pass: Callable[[Contender, int], Pass],
    *,
    rounds: int,
    budget: float,
    seed: int,
    clock: Clock = time.perf_counter,
) -> None:
    """Run every contender once per round, in an order shuffled anew for each; keeps the passes in the contenders.

    Args:
        one_pass: makes a contender's pass of the round with that number, from 1.
        rounds: how many; fewer when the next would exceed ``budget`` seconds, but at least one.
    """
    shuffle = random.Random(seed).shuffle
    begin, longest = clock(), 0.0
    for number in range(1, rounds + 1):
        start = clock()
        if number > 1 and start - begin + longest > budget:
            return
        order = list(contenders)
        shuffle(order)
        for contender in order:
            contender.passes.append(one_pass(contender, number))
        longest = max(longest, clock() - start)


def conclude(contenders: Iterable[Contender], *, images: int, megapixels: float) -> None:
    """Fill the measurements from the passes: medians, intervals, and speedups over the baseline."""
    contenders = list(contenders)
    for contender in contenders:
        _describe(contender, images, megapixels)
    baseline = next((c for c in contenders if c.technique.name == BASELINE), None)
    if baseline is None or not baseline.passes:
        return
    base = [p.round.wall_seconds for p in baseline.passes]
    baseline.measurement.speedup = baseline.measurement.efficiency = 1.0
    for contender in contenders:
        if contender is not baseline and contender.passes:
            _compare(contender.measurement, base)


def _describe(contender: Contender, images: int, megapixels: float) -> None:
    m = contender.measurement
    if not contender.passes:
        return
    m.rounds = [p.round for p in contender.passes]
    walls = [r.wall_seconds for r in m.rounds]
    m.median_seconds = statistics.median(walls)
    interval = median_interval(walls)
    m.ci95 = list(interval) if interval else None
    m.images_per_second = images / m.median_seconds
    m.megapixels_per_second = megapixels / m.median_seconds
    typical = min(contender.passes, key=lambda p: abs(p.round.wall_seconds - m.median_seconds))  # type: ignore[operator]
    m.spans = spans(typical)
    m.stages = stages(m.spans, m.workers * typical.round.wall_seconds)


def _compare(m: TechniqueMeasurement, base: Sequence[float]) -> None:
    if m.identical is False:
        return  # no speedup for other pixels
    m.speedup, interval = paired_speedup(base, [r.wall_seconds for r in m.rounds])
    m.speedup_ci95 = list(interval) if interval else None
    m.efficiency = m.speedup / m.workers
    m.karp_flatt = karp_flatt(m.speedup, m.workers)
    m.verdict = verdict(interval)


def spans(done: Pass) -> list[SpanRecord]:
    """Every stage of a pass, in seconds from its start; workers are numbered from 1 as they first appear."""
    numbers: dict[tuple[int, int], int] = {}
    records = []
    for result in done.results:
        if result.worker is None:
            continue
        worker = numbers.setdefault((result.worker.pid, result.worker.thread), len(numbers) + 1)
        for span in result.spans:
            start, end = (round(t - done.start, 6) for t in (span.start, span.end))
            records.append(SpanRecord(worker, result.index, span.stage, start, end))
    return sorted(records, key=lambda s: (s.worker, s.start))


def stages(records: Iterable[SpanRecord], worker_seconds: float) -> dict[str, float]:
    """Seconds per stage summed over the workers; ``wait`` is what of ``worker_seconds`` no stage took."""
    total: dict[str, float] = defaultdict(float)
    for span in records:
        total[span.stage] += span.end - span.start
    total["wait"] = max(0.0, worker_seconds - sum(total.values()))
    return {stage: round(seconds, 6) for stage, seconds in total.items()}


def _cpu_seconds() -> float:
    """CPU time of this process and its descendants so far."""
    seconds = time.process_time()
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:  # it ended meanwhile
            continue
        seconds += times.user + times.system
    return seconds
