"""What the GPU techniques have in common: one child process that has the GPU, and threads in it that feed it.

The child has the only CUDA context, so a GPU that fails takes nobody else along. Its threads decode, hand the image to
the GPU that they share (``imgproc.image.on_device``), and encode what comes back.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import ClassVar

from imgproc.backends import gpu_child, nvidia
from imgproc.backends.base import DEFAULTS, DIED, Availability, Backend, BackendError, Capabilities, Options, hung
from imgproc.backends.board import Parcel
from imgproc.backends.desk import Desk
from imgproc.backends.watcher import kill
from imgproc.image.task import Task, TaskResult

#: Longest that it may take to make the context and to compile the kernels, in seconds.
START_SECONDS = 180.0
#: Seconds between two looks for tasks that hang.
TICK = 0.1
#: So often in a row may the child end with no task to blame.
TRIES = 3


class GpuPipeline(Backend):
    """``workers`` threads of a child process around one GPU. Techniques name the module of their adapter, the packages
    that it needs, and what installs them."""

    capabilities: ClassVar[Capabilities] = Capabilities(memory="device", killable=True)
    adapter: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    install: ClassVar[str] = nvidia.INSTALL

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._child: _Child | None = None

    @classmethod
    def availability(cls) -> Availability:
        return nvidia.availability(cls.packages, cls.install)

    def start(self) -> None:
        if self._child is not None and self._child.process.is_alive():
            return
        self.close(kill=True)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=gpu_child.serve, args=(theirs, self.adapter, self.workers), name="GPU", daemon=True
        )
        process.start()
        theirs.close()
        self._child = _Child(process, ours)
        try:
            kind, said = self._child.hear(START_SECONDS)
        except TimeoutError:
            kind, said = gpu_child.FAILED, f"it was not ready within {START_SECONDS:g} seconds"
        except _Ended:
            kind, said = gpu_child.FAILED, "its process ended without a word"
        except BaseException:
            self.close(kill=True)
            raise
        if kind != gpu_child.READY:
            self.close(kill=True)
            raise BackendError(f"The GPU could not be started: {said}.")

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. All that the child was at when it died may have killed it, so each of these is tried
        once more, alone. An early end kills the child; the next run starts a new one."""
        waiting = {task.index: replace(task, carrier=None) for task in tasks}  # it carries nothing
        again: set[int] = set()
        fruitless = 0
        try:
            while waiting:
                batch = [t for t in waiting.values() if t.index not in again] or list(waiting.values())[:1]
                before = len(waiting)
                self.start()
                assert self._child is not None
                attempt = _Attempt(self._child, batch, 2 * self.workers, deadline)
                with closing(attempt.results()) as results:
                    for result in results:
                        del waiting[result.index]
                        yield replace(result, attempts=2 if result.index in again else 1)
                self.notes += attempt.notes
                if not attempt.ended:
                    continue
                self.close(kill=True)
                for index, why in attempt.suspects.items():
                    if index in again:
                        del waiting[index]
                        yield TaskResult(index, error=why, attempts=2)
                    again.add(index)
                fruitless = 0 if attempt.suspects or len(waiting) < before else fruitless + 1
                if fruitless == TRIES:
                    raise BackendError("The process with the GPU kept ending, whatever it was given.")
        finally:
            if waiting:
                self.close(kill=True)

    def close(self, *, kill: bool = False) -> None:
        """End the child. It has nothing to finish or to save, so ``kill`` makes no difference."""
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Ended(Exception):
    """The child has ended."""


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    connection: Connection

    def hear(self, seconds: float) -> gpu_child.Message:
        """The next thing that it says.

        Raises:
            TimeoutError: it said nothing for so long.
            _Ended: it has ended.
        """
        try:
            if not self.connection.poll(seconds):
                raise TimeoutError
            message: gpu_child.Message = self.connection.recv()
        except (EOFError, ConnectionError):
            raise _Ended from None
        return message

    def silent(self) -> bool:
        """Whether all that it said was heard."""
        with suppress(OSError):
            return not self.connection.poll()
        return False

    def tell(self, parcel: Parcel) -> None:
        with suppress(ConnectionError):  # that it has ended is noticed when it is heard
            self.connection.send(parcel)

    def end(self) -> None:
        kill([self.process])
        self.connection.close()


@dataclass
class _Attempt:
    """Tasks given to a child, until all are done or it has ended; ``suspects`` is then what it was at: task index ->
    why that failed."""

    child: _Child
    tasks: list[Task]
    ahead: int
    deadline: float
    ended: bool = False
    suspects: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _running: dict[int, float] = field(default_factory=dict)
    _heard: float = 0.0

    def results(self) -> Generator[TaskResult, None, None]:
        """Results as they come.

        Raises:
            BackendError: the GPU was lost.
        """
        self._heard = time.perf_counter()
        with closing(Desk(self.tasks, 1, self.ahead)) as desk:
            parcels = desk.parcels()
            in_flight = 0
            while True:
                while in_flight < self.ahead and (parcel := next(parcels, None)):
                    self.child.tell(parcel._replace(submitted=time.perf_counter()))
                    in_flight += 1
                if not in_flight:
                    return
                parcel = self._wait()
                if self.ended:
                    return
                if parcel is not None:
                    in_flight -= 1
                    yield from desk.results(parcel)

    def _wait(self) -> Parcel | None:
        """The next result, if there is one before it is time to look for tasks that hang."""
        try:
            kind, said = self.child.hear(TICK)
            self._heard = time.perf_counter()
        except _Ended:
            self.ended, self.suspects = True, dict.fromkeys(self._running, DIED)
            return None
        except TimeoutError:
            kind, said = "", None
        parcel: Parcel | None = None
        match kind:
            case gpu_child.LOST:
                raise BackendError(f"The GPU failed in the middle of the work ({said}).")
            case gpu_child.NOTE:
                self.notes.append(said)
            case gpu_child.BEGUN:
                self._running[said] = time.perf_counter()
            case gpu_child.DONE:
                parcel = said
                for item in said.items:
                    self._running.pop(item.task, None)
        if parcel is None and self.child.silent():
            self._look()
        return parcel

    def _look(self) -> None:
        """A task that takes too long costs the child, and so does a child that begins none."""
        now = time.perf_counter()
        late = [index for index, since in self._running.items() if now - since > self.deadline]
        if late or (not self._running and now - self._heard > self.deadline):
            self.ended, self.suspects = True, dict.fromkeys(late, hung(self.deadline))
