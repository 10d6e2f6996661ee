"""A backend and a clock whose times are programmed, so that the protocol's tests are exact and instant."""

from dataclasses import replace

from imgproc.backends.base import DEFAULTS, Backend, BackendError, Capabilities
from imgproc.backends.pools.multiprocessing_pool import MultiprocessingPool
from imgproc.backends.pools.sequential import Sequential
from imgproc.backends.task import TaskResult, Worker
from imgproc.pixels.job import ImageJob, Processed
from imgproc.pixels.stopwatch import Span


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Fake(Backend):
    """Each pass takes the next of ``times`` (the last one again and again), split evenly over the tasks."""

    name = "fake"
    capabilities = Capabilities(memory="shared", killable=False)
    clock = Clock()
    times = (1.0,)
    startup = 0.25
    inner_threads = 1
    drop = 0

    def __init__(self, workers, options=DEFAULTS):
        super().__init__(workers, options)
        self.passes = 0
        self.closed = 0

    def start(self):
        self.clock.now += self.startup

    def run(self, tasks, *, deadline):
        seconds = self.times[min(self.passes, len(self.times) - 1)]
        self.passes += 1
        for number, task in enumerate(tasks[self.drop :]):
            start = self.clock.now
            self.clock.now += seconds / len(tasks)
            worker = Worker(1, number % self.workers, "host", self.inner_threads)
            yield TaskResult(task.index, worker=worker, spans=(Span("canny", start, self.clock.now),))

    def close(self, *, kill=False):
        self.closed += 1


class Broken(Fake):
    def start(self):
        raise BackendError("The workers could not be started.")


class BreaksLater(Sequential):
    """Fails in its fourth pass: after the warm-up and reading it back, in the middle of the rounds."""

    passes_whole = 3

    def __init__(self, workers, options=DEFAULTS):
        super().__init__(workers, options)
        self.passes = 0

    def run(self, tasks, *, deadline):
        self.passes += 1
        if self.passes > self.passes_whole:
            raise BackendError("The workers could not go on.")
        return super().run(tasks, deadline=deadline)


class Sloppy(Sequential):
    """Cheats: blurs with another kernel than was asked for, which is faster."""

    def run(self, tasks, *, deadline):
        return super().run([self._cheat(task) for task in tasks], deadline=deadline)

    def _cheat(self, task):
        if not isinstance(task.payload, ImageJob):
            return task
        parameters = {**task.payload.parameters, "kernel": 3}
        return replace(task, payload=replace(task.payload, parameters=parameters))


class SloppyOnOne(Sloppy):
    """Cheats only with one image."""

    def _cheat(self, task):
        one = isinstance(task.payload, ImageJob) and task.payload.source.endswith("1.png")
        return super()._cheat(task) if one else task


class BreaksSoon(BreaksLater):
    """Fails in its third pass: after the warm-up and reading it back."""

    passes_whole = 2


class FailsInRounds(Sequential):
    """From its third pass on (results or warm-up, reading back, rounds), all but one image fail."""

    fails_from = 3

    def __init__(self, workers, options=DEFAULTS):
        super().__init__(workers, options)
        self.passes = 0

    def run(self, tasks, *, deadline):
        self.passes += 1
        for number, result in enumerate(super().run(tasks, deadline=deadline)):
            fails = self.passes >= self.fails_from and number
            yield replace(result, value=None, error="The disk is full.") if fails else result


class FailsInWarmUp(FailsInRounds):
    fails_from = 1


class Sprawling(Sequential):
    """Its BLAS threads are not pinned."""

    def run(self, tasks, *, deadline):
        for result in super().run(tasks, deadline=deadline):
            yield replace(result, worker=replace(result.worker, other_threads=8))


class Elsewhere(MultiprocessingPool):
    """As if its workers were on other machines, on a file system that all share."""

    def __init__(self, workers, options=DEFAULTS):
        super().__init__(workers, options)
        self.local = False


class Blind(Elsewhere):
    """As if its workers were on other machines, with files of their own."""

    def sees(self, folder):
        return False

    def run(self, tasks, *, deadline):
        assert all(task.carrier for task in tasks)
        return super().run(tasks, deadline=deadline)


class Notes(Sequential):
    """Says of every image how it was read, and one thing more of the largest, whose task is the first."""

    def run(self, tasks, *, deadline):
        for result in super().run(tasks, deadline=deadline):
            if isinstance(result.value, Processed):
                notes = ("It uses only 12 of 16 bits.", *(["It has no colours."] if result.index == 0 else []))
                result = replace(result, value=replace(result.value, notes=notes))
            yield result
