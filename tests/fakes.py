"""A backend and a clock whose times are programmed, so that the protocol's tests are exact and instant."""

from imgproc.backends.base import Backend, BackendError, Capabilities
from imgproc.image.task import Span, TaskResult, Worker


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

    def __init__(self, workers):
        super().__init__(workers)
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
