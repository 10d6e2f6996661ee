"""The worker's side of all techniques with worker processes, and the files in which workers write what they are at.

Tasks and results travel as bytes that are pickled by us: what cannot be pickled then is one task's error,
where a ``Pool`` would wait for ever and an executor would break. And so it can be timed.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from imgproc.backends.task import TRANSFER, TaskResult, current_worker, in_words, run_task
from imgproc.files import owned, sweep
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.stopwatch import Span, clock

_STATUS = struct.Struct("<?qdi")  # a WorkerStatus: always the same length, so one write replaces it

#: What status folders are called.
STATUS_FOLDER = "imgproc-workers"
#: What semaphores of ours are called.
SEMAPHORES = "imgproc-lock"
_CLOSED = "closed"
#: How long a worker rests that is given nothing, because the caller has enough to do.
PAUSE_SECONDS = 0.005
#: Longest that a worker may take, beyond a task's deadline, to load what its first task needs; less than the
#: dispatcher's patience.
LOADING_SECONDS = 20.0


class WorkerStatus(NamedTuple):
    """What a worker is at since ``time`` (``clock()`` seconds): the task of that index, or nothing. While it loads what
    its first task needs, ``time`` is the latest at which that may begin.
    ``cv2_threads``: as many as OpenCV took of its own threads."""

    busy: bool
    task: int
    time: float
    cv2_threads: int

    @property
    def tasks(self) -> dict[int, float]:
        """What it is at, as ``Workforce.at`` tells it."""
        return {self.task: self.time} if self.busy else {}


class StatusFolder:
    """A private folder with one tiny file per worker, named by its process id.

    Workers write before and after each task; the parent reads only when it must: a worker died, or
    it is time to look for hung ones.
    """

    def __init__(self) -> None:
        _name_semaphores()
        sweep(Path(tempfile.gettempdir()), STATUS_FOLDER)
        self.folder = tempfile.mkdtemp(prefix=owned(STATUS_FOLDER))
        #: Called at the end of the program at the latest.
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def close(self) -> None:
        """From now on no other worker is wanted: a pool may replace one that died, and nobody would watch that."""
        Path(self.folder, _CLOSED).touch()

    def ready(self) -> dict[int, int]:
        """The workers that have reported: process id -> OpenCV's own threads."""
        pids = [int(file.name) for file in Path(self.folder).iterdir()]
        found = {pid: self.read(pid) for pid in pids}
        return {pid: status.cv2_threads for pid, status in found.items() if status}

    def read(self, pid: int) -> WorkerStatus | None:
        """What the worker wrote last; None where there is nothing to be read."""
        file = Path(self.folder, str(pid))
        with suppress(OSError, struct.error):
            data = file.read_bytes()
            while (again := file.read_bytes()) != data:  # the worker might have been in the middle of writing
                data = again
            return WorkerStatus(*_STATUS.unpack(data))
        return None


def _name_semaphores() -> None:
    """Let those that ``multiprocessing`` makes from now on be known as this process's: they stay when it is killed
    together with Python's resource tracker. On Linux, whose names may be long."""
    if sys.platform == "linux":
        config: dict[str, object] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
        config["semprefix"] = f"/{owned(SEMAPHORES)}".removesuffix("-")  # it adds another one


class Envelope(NamedTuple):
    """A pickled ``Task`` on its way to a worker, or a pickled ``TaskResult`` on its way back with the spans that it
    could not hold; ``task`` is its index."""

    task: int
    data: bytes
    spans: tuple[Span, ...] = ()


class Batch(NamedTuple):
    """What is handed over at once; ``submitted`` on the way to a worker (``clock()`` seconds). It comes back with its
    ``number``, which no other one of this process has: tasks of two runs have the same indexes."""

    envelopes: tuple[Envelope, ...]
    submitted: float = 0.0
    number: int = 0


