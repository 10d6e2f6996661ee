"""The plan of one image in strips: decode it, work on its strips, join them, encode them in pieces, write the files.

Decoding is serial; so is the joining, which takes next to no time, and which the caller does itself.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imgproc.errors import UserError
from imgproc.image import png
from imgproc.image.canvas import Canvas, Handle, canvas, opened
from imgproc.image.operations import OPERATIONS, Parameters
from imgproc.image.plan import after_another, together
from imgproc.image.strips import STRIPS, Rows, cut
from imgproc.image.task import (
    ImageJob,
    Output,
    Processed,
    Stopwatch,
    Task,
    TaskResult,
    read_image,
    write_output,
    write_whole,
)

#: Above so many pixels the operations are done one after the other, so that one result at a time is in memory: what
#: is needed is then a byte for each byte of the image, one for those of a result, and the encoded result.
LEAN_PIXELS = 100_000_000
MERGE = "merge"

_SOURCE = 0
_SPARE = 1.01, 1 << 16  # what deflating may add to what it cannot shrink
Steps = Generator[list[Task], list[TaskResult], Any]


class _Failed(Exception):
    """A step failed; the words for it."""


def split_image(
    index: int, job: ImageJob, size: tuple[int, int], strips: int, *, across_processes: bool
) -> Generator[list[Task], list[TaskResult], TaskResult]:
    """The plan of one image; returns its result.

    Args:
        size: height and width as its header tells.
        strips: how many; fewer where it has fewer rows.
        across_processes: whether workers see this process's memory.
    """
    caller = Stopwatch()  # of what is done here, between the phases
    pixels = math.prod(size) * (3 if job.color else 1)
    slot_bytes = int(pixels * _SPARE[0]) + size[0] + _SPARE[1]
    try:
        lean = math.prod(size) > LEAN_PIXELS
        slots = 1 + 2 * (1 if lean else len(job.outputs))
        with canvas(slot_bytes, slots, across_processes=across_processes) as (own, handle):
            rows = cut(size[0], strips)
            decoded = yield [Task(index, decode_onto, _Decoding(job, handle, slots))]
            shape = _values(decoded)[0]
            if shape[0] != size[0]:
                rows = cut(shape[0], strips)
            split = _Split(index, job, own, handle, shape, rows, lean, caller)
            run = after_another if lean else together
            with closing(run([split.steps(k) for k in range(len(job.outputs))])) as steps:
                outputs = yield from steps
        done = Processed(shape[1], shape[0], tuple(outputs))
        return TaskResult(index, done, caller_spans=tuple(caller.spans))
    except _Failed as failure:
        return TaskResult(index, error=str(failure), caller_spans=tuple(caller.spans))


def _values(results: Sequence[TaskResult]) -> list[Any]:
    for result in results:
        if result.error is not None:
            raise _Failed(result.error)
    return [result.value for result in results]


@dataclass(frozen=True, slots=True)
class _Split:
    """What is known of an image once it is decoded."""

    index: int
    job: ImageJob
    canvas: Canvas
    handle: Handle
    shape: tuple[int, ...]
    rows: tuple[Rows, ...]
    lean: bool  # all results go through the same two slots
    caller: Stopwatch

    def steps(self, number: int) -> Steps:
        """The phases of one output, the number-th; returns its ``Output``."""
        name, path = self.job.outputs[number]
        operation, slot = STRIPS[name], 1 + (0 if self.lean else 2 * number)
        given = None
        for k, phase in enumerate(operation.phases):
            one = StripJob(self.handle, self.shape, slot, name, k, Rows(0, 0), self.job.parameters, given)
            results = yield self._per_strip(work_on_strip, [replace(one, rows=rows) for rows in self.rows])
            with self.caller.stage(MERGE):
                out = self.canvas.get(slot, operation.result_shape(self.shape))
                given = phase.merge(out, self.rows, _values(results))
                del out
        shape = operation.result_shape(self.shape)
        if self.job.format != "png":
            whole = _Whole(self.handle, shape, slot, self.job, name, path)
            return _values((yield [Task(self.index, encode_whole, whole)]))[0]
        return (yield from self._png(name, path, shape, slot))

    def _png(self, name: str, path: str, shape: tuple[int, ...], slot: int) -> Steps:
        box, bilevel = slot + 1, OPERATIONS[name].bilevel
        places = [self.canvas.slot_bytes * rows.start // self.shape[0] for rows in self.rows]
        ends = [*places[1:], self.canvas.slot_bytes]
        jobs = [
            PieceJob(self.handle, shape, slot, box, rows, bilevel, place, end - place)
            for rows, place, end in zip(self.rows, places, ends, strict=True)
        ]
        pieces = _values((yield self._per_strip(encode_strip, jobs)))
        written = yield [Task(self.index, write_pieces, _Writing(self.handle, box, shape, bilevel, name, path, pieces))]
        return _values(written)[0]

    def _per_strip(self, work: Any, payloads: Sequence[Any]) -> list[Task]:
        return [Task(self.index, work, payload, part=k) for k, payload in enumerate(payloads)]


@dataclass(frozen=True, slots=True)
class _Decoding:
    job: ImageJob
    handle: Handle
    slots: int


def decode_onto(payload: _Decoding, stopwatch: Stopwatch) -> tuple[int, ...]:
    """Decode the image onto its canvas and make room for its results; returns its shape."""
    image = read_image(payload.job, stopwatch)
    with opened(payload.handle) as canvas, stopwatch.stage("decode"):
        if image.nbytes > canvas.slot_bytes:
            raise UserError("This image is larger than its header says.")
        canvas.hold(_SOURCE, image)
        for slot in range(1, payload.slots):
            canvas.make(slot)
    return image.shape


@dataclass(frozen=True, slots=True)
class StripJob:
    """One phase of an operation on one strip; ``given`` is what the phase before was merged to."""

    handle: Handle
    shape: tuple[int, ...]
    slot: int
    operation: str
    phase: int
    rows: Rows
    parameters: Parameters
    given: Any


def work_on_strip(job: StripJob, stopwatch: Stopwatch) -> Any:
    """Returns the strip's part of what the phase is merged to."""
    operation = STRIPS[job.operation]
    shape = operation.result_shape(job.shape)
    row = math.prod(shape[1:])
    with opened(job.handle) as canvas, stopwatch.stage(job.operation):
        canvas.reserve(job.slot, job.rows.start * row, (job.rows.stop - job.rows.start) * row)
        source, out = canvas.get(_SOURCE, job.shape), canvas.get(job.slot, shape)
        found = operation.phases[job.phase].work(source, out, job.rows, job.parameters, job.given)
        del source, out
    return found


