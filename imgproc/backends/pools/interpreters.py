"""``InterpreterPoolExecutor``, new in Python 3.14: threads that each have an interpreter, and a GIL, of their own."""

from __future__ import annotations

import atexit
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

from imgproc.backends.base import DEFAULTS, Availability, Backend, BackendError, Capabilities, Options
from imgproc.backends.dispatcher import Assignment, Dispatcher
from imgproc.backends.envelopes import EnvelopePacker
from imgproc.backends.pools.futures import forget_at_exit
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Batch, run_batch
from imgproc.pixels.inner_threads import pin_threads
from imgproc.settings import Settings

_PYTHON = (3, 14)
_START_SECONDS = 30.0
#: Longest that ``close`` waits for interpreters that still work, in seconds.
_CLOSE_SECONDS = 5.0
#: Longest that trying one may take, in seconds.
_TRIAL_SECONDS = 20.0

#: What a new interpreter does first. Without the caller's ``sys.path`` nothing of ours can be imported there.
_BEGIN = """
import sys
sys.path[:] = path
from imgproc.backends.worker_loop import begin_loop
from imgproc.pixels.inner_threads import pin_other_threads
pin_other_threads()
begin_loop(lambda status: None, 1)
ready.put(None)
"""

#: Prints which of the packages that image work needs does not load in an interpreter, or “none”.
_TRIAL = """
import sys
from concurrent import interpreters

one, answer = interpreters.create(), "none"
for package in ("numpy", "cv2"):
    try:
        one.exec(f"import sys; sys.path[:] = {sys.argv[1:]!r}; import {package}")
    except interpreters.ExecutionFailed:
        answer = package
        break
one.close()
print(answer)
"""
_PACKAGES = {"numpy": "NumPy", "cv2": "OpenCV"}


@dataclass(eq=False)
class _Handed:
    """An assignment with the executor, and when it was first seen to be worked on, in seconds."""

    assignment: Assignment
    begun: float | None = None