class WorkerLoop:
    """What a worker does with the batches that it is given; ``report`` is told what it is at.

    ``free``: since when it has nothing to do.
    """

    def __init__(self, report: Callable[[WorkerStatus], object], cv2_threads: int) -> None:
        self._report, self._cv2_threads = report, cv2_threads
        self._loaded = False
        self._mark(busy=False)
        self.free = clock()

    def run(self, batch: Batch) -> Batch:
        """``run_task`` for each, in bytes. Never raises."""
        if not batch.envelopes:
            time.sleep(PAUSE_SECONDS)
        # Between two batches the first one's results are pushed back and the second one is fetched.
        since, results = max(self.free, batch.submitted), []
        for envelope in batch.envelopes:
            # A task is to blame should its worker die while it is unpickled, which in a new worker imports the program.
            # On a slow machine that takes longer than many a task, and does not count against the deadline.
            self._mark(busy=True, task=envelope.task, ahead=0.0 if self._loaded else LOADING_SECONDS)
            results.append(run_envelope(envelope, since, self._begin))
            since = clock()
        self._mark(busy=False)
        self.free = clock()
        return batch._replace(envelopes=tuple(results))

    def _begin(self, task: int) -> None:
        if not self._loaded:
            self._loaded = True
            self._mark(busy=True, task=task)

    def _mark(self, *, busy: bool, task: int = 0, ahead: float = 0.0) -> None:
        self._report(WorkerStatus(busy, task, clock() + ahead, self._cv2_threads))


#: This process's, once it is a worker.
_loop: WorkerLoop | None = None


def begin_loop(report: Callable[[WorkerStatus], object], cv2_threads: int) -> None:
    """From now on this process is a worker, and says in that way what it is at, beginning with nothing."""
    global _loop
    _loop = WorkerLoop(report, cv2_threads)


def worker_loop() -> WorkerLoop:
    """This process's."""
    assert _loop is not None
    return _loop


def run_batch(batch: Batch) -> Batch:
    """``WorkerLoop.run`` of this process: what pools call by name."""
    return worker_loop().run(batch)


def run_envelope(envelope: Envelope, since: float, begin: Callable[[int], object] = lambda _: None) -> Envelope:
    """``run_task`` for what is pickled in it, on its way ``since`` then; ``begin`` is called with its index in between.
    Never raises."""
    spans = []
    try:
        task = pickle.loads(envelope.data)  # noqa: S301  our own parent sent it
        spans.append(Span(TRANSFER, since, clock()))
        begin(envelope.task)
        result = run_task(task)
        done = clock()
        data = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
        spans.append(Span(TRANSFER, done, clock()))
    except BaseException as problem:  # the task or its value cannot be pickled
        data = pickle.dumps(TaskResult(envelope.task, error=in_words(problem), worker=current_worker()))
    return Envelope(envelope.task, data, tuple(spans))


def begin_work(folder: str, cv2_threads: int) -> None:
    """First act of a pool's worker: see to it that it ends with its parent, pin the inner threads, report in the
    status folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked worker has the parent's way of ending
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    if Path(folder, _CLOSED).exists():
        threading.Event().wait()  # until it is killed with the pool
    taken = pin_threads(cv2_threads)
    try:
        report = status_writer(folder)
    except OSError:  # the pool was given up in the meantime
        os._exit(1)
    begin_loop(report, taken)


def status_writer(folder: str) -> Callable[[WorkerStatus], None]:
    """Writes into a status folder what this process is at.

    Raises:
        OSError: the folder is gone.
    """
    file = open(Path(folder, str(os.getpid())), "wb", buffering=0)  # noqa: SIM115  for the worker's lifetime

    def write(status: WorkerStatus) -> None:
        file.seek(0)
        file.write(_STATUS.pack(*status))

    return write


def _end_with_parent(folder: str) -> None:
    """End this process when the parent is gone, even by kill -9; the pools alone would leave it behind."""
    parent = multiprocessing.parent_process()
    try:
        parent.join()  # type: ignore[union-attr]  # without a parent it fails as below
    except Exception:  # loky gives its workers no handle of their parent, but they are its children
        while parent is not None and os.getppid() == parent.pid:
            time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
