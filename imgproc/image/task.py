"""Task, TaskResult, and the one function every worker runs.

A task names a function and its payload; a worker calls it and hands back a small, plain record.
Inputs are read and outputs are written inside the worker: pixels cross no process border, unless the task has a
carrier for them (``imgproc.image.transport``).
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
from threadpoolctl import threadpool_info, threadpool_limits

from imgproc.errors import UserError
from imgproc.image.codecs import decode, encode
from imgproc.image.operations import OPERATIONS, Image, Value

#: The stage in which data moves between processes.
TRANSFER = "transfer"
HOST = socket.gethostname()
_other_threads = 0  # not pinned yet
_ahead = 0.0


def clock() -> float:
    """``time.perf_counter()`` seconds, which are the same in every process of a machine; on another one than the
    caller's with ``set_clock``'s correction."""
    return time.perf_counter() + _ahead


def set_clock(ahead: float) -> None:
    """The caller's clock is so many seconds ahead of this machine's."""
    global _ahead
    _ahead = ahead


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of one task on one worker. Times are seconds of the caller's ``clock``."""

    stage: str
    start: float
    end: float


class Stopwatch:
    """Collects the spans of one task. A stage within another interrupts it: no two spans are at the same time."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._stage: str | None = None
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        outer = self._stage
        self._turn_to(name)
        yield
        self._turn_to(outer)

    def note(self, stage: str, start: float, end: float) -> None:
        """A stage that something else timed, while none was under way here."""
        self.spans.append(Span(stage, start, end))

    def _turn_to(self, stage: str | None) -> None:
        now = clock()
        if self._stage is not None:
            self.spans.append(Span(self._stage, self._since, now))
        self._stage, self._since = stage, now


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
    """

    index: int
    work: Work
    payload: Any
    carrier: Callable[[], Carrier] | None = None
    image: int | None = None
    part: int | None = None

    @property
    def of_image(self) -> int:
        return self.index if self.image is None else self.image


@dataclass(frozen=True, slots=True)
class Worker:
    """Who did a task, and with how many inner threads: OpenCV's, and the most of any BLAS or OpenMP library."""

    pid: int
    thread: int
    host: str
    cv2_threads: int
    other_threads: int = 1


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
        case OSError():
            return f"A file could not be read or written: {problem.strerror or type(problem).__name__}."
        case _:
            return f"Unexpected {type(problem).__name__} while working on this image."


def current_worker() -> Worker:
    return Worker(os.getpid(), threading.get_ident(), HOST, cv2.getNumThreads(), _other_threads)


def pin_threads(cv2_threads: int = 1) -> int:
    """Pin the inner threads of this process: OpenCV's to ``cv2_threads``, BLAS and OpenMP to one.

    Returns:
        How many threads OpenCV took: any number, also more than there are cores, but a build without threads says 1.
    """
    global _other_threads
    cv2.setNumThreads(cv2_threads)
    threadpool_limits(1)
    # Asked for once: it takes the libraries a moment to say.
    _other_threads = max((int(pool["num_threads"]) for pool in threadpool_info()), default=1)
    return max(1, cv2.getNumThreads())


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV works on one thread in this process, and those it had are ended, until the block ends."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)  # the same number again would end nothing, and its threads can outlive their number
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def inner_threads() -> dict[str, int]:
    """The inner threads of this process as the libraries report them."""
    threads = {"opencv": cv2.getNumThreads()}
    for pool in threadpool_info():  # two copies of a library may be loaded
        threads[pool["prefix"]] = max(threads.get(pool["prefix"], 0), int(pool["num_threads"]))
    return threads


@dataclass(frozen=True, slots=True)
class ImageJob:
    """One image file and the files to be made of it, each with the operation that makes it."""

    source: str
    outputs: tuple[tuple[str, str], ...]  # (operation, path)
    parameters: dict[str, Value] = field(hash=False)
    format: str = "png"
    color: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A written file."""

    operation: str
    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of one image: its size upright in pixels, and the files written."""

    width: int
    height: int
    outputs: tuple[Output, ...]


def process_image(job: ImageJob, stopwatch: Stopwatch) -> Processed:
    """Read, decode, and for each operation: run it, encode, write."""
    image = read_image(job, stopwatch)
    done = []
    for name, path in job.outputs:
        result = operate(name, image, job.parameters, stopwatch)
        done.append(write_output(job, name, path, result, stopwatch))
    height, width = image.shape[:2]
    return Processed(width, height, tuple(done))


def read_image(job: ImageJob, stopwatch: Stopwatch) -> Image:
    """The stages before the operations."""
    with stopwatch.stage("read"):
        data = Path(job.source).read_bytes()
    with stopwatch.stage("decode"):
        return decode(data, color=job.color)


def operate(name: str, image: Image, parameters: Mapping[str, Value], stopwatch: Stopwatch) -> Image:
    """The stage of one operation."""
    with stopwatch.stage(name):
        return OPERATIONS[name].apply(image, parameters)


def write_output(job: ImageJob, name: str, path: str, result: Image, stopwatch: Stopwatch) -> Output:
    """The stages after an operation."""
    with stopwatch.stage("encode"):
        encoded = encode(result, job.format, bilevel=OPERATIONS[name].bilevel)
    with stopwatch.stage("write"):
        write_whole(path, encoded)
    return Output(name, path, len(encoded))


def write_whole(path: str | Path, *data: bytes | memoryview) -> None:
    """Write a file that is either there whole or not at all, whatever dies; several pieces one after the other."""
    # A worker that was given up may wake and write the same file as the one that took its place.
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(part, "wb") as file:
            file.writelines(data)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def remove_parts(folder: Path, names: Collection[str]) -> None:
    """Remove what was half written of the files of these names when somebody died in ``write_whole``."""
    for part in list(folder.glob("*.part")):
        if part.name.rsplit(".", 2)[0] in names:
            with suppress(OSError):
                part.unlink()


def pixels_sha256(image: Image) -> str:
    """SHA-256 over ``"{height}x{width}x{channels}:"`` and the bytes in row order."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    digest = hashlib.sha256(f"{height}x{width}x{channels}:".encode())
    digest.update(image.data if image.flags.c_contiguous else image.tobytes())
    return digest.hexdigest()
