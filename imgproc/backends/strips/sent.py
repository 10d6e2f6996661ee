"""Strips for workers that share no memory with the caller: the rows that one needs travel with its task, and what it
made of them travels back.

A worker lays its rows out in buffers of its own as large as the caller's. No memory is taken for the rows that it was
not sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from imgproc.backends.sharing.buffers import ImageBuffers, LocalBuffers
from imgproc.backends.strips.tasks import EncodeRowsJob, PlacedRows, StripJob, encode_strip, work_on_strip
from imgproc.backends.task import TRANSFER, Task
from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows
from imgproc.pixels.stopwatch import Stopwatch

_NOWHERE = LocalBuffers(0)


@dataclass(frozen=True, slots=True)
class SentJob:
    """A job without its buffers, and the rows of a slot of it that the job reads; ``shape`` of the image there."""

    job: StripJob
    slot: int
    shape: tuple[int, ...]
    rows: Rows
    pixels: Image

    def lay_out(self) -> LocalBuffers:
        """Buffers with the rows in their place, and room for what is made of them."""
        buffers = LocalBuffers(math.prod(self.job.shape))
        for slot in {self.slot, self.job.slot}:
            buffers.make(slot)
        self.rows.of(buffers.get(self.slot, self.shape))[:] = self.pixels
        return buffers


class SentRows:
    """Carries a strip's rows to a worker, and what it wrote back to the caller's buffers."""

    def __init__(self, buffers: ImageBuffers) -> None:
        self.moved = 0
        self._buffers = buffers
        self._job: StripJob

    def send(self, task: Task, stopwatch: Stopwatch) -> Task:
        """A task with the rows in it."""
        job = self._job = task.payload
        with stopwatch.stage(TRANSFER):
            slot, shape, rows = _read_by(job)
            pixels = rows.of(self._buffers.get(slot, shape))
            sent = SentJob(replace(job, handle=_NOWHERE), slot, shape, rows, pixels)
        return replace(task, work=work_on_sent_strip, payload=sent, carrier=None)

    def receive(self, value: Any, stopwatch: Stopwatch) -> Any:
        """Take in the rows that were made, if any."""
        if isinstance(self._job, EncodeRowsJob):
            return value
        found, made = value
        if made is not None:
            with stopwatch.stage(TRANSFER):
                self._job.rows.of(self._buffers.get(self._job.slot, self._job.result_shape))[:] = made
        return found

    def release(self) -> None:
        """Nothing is held."""


def _read_by(job: StripJob) -> tuple[int, tuple[int, ...], Rows]:
    """What a job reads: a slot, the shape of the image there, and rows of it."""
    above = 1 if isinstance(job, EncodeRowsJob) else 0  # a PNG holds the differences to the row above
    rows = Rows(max(0, job.rows.start - above), job.rows.stop)
    if isinstance(job, EncodeRowsJob) and job.slot:
        return job.slot, job.result_shape, rows
    return job.source, job.shape, rows.around(job.made_by.on_strips.border(job.parameters), job.shape[0])


def work_on_sent_strip(sent: SentJob, stopwatch: Stopwatch) -> tuple[Any, Image | None] | PlacedRows:
    """``work_on_strip``, which returns also the rows that it made, if the phase makes any; or ``encode_strip``, which
    returns the rows themselves, as there is no box to put them in."""
    with stopwatch.stage(TRANSFER):
        buffers = sent.lay_out()
    if isinstance(sent.job, EncodeRowsJob):
        return encode_strip(replace(sent.job, handle=buffers, room=0), stopwatch)
    job = replace(sent.job, handle=buffers)
    found = work_on_strip(job, stopwatch)
    return found, job.rows.of(buffers.get(job.slot, job.result_shape)) if job.writes else None
