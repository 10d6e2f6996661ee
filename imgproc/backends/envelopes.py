"""The caller's side of all techniques with worker processes: where tasks are packed and results are unpacked."""

from __future__ import annotations

import pickle
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from imgproc.backends.task import TRANSFER, Carrier, Task, TaskResult, in_words
from imgproc.backends.worker_loop import Batch, Envelope
from imgproc.errors import UserError
from imgproc.pixels.stopwatch import Stopwatch

_numbers = count(1)


@dataclass
class _Sent:
    """What is kept of a task while a worker has it."""

    carrier: Carrier | None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    bytes: int = 0


class EnvelopePacker:
    """Pickles tasks and unpickles what workers made of them, one at a time; see ``Packer``.

    ``close`` lets go of what is still held for workers, which may be alive.
    """

    def __init__(self) -> None:
        self._sent: dict[int, _Sent] = {}

    def pack(self, tasks: Sequence[Task], ahead: float = 0.0) -> Batch:
        """The tasks, ready to be handed over. What is held for one that was out before is let go."""
        return Batch(tuple(map(self._pack, tasks)), time.perf_counter() + ahead, next(_numbers))

    def _pack(self, task: Task) -> Envelope:
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
        return Envelope(task.index, data)

    def results(self, batch: Batch, wanted: Container[int]) -> Iterator[TaskResult]:
        """What came back of the tasks that are wanted. Never raises."""
        for envelope in batch.envelopes:
            if envelope.task in wanted:
                yield self._unpack(envelope)

    def _unpack(self, envelope: Envelope) -> TaskResult:
        sent = self._sent[envelope.task]
        with sent.stopwatch.stage(TRANSFER):
            result = _unpickled(envelope)
        if sent.carrier and result.error is None:
            try:
                result = replace(result, value=sent.carrier.receive(result.value, sent.stopwatch))
            except Exception as problem:
                result = replace(result, value=None, error=in_words(problem))
        self._let_go(envelope.task)
        moved = sent.bytes + len(envelope.data) + (sent.carrier.moved if sent.carrier else 0)
        return replace(result, caller_spans=tuple(sent.stopwatch.spans), bytes_moved=moved)

    def _let_go(self, index: int) -> None:
        sent = self._sent.pop(index)
        if sent.carrier:
            with sent.stopwatch.stage(TRANSFER):
                sent.carrier.release()

    def close(self) -> None:
        """Safe to call twice."""
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


def _unpickled(envelope: Envelope) -> TaskResult:
    """The result that a worker sent, with all its spans. Never raises."""
    before, after = envelope.spans[:1], envelope.spans[1:]
    try:
        result: TaskResult = pickle.loads(envelope.data)  # noqa: S301  our own worker sent it
    except Exception as problem:
        return TaskResult(envelope.task, error=in_words(problem), spans=envelope.spans)
    return replace(result, spans=(*before, *result.spans, *after))
