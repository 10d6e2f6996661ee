"""The technique ``mpi`` inside ranks that are there already: ``mpiexec -n N python -m imgproc.backends.mpi process …``.

Nobody manages: rank 0 deals all tasks out at once, every rank works on its share, itself included, and rank 0 gathers
what came of it. Who dies takes all along, as is usual with MPI.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from imgproc.backends.base import Backend, Capabilities
from imgproc.backends.envelopes import EnvelopePacker
from imgproc.backends.mpi.messages import leave_no_shared_memory
from imgproc.backends.mpi.protocol import EXCHANGES, ClockReading, Exchange, ahead, copy_probe, machine, seen_by
from imgproc.backends.places import OF_ANOTHER
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Batch, begin_loop, run_batch
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.stopwatch import set_clock

#: Seconds between two looks whether all are there. MPI itself would spin.
REST = 0.001
_COMM = MPI.COMM_WORLD


@dataclass(frozen=True)
class _Call:
    """``function(share)`` is to be called by a rank with its share."""

    function: Callable[[Any], Any]
    share: Any


class Direct(Backend):
    """Rank 0's side. What is too slow cannot be interrupted, so ``deadline`` is not kept here."""

    name = "mpi"
    capabilities = Capabilities(
        memory="copied",
        killable=False,
        splits=True,
        alone=True,
        unscheduled="under mpiexec the first rank deals out all of it at once",
        unpinned=OF_ANOTHER,
    )

    def start(self) -> None:
        self.workers = _COMM.size
        places = _all_call(_whereabouts, [None] * self.workers)
        self.local = len({there for there, _ in places}) == 1
        self.helpers = tuple(pid for there, pid in places if there == machine() and pid != os.getpid())

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        indexes = {task.index for task in tasks}
        with closing(EnvelopePacker()) as packer:
            for share in _all_call(_run_all, dealt([packer.pack([task]) for task in tasks], self.workers)):
                for batch in share:
                    yield from packer.results(batch, indexes)

    def sees(self, folder: Path) -> bool:
        return seen_by(range(self.workers), folder, lambda probe: _all_call(_copy, [probe] * self.workers))

    def close(self, *, kill: bool = False) -> None:
        """The ranks stay until the program ends."""


def begin() -> None:
    """Every rank's first act."""
    leave_no_shared_memory(_COMM)
    for rank in range(1, _COMM.size):
        _compare_clocks(rank)
    begin_loop(str, pin_threads(1))  # to nobody


def _compare_clocks(rank: int) -> None:
    """Let a rank learn rank 0's time."""
    if _COMM.rank == 0:
        for _ in range(EXCHANGES):
            _COMM.recv(source=rank)
            _COMM.send(ClockReading(machine(), time.perf_counter()), rank)
    elif _COMM.rank == rank:
        exchanges, there = [], ""
        for _ in range(EXCHANGES):
            asked = time.perf_counter()
            _COMM.send(None, 0)
            answer: ClockReading = _COMM.recv(source=0)
            exchanges.append(Exchange(asked, answer.seconds, time.perf_counter()))
            there = answer.machine
        set_clock(0.0 if there == machine() else ahead(exchanges))


def serve() -> None:
    """Do what rank 0 asks for, until it dismisses this rank."""
    while (call := _take_call(None)) is not None:
        _give_answer(call)


def dismiss() -> None:
    """Rank 0 needs the others no more."""
    _take_call([None] * _COMM.size)


def dealt(batches: Sequence[Batch], ranks: int) -> list[list[Batch]]:
    """The batches of every rank, which are sorted by what they cost: to and fro, so that nobody always gets the
    larger one."""
    shares: list[list[Batch]] = [[] for _ in range(ranks)]
    for number, batch in enumerate(batches):
        turn, place = divmod(number, ranks)
        shares[place if turn % 2 == 0 else ranks - 1 - place].append(batch)
    return shares


def _all_call(function: Callable[[Any], Any], shares: Sequence[Any]) -> list[Any]:
    """From rank 0: what each rank answers."""
    call = _take_call([_Call(function, share) for share in shares])
    assert call is not None
    answers = _give_answer(call)
    assert answers is not None
    return answers


def _take_call(calls: Sequence[_Call | None] | None) -> _Call | None:
    _meet()
    call: _Call | None = _COMM.scatter(calls)
    return call


def _give_answer(call: _Call) -> list[Any] | None:
    answer = call.function(call.share)
    _meet()
    return _COMM.gather(answer)


def _meet() -> None:
    """Wait for all ranks."""
    request = _COMM.Ibarrier()
    while not request.Test():
        time.sleep(REST)


def _run_all(batches: Sequence[Batch]) -> list[Batch]:
    return [run_batch(batch) for batch in batches]


def _whereabouts(_: None) -> tuple[str, int]:
    return machine(), os.getpid()


def _copy(probe: Path) -> None:
    copy_probe(probe, _COMM.rank)
