"""What Dask's workers are asked to do. One with several threads still does one thing at a time."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

from distributed import get_worker

from imgproc.backends.worker_loop import Batch, WorkerStatus, begin_loop, run_batch, status_writer
from imgproc.pixels.inner_threads import pin_threads

_turn = threading.Lock()
_name = ""


class Joined(NamedTuple):
    """A worker that is ready. ``clock``: its ``time.perf_counter()`` just then."""

    pid: int
    host: str
    cv2_threads: int
    clock: float


def _report_to_nobody(status: WorkerStatus) -> None:
    """In the place of a status folder, where that is on another machine."""


class WrongWorkerError(Exception):
    """This worker was started anew: Dask gave it what its forerunner died of."""


def join(name: str, status: str | None, cv2_threads: int) -> Joined:
    """Get ready: from now on this worker goes by that name.

    Args:
        status: the status folder, where it is on this machine.
    """
    global _name
    if status is not None:
        worker = get_worker()
        worker.loop.add_callback(signal.signal, signal.SIGINT, signal.SIG_IGN)  # it is for the caller, which ends them
        worker.loop.add_callback(worker.http_server.stop)  # the cluster's dashboard, if there is one, does without
    with _turn:
        _name = name
        took = pin_threads(cv2_threads)
        begin_loop(status_writer(status) if status else _report_to_nobody, took)
    return Joined(os.getpid(), socket.gethostname(), took, time.perf_counter())


def work(name: str, batch: bytes) -> bytes:
    """``run_batch``, in bytes.

    Raises:
        WrongWorkerError: this is not the worker of that name.
    """
    with _turn:
        if name != _name:
            raise WrongWorkerError
        sent: Batch = pickle.loads(batch)  # noqa: S301  our own program sent it
        done = run_batch(sent)
    return pickle.dumps(done, pickle.HIGHEST_PROTOCOL)


def answer(question: str, reply: str) -> str:
    """Read one file and write another, to show that they can be reached from here; returns what was read."""
    try:
        read = Path(question).read_text()
        Path(reply).write_text(read)
    except (OSError, UnicodeError):
        return ""
    return read
