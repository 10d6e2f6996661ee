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

from imgproc.backends.worker_loop import Entry, Parcel, on_board, report_by, run_parcel
from imgproc.pixels.inner_threads import pin_threads

_turn = threading.Lock()
_pass = ""


class Joined(NamedTuple):
    """A worker that is ready. ``clock``: its ``time.perf_counter()`` just then."""

    pid: int
    host: str
    cv2_threads: int
    clock: float


def _tell_nobody(entry: Entry) -> None:
    """In the place of a board, where that is on another machine."""


class StrangerError(Exception):
    """This worker was started anew: Dask gave it what its forerunner died of."""


def join(name: str, board: str | None, cv2_threads: int) -> Joined:
    """Get ready: from now on this worker goes by that name.

    Args:
        board: the folder of the board, where it is on this machine.
    """
    global _pass
    if board is not None:  # Ctrl-C is for the caller, which ends its workers
        get_worker().loop.add_callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
    with _turn:
        _pass = name
        took = pin_threads(cv2_threads)
        report_by(on_board(board) if board else _tell_nobody, took)
    return Joined(os.getpid(), socket.gethostname(), took, time.perf_counter())


def work(name: str, parcel: bytes) -> bytes:
    """``run_parcel``, in bytes.

    Raises:
        StrangerError: this is not the worker of that name.
    """
    with _turn:
        if name != _pass:
            raise StrangerError
        sent: Parcel = pickle.loads(parcel)  # noqa: S301  our own program sent it
        done = run_parcel(sent)
    return pickle.dumps(done, pickle.HIGHEST_PROTOCOL)


def answer(question: str, reply: str) -> str:
    """Read one file and write another, to show that they can be reached from here; returns what was read."""
    try:
        read = Path(question).read_text()
        Path(reply).write_text(read)
    except (OSError, UnicodeError):
        return ""
    return read
