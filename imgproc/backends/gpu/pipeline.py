"""What the GPU techniques have in common: one child process that has the GPU, and threads in it that feed it.

The child has the only CUDA context, so a GPU that fails takes nobody else along. Its threads decode, hand the image to
the GPU that they share (``imgproc.backends.gpu.on_device``), and encode what comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from imgproc.backends.base import DEFAULTS, Availability, BackendError, Capabilities, Options
from imgproc.backends.dispatcher import TICK
from imgproc.backends.gpu import child as gpu_child
from imgproc.backends.gpu import nvidia
from imgproc.backends.pools.pool import PoolBackend, WorkerGroup, WorkersDied, started
from imgproc.backends.pools.starting import context_without_main
from imgproc.backends.pools.watcher import kill
from imgproc.backends.schedules import ONE_GPU
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Batch
from imgproc.settings import Settings

#: Longest that it may take to make the context and to compile the kernels, in seconds.
START_SECONDS = 180.0
#: Longest that the system may take to let a killed child go.
END_SECONDS = 5.0


class GpuPipeline(PoolBackend):
    """``workers`` threads of a child process around one GPU. Techniques name the module of their adapter, the packages
    that it needs, and what installs them."""

    capabilities: ClassVar[Capabilities] = Capabilities(memory="device", killable=True, unscheduled=ONE_GPU)
    adapter: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    install: ClassVar[str] = nvidia.INSTALL

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._child: _GpuProcess | None = None

    @classmethod
    def availability(cls, settings: Settings = DEFAULTS.settings) -> Availability:  # noqa: ARG003
        return nvidia.availability(cls.packages, cls.install)

    def start(self) -> None:
        if self._child is not None and not self._child.over.is_set():
            return
        self.close(kill=True)
        self._group = self._child = started(lambda: _GpuProcess(self.adapter, self.workers, self.notes.append))

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. All that the child was at when it died may have killed it, so each of these is tried
        once more, alone. An early end kills the child; the next run starts a new one."""
        yield from super().run([replace(task, carrier=None) for task in tasks], deadline=deadline)

    def _submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        assert self._child is not None
        self._child.submit(batch, done)

    def close(self, *, kill: bool = False) -> None:
        """End the child. It has nothing to finish or to save, so ``kill`` makes no difference."""
        child, self._child, self._group = self._child, None, None
        if child is not None:
            child.close()


class _GpuProcess(WorkerGroup):
    """The child as its parent sees it, made when it is ready; ``note`` is called with sentences for the record.

    Raises:
        BackendError: it could not be started.
    """

    def __init__(self, adapter: str, threads: int, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note
        self._busy: dict[int, float] = {}  # task -> since when
        self._done: dict[int, Callable[[Batch], None]] = {}  # by the batch's number
        context = context_without_main("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=gpu_child.serve, args=(theirs, adapter, threads), daemon=True)
        self._listener = threading.Thread(target=self._listen, name="GPU", daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise
        self._listener.start()

    def _await_ready(self) -> None:
        why = f"it was not ready within {START_SECONDS:g} seconds"
        try:
            if self._connection.poll(START_SECONDS):
                kind, content = self._connection.recv()
                if kind == gpu_child.READY:
                    return
                why = content
        except (EOFError, OSError) as problem:
            raise WorkersDied("The GPU could not be started: its process ended without a word.") from problem
        raise BackendError(f"The GPU could not be started: {why}.")

    def submit(self, batch: Batch, done: Callable[[Batch], None]) -> None:
        """Have a thread work on a batch of one task, and ``done`` be called with what comes of it.

        Raises:
            OSError: the child is gone.
        """
        self._done[batch.number] = done
        self._connection.send(batch)

    def busy(self) -> Mapping[int, float]:
        return dict(self._busy)

    def close(self) -> None:
        """End the child at once. Safe to call twice."""
        self.over.set()
        kill([self._process])
        self._process.join(END_SECONDS)  # else it would stay a zombie
        if self._listener.is_alive() and self._listener is not threading.current_thread():
            self._listener.join()
        self._connection.close()

    def _listen(self) -> None:
        try:
            while not self.over.is_set():
                if self._connection.poll(TICK):
                    self._hear(*self._connection.recv())
        except (EOFError, OSError):
            if not self.over.is_set():  # any of these may have ended it
                self.victims = set(self._busy)
        finally:
            kill([self._process])
            self.ended()

    def _hear(self, kind: str, content: Any) -> None:
        match kind:
            case gpu_child.BEGUN:
                self._busy[content] = time.perf_counter()
            case gpu_child.DONE:
                [envelope] = content.envelopes
                self._busy.pop(envelope.task, None)
                self._done.pop(content.number)(content)
            case gpu_child.NOTE:
                self._note(content)
            case gpu_child.LOST:
                self.fatal = f"The GPU failed in the middle of the work ({content})."
                self.over.set()
