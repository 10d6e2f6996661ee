"""Task, TaskResult, and the one function every worker runs.

A task names a function and its payload; a worker calls it and hands back a small, plain record.
Inputs are read and outputs are written inside the worker: pixels never cross a process border.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
from threadpoolctl import threadpool_info, threadpool_limits

from imgproc.errors import UserError
from imgproc.image.codecs import decode, encode
from imgproc.image.operations import OPERATIONS, Image, Value

HOST = socket.gethostname()
_other_threads = 0  # not pinned yet


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of one task on one worker. Times are ``time.perf_counter()`` seconds, the same clock in
    every process of a machine."""

    stage: str
    start: float
    end: float


class Stopwatch:
    """Collects the spans of one task."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spans.append(Span(name, start, time.perf_counter()))


Work = Callable[[Any, Stopwatch], Any]


@dataclass(frozen=True, slots=True)
class Task:
    """``work(payload, stopwatch)`` is to be called once; ``work`` is a module-level function, so that it
    travels to another process by name."""

    index: int
    work: Work
    payload: Any


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
    """What became of a task: a ``value``, or an ``error`` in plain words."""

    index: int
    value: Any = None
    error: str | None = None
    worker: Worker | None = None
    spans: tuple[Span, ...] = ()
    attempts: int = 1


def run_task(task: Task) -> TaskResult:
    """What every worker of every technique runs; it never raises, but for Ctrl-C, which is for the caller."""
    stopwatch, value, error = Stopwatch(), None, None
    try:
        value = task.work(task.payload, stopwatch)
    except UserError as problem:
        error = problem.message
    except MemoryError:
        error = "There was not enough memory for this image."
    except OSError as problem:
        error = f"A file could not be read or written: {problem.strerror or type(problem).__name__}."
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # a worker must survive any task, even one that calls exit()
        error = f"Unexpected {type(problem).__name__} while working on this image."
    return TaskResult(task.index, value, error, current_worker(), tuple(stopwatch.spans))


def current_worker() -> Worker:
    return Worker(os.getpid(), threading.get_ident(), HOST, cv2.getNumThreads(), _other_threads)


def pin_threads(cv2_threads: int = 1) -> None:
    """Pin the inner threads of this process: OpenCV's to ``cv2_threads``, BLAS and OpenMP to one."""
    global _other_threads
    cv2.setNumThreads(cv2_threads)
    threadpool_limits(1)
    # Asked for once: it takes the libraries a moment to say.
    _other_threads = max((int(pool["num_threads"]) for pool in threadpool_info()), default=1)


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
    with stopwatch.stage("read"):
        data = Path(job.source).read_bytes()
    with stopwatch.stage("decode"):
        image = decode(data, color=job.color)
    done = []
    for name, path in job.outputs:
        operation = OPERATIONS[name]
        with stopwatch.stage(name):
            result = operation.apply(image, job.parameters)
        with stopwatch.stage("encode"):
            encoded = encode(result, job.format, bilevel=operation.bilevel)
        with stopwatch.stage("write"):
            write_whole(path, encoded)
        done.append(Output(name, path, len(encoded)))
    height, width = image.shape[:2]
    return Processed(width, height, tuple(done))


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file that is either there whole or not at all, whatever dies."""
    # A worker that was given up may wake and write the same file as the one that took its place.
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def pixels_sha256(image: Image) -> str:
    """SHA-256 over ``"{height}x{width}x{channels}:"`` and the bytes in row order."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    digest = hashlib.sha256(f"{height}x{width}x{channels}:".encode())
    digest.update(image.data if image.flags.c_contiguous else image.tobytes())
    return digest.hexdigest()