@dataclass(frozen=True, slots=True)
class PieceJob:
    """One strip of a result to be encoded into ``room`` bytes of the slot ``box`` from ``place`` on."""

    handle: Handle
    shape: tuple[int, ...]
    slot: int
    box: int
    rows: Rows
    bilevel: bool
    place: int
    room: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An encoded piece: where it lies in its box, or itself where it did not fit; see ``png.Piece``."""

    place: int
    size: int
    adler: int
    length: int
    chunk: bytes | memoryview | None = None


def encode_strip(job: PieceJob, stopwatch: Stopwatch) -> Placed:
    """Encode a strip and leave it in the box."""
    with opened(job.handle) as canvas, stopwatch.stage("encode"):
        piece = png.encode_piece(canvas.get(job.slot, job.shape), job.rows, bilevel=job.bilevel)
        size = len(piece.chunk)
        if size > job.room:
            return Placed(0, size, piece.adler, piece.length, piece.chunk)
        canvas.reserve(job.box, job.place, size)
        canvas.get(job.box, (canvas.slot_bytes,))[job.place : job.place + size] = np.frombuffer(piece.chunk, np.uint8)
    return Placed(job.place, size, piece.adler, piece.length)


@dataclass(frozen=True, slots=True)
class _Writing:
    handle: Handle
    box: int
    shape: tuple[int, ...]
    bilevel: bool
    operation: str
    path: str
    pieces: list[Placed]


def write_pieces(job: _Writing, stopwatch: Stopwatch) -> Output:
    """Write the file of encoded pieces."""
    with opened(job.handle) as canvas, stopwatch.stage("write"):
        return Output(job.operation, job.path, _write(job, canvas))


def _write(job: _Writing, canvas: Canvas) -> int:
    """Returns the size of the file; on return no view of the canvas is left."""
    box = canvas.get(job.box, (canvas.slot_bytes,)).data
    found = [
        png.Piece(p.chunk if p.chunk is not None else box[p.place : p.place + p.size], p.adler, p.length)
        for p in job.pieces
    ]
    parts = png.join(job.shape, found, bilevel=job.bilevel)
    write_whole(job.path, *parts)
    return sum(map(len, parts))


@dataclass(frozen=True, slots=True)
class _Whole:
    handle: Handle
    shape: tuple[int, ...]
    slot: int
    job: ImageJob
    operation: str
    path: str


def encode_whole(job: _Whole, stopwatch: Stopwatch) -> Output:
    """Encode a whole result in a format that knows no pieces, and write it."""
    with opened(job.handle) as canvas:
        return write_output(job.job, job.operation, job.path, canvas.get(job.slot, job.shape), stopwatch)
