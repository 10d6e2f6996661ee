"""Strips for workers that share no memory with the caller: the rows that one needs travel with its task, and what it
made of them travels back.

A worker lays its rows out on a canvas of its own as large as the caller's. No memory is taken for the rows that it was
not sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from imgproc.backends.sharing.buffers import Canvas, Local
from imgproc.backends.strips.tasks import SOURCE, PieceJob, Placed, StripJob, encode_strip, work_on_strip
from imgproc.backends.task import TRANSFER, Task
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows
from imgproc.pixels.stopwatch import Stopwatch

_NOWHERE = Local(0)


@dataclass(frozen=True, slots=True)
class SentJob:
    """A job without its canvas, and the rows of a slot of it that the job reads; ``shape`` of the image there."""

    job: StripJob | PieceJob
    slot: int
    shape: tuple[int, ...]
    rows: Rows
    pixels: Image

    def lay_out(self) -> Local:
        """A canvas with the rows in their place, and room for what is made of them."""
        canvas = Local(math.prod(self.job.shape))
        for slot in {self.slot, self.job.slot}:
            canvas.make(slot)
        self.rows.of(canvas.get(self.slot, self.shape))[:] = self.pixels
        return canvas


class SentRows:
    """Carries a strip's rows to a worker, and what it wrote back to the caller's canvas."""

    def __init__(self, canvas: Canvas) -> None:
        self.moved = 0
        self._canvas = canvas
        self._job: StripJob | PieceJob

    def send(self, task: Task, stopwatch: Stopwatch) -> Task:
        """A task with the rows in it."""
        job = self._job = task.payload
        with stopwatch.stage(TRANSFER):
            slot, shape, rows = _read_by(job)
            pixels = rows.of(self._canvas.get(slot, shape))
            sent = SentJob(replace(job, handle=_NOWHERE), slot, shape, rows, pixels)
        work = work_on_sent_strip if isinstance(job, StripJob) else encode_sent_strip
        return replace(task, work=work, payload=sent, carrier=None)

    def receive(self, value: Any, stopwatch: Stopwatch) -> Any:
        """Take in the rows that were made, if any."""
        if isinstance(self._job, PieceJob):
            return value
        found, made = value
        if made is not None:
            with stopwatch.stage(TRANSFER):
                self._job.rows.of(self._canvas.get(self._job.slot, _result_shape(self._job)))[:] = made
        return found

    def release(self) -> None:
        """Nothing is held."""


def _read_by(job: StripJob | PieceJob) -> tuple[int, tuple[int, ...], Rows]:
    """What a job reads: a slot, the shape of the image there, and rows of it."""
    above = 1 if isinstance(job, PieceJob) else 0  # a PNG holds the differences to the row above
    if isinstance(job, PieceJob) and job.slot:
        return job.slot, _result_shape(job), Rows(max(0, job.rows.start - above), job.rows.stop)
    border = OPERATIONS[job.operation].on_strips.border(job.parameters)
    rows = Rows(max(0, job.rows.start - above), job.rows.stop).around(border, job.shape[0])
    return SOURCE, job.shape, rows


def _result_shape(job: StripJob | PieceJob) -> tuple[int, ...]:
    return OPERATIONS[job.operation].result_shape(job.shape)


def work_on_sent_strip(sent: SentJob, stopwatch: Stopwatch) -> tuple[Any, Image | None]:
    """``work_on_strip``; returns also the rows that it made, if the phase makes any."""
    with stopwatch.stage(TRANSFER):
        canvas = sent.lay_out()
    assert isinstance(sent.job, StripJob)
    job = replace(sent.job, handle=canvas)
    found = work_on_strip(job, stopwatch)
    writes = OPERATIONS[job.operation].on_strips.phases[job.phase].writes
    return found, job.rows.of(canvas.get(job.slot, _result_shape(job))) if writes else None


def encode_sent_strip(sent: SentJob, stopwatch: Stopwatch) -> Placed:
    """``encode_strip``; returns the piece itself, as there is no box to put it in."""
    with stopwatch.stage(TRANSFER):
        canvas = sent.lay_out()
    assert isinstance(sent.job, PieceJob)
    return encode_strip(replace(sent.job, handle=canvas, room=0), stopwatch)
