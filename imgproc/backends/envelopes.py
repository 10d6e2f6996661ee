"""The caller's side of all techniques with worker processes: where tasks are packed and results are unpacked."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from imgproc.backends.task import TRANSFER, Carrier, Task, TaskResult, in_words
from imgproc.backends.worker_loop import Item, Parcel
from imgproc.errors import UserError
from imgproc.pixels.stopwatch import Stopwatch


@dataclass
class _Sent:
    """What is kept of a task while a worker has it."""

    carrier: Carrier | None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    bytes: int = 0


class Desk:
    """Packs tasks and unpacks what workers made of them, one at a time, whatever thread asks.

    ``close`` lets go of what is still held for workers, which may be alive.

    Args:
        not_waiting: entered while there is something to do here, for which no worker is to blame.
    """

    def __init__(self, not_waiting: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._not_waiting = not_waiting
        self._sent: dict[int, _Sent] = {}
        self._lock = threading.Lock()
        self._closed = False

    def parcels(self, tasks: Sequence[Task], chunk_size: int, most: int) -> Iterator[Parcel]:
        """The tasks, packed when they are asked for; no more of them once the desk is closed.

        Empty ones as long as ``most`` tasks with carriers are out, or back and not unpacked: a library that asks as
        soon as a worker is done, and not when its result was taken, would have all images in memory.
        """
        for start in range(0, len(tasks), chunk_size):
            while self._held() >= most:
                yield Parcel(())
            parcel = self.pack(tasks[start : start + chunk_size])
            if self._closed:
                return
            yield parcel

    def pack(self, tasks: Sequence[Task]) -> Parcel:
        """The tasks, ready to be handed over. What is held for one that was out before is let go."""
        with self._not_waiting():
            return Parcel(tuple(map(self._pack, tasks)))

    def _held(self) -> int:
        with self._lock:
            return sum(sent.carrier is not None for sent in self._sent.values())

    def _pack(self, task: Task) -> Item:
        with self._lock:
            if self._closed:  # another thread asks too late
                return Item(task.index, b"")
            if task.index in self._sent:
                self._let_go(task.index)
            sent = self._sent[task.index] = _Sent(task.carrier() if task.carrier else None)
            if sent.carrier:
                try:
                    task = sent.carrier.send(task, sent.stopwatch)
                except Exception as problem:
                    task = _refusal(task, in_words(problem))
            with sent.stopwatch.stage(TRANSFER):
                data = _pickled(task)
            sent.bytes = len(data)
            return Item(task.index, data)

    def results(self, parcel: Parcel) -> Iterator[TaskResult]:
        """What came back. Never raises."""
        for item in parcel.items:
            with self._not_waiting(), self._lock:
                result = self._unpack(item)
            yield result

    def _unpack(self, item: Item) -> TaskResult:
        sent = self._sent[item.task]
        with sent.stopwatch.stage(TRANSFER):
            result = _unpickled(item)
        if sent.carrier and result.error is None:
            try:
                result = replace(result, value=sent.carrier.receive(result.value, sent.stopwatch))
            except Exception as problem:
                result = replace(result, value=None, error=in_words(problem))
        self._let_go(item.task)
        moved = sent.bytes + len(item.data) + (sent.carrier.moved if sent.carrier else 0)
        return replace(result, caller_spans=tuple(sent.stopwatch.spans), bytes_moved=moved)

    def _let_go(self, index: int) -> None:
        sent = self._sent.pop(index)
        if sent.carrier:
            with sent.stopwatch.stage(TRANSFER):
                sent.carrier.release()

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._closed = True
            for index in list(self._sent):
                self._let_go(index)


def _pickled(task: Task) -> bytes:
    """The task as bytes. One that cannot be pickled becomes a task that says so."""
    try:
        return pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
    except Exception as problem:
        return pickle.dumps(
            _refusal(task, f"Unexpected {type(problem).__name__} while handing this image to a worker.")
        )


def _refusal(task: Task, why: str) -> Task:
    return Task(task.index, _refuse, why)


def _refuse(why: str, stopwatch: Stopwatch) -> Any:
    raise UserError(why)


def _unpickled(item: Item) -> TaskResult:
    """The result that a worker sent, with all its spans. Never raises."""
    before, after = item.spans[:1], item.spans[1:]
    try:
        result: TaskResult = pickle.loads(item.data)  # noqa: S301  our own worker sent it
    except Exception as problem:
        return TaskResult(item.task, error=in_words(problem), spans=item.spans)
    return replace(result, spans=(*before, *result.spans, *after))
