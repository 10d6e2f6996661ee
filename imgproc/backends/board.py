"""The worker's side of all pools of processes, and the board on which workers write what they are at.

Tasks and results travel as bytes that are pickled here: what cannot be pickled then is one task's error,
where a ``Pool`` would wait for ever and an executor would break.
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
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imgproc.errors import UserError
from imgproc.image.task import Stopwatch, Task, TaskResult, current_worker, pin_threads, run_task

_ENTRY = struct.Struct("<?qd")  # busy, task index, since when: always the same length, so one write replaces it


class Entry(NamedTuple):
    """What a worker is at since ``time`` (``time.perf_counter()`` seconds): the task of that index, or nothing."""

    busy: bool
    task: int
    time: float


class Board:
    """A private folder with one tiny file per worker, named by its process id.

    Workers write before and after each task; the parent reads only when it must: a worker died, or
    it is time to look for hung ones.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="imgproc-workers-")
        #: Called at the end of the program at the latest.
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def ready(self) -> set[int]:
        """Process ids of the workers that have reported."""
        return {int(file.name) for file in Path(self.folder).iterdir() if file.stat().st_size}

    def read(self, pid: int) -> Entry | None:
        try:
            return Entry(*_ENTRY.unpack(Path(self.folder, str(pid)).read_bytes()))
        except (OSError, struct.error):
            return None


class Parcel(NamedTuple):
    """A pickled ``Task`` on its way to a worker, or a pickled ``TaskResult`` on its way back; ``task`` is its index."""

    task: int
    data: bytes


def pack(task: Task) -> Parcel:
    """The task as bytes. One that cannot be pickled becomes a task that says so."""
    try:
        return Parcel(task.index, pickle.dumps(task))
    except Exception as problem:
        return Parcel(task.index, pickle.dumps(Task(task.index, _refuse, type(problem).__name__)))


def _refuse(problem: str, stopwatch: Stopwatch) -> None:
    raise UserError(f"Unexpected {problem} while handing this image to a worker.")


def unpack(parcel: Parcel) -> TaskResult:
    """The result that a worker sent. Never raises."""
    try:
        result: TaskResult = pickle.loads(parcel.data)  # noqa: S301  our own worker sent it
    except Exception as problem:
        return TaskResult(parcel.task, error=_words(problem))
    return result


def _words(problem: BaseException) -> str:
    return f"Unexpected {type(problem).__name__} while working on this image."


_file: BinaryIO | None = None


def begin_work(folder: str) -> None:
    """Every worker's first act: pin the inner threads, see to it that it ends with its parent, report on the board."""
    global _file
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    pin_threads()
    try:
        _file = open(Path(folder, str(os.getpid())), "wb", buffering=0)  # noqa: SIM115  for the worker's lifetime
    except OSError:  # the pool was given up in the meantime
        os._exit(1)
    _mark(busy=False)


def run_parcel(parcel: Parcel) -> Parcel:
    """``run_task``, on the board and in bytes. Never raises."""
    _mark(busy=True, task=parcel.task)
    try:
        data = pickle.dumps(run_task(pickle.loads(parcel.data)))  # noqa: S301  our own parent sent it
    except BaseException as problem:  # the task or its value cannot be pickled
        data = pickle.dumps(TaskResult(parcel.task, error=_words(problem), worker=current_worker()))
    _mark(busy=False)
    return Parcel(parcel.task, data)


def _mark(*, busy: bool, task: int = 0) -> None:
    assert _file is not None
    _file.seek(0)
    _file.write(_ENTRY.pack(busy, task, time.perf_counter()))


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
