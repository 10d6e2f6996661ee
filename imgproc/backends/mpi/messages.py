"""Messages between ranks. Nothing here blocks: sends and receives are requests that are tested, never waited for, for a
request to a host that was cut off may never end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mpi4py import MPI

from imgproc.backends.mpi.protocol import Message, MessageKind

#: Seconds between two looks at what came in: at first, growing by this factor up to the longest of a pass.
SHORTEST, GROWTH, LONGEST = 0.00005, 1.5, 0.003
#: And of ranks that have had nothing for half a second: a look takes a tenth of a millisecond on a slow machine.
SLOW_GROWTH, IDLE = 1.02, 0.01
#: The longest while a message is under way: between two looks a network gets on by what its buffers hold.
UNDER_WAY = 0.0005


_SHARED_MEMORY = "/dev/shm/mpich_shm"  # noqa: S108  nothing is made there


def leave_no_shared_memory(comm: MPI.Intracomm) -> None:
    """Every rank's first act. MPICH removes its file at an orderly end only; unlinked now, it is gone with the last
    rank, however that ends."""
    comm.Barrier()  # now every rank has what it shares with the others on its host
    maps = Path("/proc/self/maps")
    if maps.exists():
        for line in maps.read_text().splitlines():
            file = "".join(line.partition("/")[1:])
            if file.startswith(_SHARED_MEMORY):
                Path(file).unlink(missing_ok=True)


class _Sending(NamedTuple):
    rank: int
    request: MPI.Request
    data: bytes | bytearray  # must stay until it is sent
    then: Callable[[], object]


class _Receiving(NamedTuple):
    message: Message
    request: MPI.Request


class Messenger:
    """``failed``: ranks to or from which a message could not be moved; the others' go on."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.failed: set[int] = set()
        self._comm = comm
        self._sending: list[_Sending] = []
        self._receiving: list[_Receiving] = []

    def post(self, message: Message, then: Callable[[], object] = lambda: None) -> None:
        """Begin to send a message to a rank; ``then`` is called when it is on its way for certain."""
        try:
            request = self._comm.Isend([message.data, MPI.BYTE], message.rank, message.kind)
        except MPI.Exception:
            self.failed.add(message.rank)
            return
        self._sending.append(_Sending(message.rank, request, message.data, then))
        self._push()

    def collect(self) -> list[Message]:
        """What has come in whole since the last time; also moves on what is being sent."""
        status = MPI.Status()
        while (found := self._comm.Improbe(MPI.ANY_SOURCE, MPI.ANY_TAG, status)) is not None:
            data = bytearray(status.Get_count(MPI.BYTE))
            message = Message(MessageKind(status.Get_tag()), status.Get_source(), data)
            self._receiving.append(_Receiving(message, found.Irecv([data, MPI.BYTE])))
        if self._sending:
            self._push()
        receiving, self._receiving, done = self._receiving, [], []
        for one in receiving:
            match self._over(one.message.rank, one.request):
                case True:
                    done.append(one.message)
                case False:
                    self._receiving.append(one)
        return done

    @property
    def moving(self) -> bool:
        """Whether something is on its way."""
        return bool(self._sending or self._receiving)

    def _push(self) -> None:
        sending, self._sending = self._sending, []
        for one in sending:
            match self._over(one.rank, one.request):
                case True:
                    one.then()
                case False:
                    self._sending.append(one)

    def _over(self, rank: int, request: MPI.Request) -> bool | None:
        """Whether it is done; None where it never will be, and then it must not be tested again: MPI would call it
        done."""
        try:
            return request.Test()
        except MPI.Exception:
            self.failed.add(rank)
            return None


class Pause:
    """Short rests between two looks, longer and longer while nothing happens, but never long while something is moving.
    MPI itself would spin. ``wake`` ends one early."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self._rest = SHORTEST

    def __call__(self, *, moved: bool, moving: bool) -> None:
        if moved:
            self._rest = SHORTEST
            return
        if self.wake.wait(self._rest):
            self.wake.clear()
            self._rest = SHORTEST
        else:
            self._rest = self._longer(moving=moving)

    def _longer(self, *, moving: bool) -> float:
        if moving:
            return min(self._rest * GROWTH, UNDER_WAY)
        return min(self._rest * SLOW_GROWTH, IDLE) if self._rest >= LONGEST else min(self._rest * GROWTH, LONGEST)
