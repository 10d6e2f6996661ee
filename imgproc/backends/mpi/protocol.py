"""What the caller, rank 0 and the workers say to each other. Nothing here loads MPI."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from imgproc.image.task import HOST

#: Seconds between two signs of life.
BEAT = 1.0
#: A rank that was silent for so many seconds is lost, dead or not.
SILENT = 15.0
#: Parcels that a rank has at a time: one it works on, and the next one.
DEPTH = 2

_HEAD = struct.Struct("<Bi")
_INDEX = struct.Struct("<q")


class Kind(IntEnum):
    """What a message is about; between ranks it is the tag."""

    HELLO = 1  # rank 0 to the caller: its ``Hello``, pickled
    READY = 2  # a worker: its ``Ready``, pickled
    PARCEL = 3  # to a worker: a ``Parcel``, pickled
    BEGUN = 4  # a worker: the index of the task that it is at from now on
    RESULT = 5  # a worker: the ``Parcel`` of its results, pickled
    LOST = 6  # rank 0 to the caller: this worker is dead or silent
    PROBE = 7  # to every worker: a file to read, and to write beside what it holds
    PROBED = 8  # a worker: it has done so, if it could
    BEAT = 9  # rank 0 to every worker and back: a sign of life
    STOP = 10  # to a worker: end at once


class Message(NamedTuple):
    """``rank``: of the worker that it comes from or goes to; 0 where it goes to any."""

    kind: Kind
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
    return Message(Kind(kind), rank, data[_HEAD.size :])


def number(value: int) -> bytes:
    """A number as a message's data."""
    return _INDEX.pack(value)


def number_in(message: Message) -> int:
    """The number that is a message's data."""
    value: int = _INDEX.unpack(message.data)[0]
    return value


def probed_file(path: str, rank: int) -> str:
    """What a worker writes that was given this file as a probe."""
    return f"{path}.{rank}"
