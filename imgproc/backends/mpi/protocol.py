"""What the caller, rank 0 and the workers say to each other. Nothing here loads MPI."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from imgproc.backends.task import HOST

#: Seconds between two signs of life.
BEAT = 1.0
#: A rank that was silent for so many seconds is lost, dead or not.
SILENT = 15.0
#: Batches that a rank has at a time: one it works on, and the next one.
DEPTH = 2

_HEAD = struct.Struct("<Bi")
_BEGUN = struct.Struct("<qd")


class MessageKind(IntEnum):
    """What a message is about; between ranks it is the tag."""

    HELLO = 1  # rank 0 to the caller: its ``Hello``, pickled
    READY = 2  # a worker: its ``Ready``, pickled
    BATCH = 3  # to a worker: a ``Batch``, pickled
    BEGUN = 4  # a worker: the index of its task, and in how many seconds that begins at the latest
    RESULT = 5  # a worker: the ``Batch`` of its results, pickled
    LOST = 6  # rank 0 to the caller: this worker is dead or silent
    PROBE = 7  # to every worker: a file to read, and to write beside what it holds
    PROBED = 8  # a worker: it has done so, if it could
    BEAT = 9  # rank 0 to every worker and back: a sign of life
    STOP = 10  # to a worker: end at once
    CLOCK = 11  # a worker that asks for the time, and rank 0's ``ClockReading``, pickled


class Message(NamedTuple):
    """``rank``: of the worker that it comes from or goes to; 0 where it goes to any."""

    kind: MessageKind
    rank: int
    data: bytes | bytearray = b""


@dataclass(frozen=True)
class Hello:
    """Rank 0's process, and how many workers there are."""

    pid: int
    workers: int


@dataclass(frozen=True)
class Ready:
    """A worker that can begin: where it is, and with how many of OpenCV's threads."""

    pid: int
    machine: str
    cv2_threads: int


@dataclass(frozen=True)
class ClockReading:
    """The time on a machine, in ``time.perf_counter()`` seconds."""

    machine: str
    seconds: float


class Exchange(NamedTuple):
    """A question for the time: when it was asked, the answer, and when that was there."""

    asked: float
    answer: float
    there: float


#: So often the time is asked for: the fastest answer is the most exact one.
EXCHANGES = 10


def ahead(exchanges: Sequence[Exchange]) -> float:
    """By how many seconds the other clock is ahead, give or take half of the fastest exchange."""
    best = min(exchanges, key=lambda one: one.there - one.asked)
    return best.answer - (best.asked + best.there) / 2


@cache
def machine() -> str:
    """The same for two processes only if they see each other and the same files: a name alone may be of two hosts."""
    known = [HOST]
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        known += [str(Path("/proc/self/ns", kind).stat().st_ino) for kind in ("pid", "mnt")]
    return " ".join(known)


def send(connection: Connection, message: Message) -> None:
    """Over the socket between the caller and rank 0.

    Raises:
        OSError: the other side is gone.
    """
    connection.send_bytes(_HEAD.pack(message.kind, message.rank) + message.data)


def receive(connection: Connection) -> Message:
    """The next message; waits for it.

    Raises:
        EOFError, OSError: the other side is gone.
    """
    data = connection.recv_bytes()
    kind, rank = _HEAD.unpack_from(data)
    return Message(MessageKind(kind), rank, data[_HEAD.size :])


def begun(task: int, seconds: float) -> bytes:
    """What a ``BEGUN`` says, as a message's data."""
    return _BEGUN.pack(task, seconds)


def begun_in(message: Message) -> tuple[int, float]:
    """What a ``BEGUN`` says: the task's index, and the seconds."""
    task, seconds = _BEGUN.unpack(message.data)
    return task, seconds


def seen_by(ranks: Iterable[int], folder: Path, ask: Callable[[Path], object]) -> bool:
    """Whether all these ranks read and write the same files in a folder as this process.

    Args:
        ask: has every rank call ``copy_probe`` with this file.
    """
    probe = folder / f".imgproc-{secrets.token_hex(8)}.probe"
    secret = secrets.token_bytes(16)
    copies = [_copy_of(probe, rank) for rank in ranks]
    try:
        probe.write_bytes(secret)
        ask(probe)
        return all(copy.read_bytes() == secret for copy in copies)
    except OSError:
        return False
    finally:
        for file in (probe, *copies):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def copy_probe(probe: Path, rank: int) -> None:
    """Show that this rank can read the file, and write beside it."""
    with suppress(OSError):
        _copy_of(probe, rank).write_bytes(probe.read_bytes())


def _copy_of(probe: Path, rank: int) -> Path:
    return probe.with_name(f"{probe.name}.{rank}")
