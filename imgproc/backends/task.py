"""Task, TaskResult, and the one function every worker runs.

A task names a function and its payload; a worker calls it and hands back a small, plain record.
Inputs are read and outputs are written inside the worker: pixels cross no process border, unless the task has a
carrier for them (``imgproc.backends.sharing.transport``).
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from imgproc.errors import UserError
from imgproc.pixels.inner_threads import opencv_threads, other_threads
from imgproc.pixels.stopwatch import Span, Stopwatch

#: The stage in which data moves between processes.
TRANSFER = "transfer"
HOST = socket.gethostname()


Work = Callable[[Any, Stopwatch], Any]


class Carrier(Protocol):
    """What the caller's process does for one task whose pixels travel to a worker and back. Each of its steps may
    raise, which then is that task's error."""

    #: Bytes copied besides those that are pickled, such as into shared memory.
    moved: int

    def send(self, task: Task, stopwatch: Stopwatch) -> Task:
        """From the task the one that a worker is given in its place, which is pickled."""

    def receive(self, value: Any, stopwatch: Stopwatch) -> Any:
        """From what the worker made the task's value."""

    def release(self) -> None:
        """Let go of what was held for the worker, whatever became of the task. Safe to call twice."""


@dataclass(frozen=True, slots=True)
class Task:
    """``work(payload, stopwatch)`` is to be called once; ``work`` is a module-level function, so that it
    travels to another process by name.

    With a ``carrier``, a technique that has worker processes (``Capabilities.carries``) makes one in the caller's
    process each time that it hands the task out: a worker gets what its ``send`` makes of the task, and what its
    ``receive`` makes of the worker's value is the value. All other techniques call ``work``.

    ``image`` is the image it belongs to, the one of that index where not given, and ``part`` the strip of it.
    ``memory``: bytes that a worker takes for it, about; 0 where they do not count.
    """

    index: int
    work: Work
    payload: Any
    carrier: Callable[[], Carrier] | None = None
    image: int | None = None
    part: int | None = None
    memory: int = 0

    @property
    def of_image(self) -> int:
        return self.index if self.image is None else self.image


@dataclass(frozen=True, slots=True)
class Worker:
    """Who did a task, and with how many inner threads: OpenCV's, the most of any BLAS or OpenMP library, and Numba's, 0
    where operations are not done by these."""

    pid: int
    thread: int
    host: str
    cv2_threads: int
    other_threads: int = 1
    numba_threads: int = 0


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of a task: a ``value``, or an ``error`` in plain words.

    ``caller_spans``: stages that the caller's own process went through for it, one task at a time, in the try that
    counted.
    ``bytes_moved``: to the worker and back; None where nothing crosses a process border.
    """

    index: int
    value: Any = None
    error: str | None = None
    worker: Worker | None = None
    spans: tuple[Span, ...] = ()
    attempts: int = 1
    caller_spans: tuple[Span, ...] = ()
    bytes_moved: int | None = None


def run_task(task: Task) -> TaskResult:
    """What every worker of every technique runs; it never raises, but for Ctrl-C, which is for the caller."""
    stopwatch, value, error = Stopwatch(), None, None
    try:
        value = task.work(task.payload, stopwatch)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # a worker must survive any task, even one that calls exit()
        error = in_words(problem)
    return TaskResult(task.index, value, error, current_worker(), tuple(stopwatch.spans))


def in_words(problem: BaseException) -> str:
    """Why a task failed, for people: nothing of a library's own words, no paths."""
    match problem:
        case UserError():
            return problem.message
        case MemoryError():
            return "There was not enough memory for this image."
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "The disk is full, so a file could not be written."
        case OSError():
            return f"A file could not be read or written: {problem.strerror or type(problem).__name__}."
        case _:
            return f"Unexpected {type(problem).__name__} while working on this image."


def current_worker() -> Worker:
    return Worker(os.getpid(), threading.get_ident(), HOST, opencv_threads(), other_threads())