class Interpreters(Backend):
    """``InterpreterPoolExecutor``. A task travels to an interpreter as bytes, as to another process; and yet all of
    them share the caller's fate: one that crashes ends the program.

    Nor can one that hangs be ended: as with ``ThreadPoolExecutor`` it costs the executor, and what is not begun is
    handed to another one. It is its own ``Workforce``, with one address for all interpreters.

    NumPy and OpenCV do not load in a second interpreter so far (NumPy 2.5, OpenCV 5.0), which leaves functions of items
    that do without them.
    """

    name: ClassVar[str] = "interpreters"
    capabilities = Capabilities(
        memory="copied",
        killable=False,
        unscheduled="an interpreter does not tell which of several tasks it is at, so one that hangs is not found",
    )
    shared_fate = False
    wake: Callable[[], object]  # is never called: no interpreter ends by itself

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self.room = 2 * self.workers + 1  # none ever waits, and few tasks are held as bytes
        self.held = self.room + self.workers
        self._executor: ThreadPoolExecutor | None = None
        self._handed: dict[Future[Batch], _Handed] = {}

    @classmethod
    def availability(cls, settings: Settings = DEFAULTS.settings) -> Availability:  # noqa: ARG003
        """Where it works, it is tried once in a process of its own, which a crash or a hang of it costs."""
        if sys.version_info < _PYTHON:
            needed = ".".join(map(str, _PYTHON))
            return Availability(
                False,
                f"It needs Python {needed} or newer; this is Python {platform.python_version()}.",
                f"install Python {needed} or newer, and make the environment with it",
            )
        return _tried(sys.executable, tuple(sys.path))

    def start(self) -> None:
        if self._executor is None:
            self.cv2_threads = pin_threads(self.cv2_threads)
            self._executor = self._open()

    def _open(self) -> ThreadPoolExecutor:
        """An executor all of whose interpreters are ready, on threads that cannot hold up the end of the program."""
        try:
            ready: Any = import_module("concurrent.interpreters").create_queue()
            kind: Any = import_module("concurrent.futures").InterpreterPoolExecutor
        except (ImportError, AttributeError):
            raise BackendError(self.availability().reason) from None
        executor: ThreadPoolExecutor = kind(
            self.workers, initializer=exec, initargs=(_BEGIN, {"path": list(sys.path), "ready": ready})
        )
        first: list[Future[int]] = []
        # submit() makes the threads, and a thread is a daemon if the one that made it is.
        maker = threading.Thread(
            target=lambda: first.extend(executor.submit(int) for _ in range(self.workers)), daemon=True
        )
        maker.start()
        maker.join()
        until = time.monotonic() + _START_SECONDS
        try:
            for future in first:
                future.result(until - time.monotonic())
            for _ in first:  # the first that is ready may have done what was for all
                ready.get(timeout=max(0.0, until - time.monotonic()))
        except Exception as problem:
            _give_up(executor)
            raise BackendError("The interpreters could not be started.") from problem
        return executor

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """As ``Backend.run``. After an early end, what interpreters are at is finished behind the scenes."""
        self.start()
        with (
            closing(EnvelopePacker()) as packer,
            closing(Dispatcher(self, packer, deadline).results(self.batches(tasks))) as results,
        ):
            yield from results

    def look(self) -> Mapping[str, bool]:
        return {"": True}

    def submit(self, assignment: Assignment) -> None:
        assert self._executor is not None
        future = self._executor.submit(run_batch, assignment.batch)
        self._handed[future] = _Handed(assignment)
        assignment.cancel = future.cancel
        future.add_done_callback(self._done)

    def _done(self, future: Future[Batch]) -> None:
        handed = self._handed.get(future)
        if handed is None or (future.cancelled() and not handed.assignment.dropped):  # ``end`` hands it on
            return
        del self._handed[future]
        if not future.cancelled():
            handed.assignment.done(None if future.exception() else future.result())

    def at(self, worker: str) -> Mapping[int, float]:
        """An interpreter does not tell when it begins; it is asked at every look."""
        found, now = {}, time.perf_counter()
        for future, handed in list(self._handed.items()):
            if future.running() and not handed.assignment.dropped:
                handed.begun = handed.begun or now
                found[handed.assignment.tasks[0].index] = handed.begun
        return found

    def ahead(self, worker: str) -> float:
        return 0.0

    def end(self, worker: str, late: Collection[int]) -> None:
        old, self._executor = self._executor, None
        if old is not None:
            _give_up(old)
        self._executor = self._open()
        for future, handed in list(self._handed.items()):
            if future.cancelled():
                del self._handed[future]
                self.submit(handed.assignment)
            elif handed.assignment.tasks[0].index in late:
                del self._handed[future]

    def close(self, *, kill: bool = False) -> None:
        old, self._executor = self._executor, None
        if old is not None:
            self._handed = {}
            _give_up(old, seconds=0 if kill else _CLOSE_SECONDS)


# ---------------------------------------------------------------- those that do not end

#: Threads of executors that were given up; those whose interpreters hang are alive to the end.
_given_up: set[threading.Thread] = set()


def _give_up(executor: ThreadPoolExecutor, seconds: float = 0.0) -> None:
    """Have its interpreters end when they have done what they are at; waits so long for them."""
    threads = set(getattr(executor, "_threads", ()))
    executor.shutdown(wait=False, cancel_futures=True)
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    for thread in filter(threading.Thread.is_alive, threads):
        forget_at_exit(thread)
        if not _given_up:
            atexit.register(_leave)
        _given_up.add(thread)


def _leave() -> None:
    """The end of a program in which an interpreter hangs: Python would wait for it for ever, or crash."""
    for thread in _given_up:
        thread.join(0.1)
    if any(thread.is_alive() for thread in _given_up):
        atexit.unregister(_leave)
        with suppress(Exception):
            atexit._run_exitfuncs()  # the others that were to be called
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(1 if hasattr(sys, "last_value") else 0)


# ---------------------------------------------------------------- whether there can be any


@cache
def _tried(python: str, path: tuple[str, ...]) -> Availability:
    """What comes of trying it in a process of its own."""
    try:
        done = subprocess.run(
            [python, "-c", _TRIAL, *path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Availability(False, f"Trying a second interpreter took longer than {_TRIAL_SECONDS:g} seconds.")
    except OSError:
        return Availability(False, "A second interpreter could not be tried, as Python could not be started.")
    answer = done.stdout.strip()
    if done.returncode or answer not in ("none", *_PACKAGES):
        return Availability(
            False, "A second interpreter cannot be used here: the process in which it was tried failed."
        )
    if answer == "none":
        return Availability(True)
    return Availability(
        False,
        f"{_PACKAGES[answer]} does not load in a second interpreter of a process, so it cannot work on images. It can "
        "call functions of your own, over items, that do without it.",
        items=True,
    )
