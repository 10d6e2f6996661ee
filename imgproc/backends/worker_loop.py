"""The worker's side of all techniques with worker processes, and the board on which workers write what they are at.

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
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from imgproc.backends.task import TRANSFER, TaskResult, current_worker, in_words, run_task
from imgproc.files import owned, sweep
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.stopwatch import Span, clock

_ENTRY = struct.Struct("<?qdi")  # an Entry: always the same length, so one write replaces it

_KIND = "imgproc-workers"
_CLOSED = "closed"
#: How long a worker rests that is given nothing, because the caller has enough to do.
PAUSE_SECONDS = 0.02


class Entry(NamedTuple):
    """What a worker is at since ``time`` (``clock()`` seconds): the task of that index, or nothing.
    ``cv2_threads``: as many as OpenCV took of its own threads."""

    busy: bool
    task: int
    time: float
    cv2_threads: int


class Board:
    """A private folder with one tiny file per worker, named by its process id.

    Workers write before and after each task; the parent reads only when it must: a worker died, or
    it is time to look for hung ones.
    """

    def __init__(self) -> None:
        sweep(Path(tempfile.gettempdir()), _KIND)
        self.folder = tempfile.mkdtemp(prefix=owned(_KIND))
        #: Called at the end of the program at the latest.
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def close(self) -> None:
        """From now on no other worker is wanted: a pool may replace one that died, and nobody would watch that."""
        Path(self.folder, _CLOSED).touch()

    def ready(self) -> dict[int, int]:
        """The workers that have reported: process id -> OpenCV's own threads."""
        pids = [int(file.name) for file in Path(self.folder).iterdir()]
        entries = {pid: self.read(pid) for pid in pids}
        return {pid: entry.cv2_threads for pid, entry in entries.items() if entry}

    def read(self, pid: int) -> Entry | None:
        try:
            return Entry(*_ENTRY.unpack(Path(self.folder, str(pid)).read_bytes()))
        except (OSError, struct.error):
            return None


class Item(NamedTuple):
    """A pickled ``Task`` on its way to a worker, or a pickled ``TaskResult`` on its way back with the spans that it
    could not hold; ``task`` is its index."""

    task: int
    data: bytes
    spans: tuple[Span, ...] = ()


class Parcel(NamedTuple):
    """What is handed over at once; ``submitted`` on the way to a worker (``clock()`` seconds)."""

    items: tuple[Item, ...]
    submitted: float = 0.0


_report: Callable[[Entry], object] | None = None
_cv2_threads = 1
_free = 0.0  # since when this worker has nothing to do


def begin_work(folder: str, cv2_threads: int) -> None:
    """First act of a pool's worker: see to it that it ends with its parent, pin the inner threads, report on the
    board."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked worker has the parent's way of ending
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    if Path(folder, _CLOSED).exists():
        threading.Event().wait()  # until it is killed with the pool
    taken = pin_threads(cv2_threads)
    try:
        report = on_board(folder)
    except OSError:  # the pool was given up in the meantime
        os._exit(1)
    report_by(report, taken)


def on_board(folder: str) -> Callable[[Entry], None]:
    """Writes on a board what this process is at.

    Raises:
        OSError: the board is gone.
    """
    file = open(Path(folder, str(os.getpid())), "wb", buffering=0)  # noqa: SIM115  for the worker's lifetime

    def write(entry: Entry) -> None:
        file.seek(0)
        file.write(_ENTRY.pack(*entry))

    return write


def report_by(report: Callable[[Entry], object], cv2_threads: int) -> None:
    """From now on this process says in that way what it is at, beginning with nothing."""
    global _report, _cv2_threads, _free
    _report, _cv2_threads = report, cv2_threads
    _mark(busy=False)
    _free = clock()


def run_parcel(parcel: Parcel) -> Parcel:
    """``run_task`` for each, on the board and in bytes. Never raises."""
    global _free
    if not parcel.items:
        time.sleep(PAUSE_SECONDS)
    # Between two parcels the first one's results are pushed back and the second one is fetched.
    since, results = max(_free, parcel.submitted), []
    for item in parcel.items:
        _mark(busy=True, task=item.task)
        results.append(run_item(item, since))
        since = clock()
    _mark(busy=False)
    _free = clock()
    return Parcel(tuple(results))


def run_item(item: Item, since: float) -> Item:
    """``run_task`` for what is pickled in it, on its way ``since`` then. Never raises."""
    spans = []
    try:
        task = pickle.loads(item.data)  # noqa: S301  our own parent sent it
        spans.append(Span(TRANSFER, since, clock()))
        result = run_task(task)
        done = clock()
        data = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
        spans.append(Span(TRANSFER, done, clock()))
    except BaseException as problem:  # the task or its value cannot be pickled
        data = pickle.dumps(TaskResult(item.task, error=in_words(problem), worker=current_worker()))
    return Item(item.task, data, tuple(spans))


def _mark(*, busy: bool, task: int = 0) -> None:
    assert _report is not None
    _report(Entry(busy, task, clock(), _cv2_threads))


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
