"""What workers do for one image in strips: each step a task on the canvas that the image lies on.

``imgproc.backends.strips.sent`` lays a canvas out for workers that cannot reach that one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgproc.backends.sharing.buffers import Canvas, Handle, opened
from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows
from imgproc.parameters import Parameters
from imgproc.pixels import png, tiff
from imgproc.pixels.codecs import decode
from imgproc.pixels.job import ImageJob, Output, read_image, write_output
from imgproc.pixels.stopwatch import Stopwatch

#: The slot of the decoded image.
SOURCE = 0


@dataclass(frozen=True, slots=True)
class Decoding:
    job: ImageJob
    handle: Handle


def decode_onto(payload: Decoding, stopwatch: Stopwatch) -> tuple[int, ...]:
    """Decode the image onto its canvas; returns its shape."""
    image = read_image(payload.job, stopwatch)
    with opened(payload.handle) as canvas, stopwatch.stage("decode"):
        if image.nbytes > canvas.slot_bytes:
            raise UserError("This image is larger than its header says.")
        canvas.hold(SOURCE, image)
    return image.shape


@dataclass(frozen=True, slots=True)
class PartDecoding:
    """Some rows of an image of this shape."""

    job: ImageJob
    handle: Handle
    shape: tuple[int, ...]
    piece: tiff.StoredRows


def decode_part(part: PartDecoding, stopwatch: Stopwatch) -> tuple[int, ...]:
    """Decode some rows of the image onto its canvas; returns the shape of the whole."""
    rows = part.piece.rows
    with stopwatch.stage("read"):
        data = part.piece.read(part.job.source)
    with opened(part.handle) as canvas, stopwatch.stage("decode"):
        image = decode(data, color=part.job.color)
        if image.shape != (rows.stop - rows.start, *part.shape[1:]):
            raise UserError("This image is not of the size that its header says.")
        canvas.write(SOURCE, rows.start * math.prod(part.shape[1:]), image.data.cast("B"))
    return part.shape


@dataclass(frozen=True, slots=True)
class Room:
    handle: Handle
    slots: tuple[tuple[int, int], ...]  # and how many bytes will be in each


def make_room(room: Room, stopwatch: Stopwatch) -> None:
    """Fetch memory for results while another worker decodes; it takes as long as to fill it."""
    with opened(room.handle) as canvas, stopwatch.stage("transfer"):
        for slot, size in room.slots:
            canvas.reserve(slot, 0, size)


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
    operation = OPERATIONS[job.operation]
    shape = operation.result_shape(job.shape)
    row = math.prod(shape[1:])
    with opened(job.handle) as canvas, stopwatch.stage(job.operation):
        source, out, phase = canvas.get(SOURCE, job.shape), np.empty(0, np.uint8), operation.on_strips.phases[job.phase]
        if phase.writes:
            canvas.reserve(job.slot, job.rows.start * row, (job.rows.stop - job.rows.start) * row)
            out = job.rows.of(canvas.get(job.slot, shape))
        found = phase.work(source, out, job.rows, job.parameters, job.given)
        del source, out
    return found


@dataclass(frozen=True, slots=True)
class PieceJob:
    """One strip of a result to be encoded into ``room`` bytes of the slot ``box`` from ``place`` on.

    The result lies in ``slot``; with 0 it is still to be made, by the last phase of the operation.
    """

    handle: Handle
    shape: tuple[int, ...]
    slot: int
    operation: str
    rows: Rows
    parameters: Parameters
    given: Any
    box: int
    place: int
    room: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An encoded piece: where it lies in its box, or itself where it did not fit; see ``png.EncodedRows``."""

    place: int
    size: int
    adler: int
    length: int
    chunk: bytes | memoryview | None = None


def encode_strip(job: PieceJob, stopwatch: Stopwatch) -> Placed:
    """Encode a strip and leave it in the box."""
    with opened(job.handle) as canvas:
        piece = _encode_made(job, canvas, stopwatch) if job.slot else _make_and_encode(job, canvas, stopwatch)
        size = len(piece.chunk)
        if size > job.room:
            return Placed(0, size, piece.adler, piece.length, piece.chunk)
        with stopwatch.stage("encode"):
            canvas.write(job.box, job.place, piece.chunk)
    return Placed(job.place, size, piece.adler, piece.length)


def _encode_made(job: PieceJob, canvas: Canvas, stopwatch: Stopwatch) -> png.EncodedRows:
    with stopwatch.stage("encode"):
        result = canvas.get(job.slot, OPERATIONS[job.operation].result_shape(job.shape))
        return png.encode_piece(result, job.rows, bilevel=OPERATIONS[job.operation].bilevel)


def _make_and_encode(job: PieceJob, canvas: Canvas, stopwatch: Stopwatch) -> png.EncodedRows:
    source = canvas.get(SOURCE, job.shape)

    def made(rows: Rows) -> Iterator[Image]:
        flow = OPERATIONS[job.operation].flow(source, rows, job.parameters, job.given)
        while True:
            with stopwatch.stage(job.operation):
                block = next(flow, None)
            if block is None:
                return
            yield block

    above = None
    if job.rows.start > 0:
        above = next(made(Rows(job.rows.start - 1, job.rows.start))).copy()
    with stopwatch.stage("encode"):
        return png.encode_flow(made(job.rows), above, bilevel=OPERATIONS[job.operation].bilevel)


@dataclass(frozen=True, slots=True)
class Writing:
    handle: Handle
    box: int
    shape: tuple[int, ...]
    bilevel: bool
    operation: str
    path: str
    pieces: list[Placed]


def write_pieces(job: Writing, stopwatch: Stopwatch) -> Output:
    """Write the file of encoded pieces."""
    with opened(job.handle) as canvas, stopwatch.stage("write"):
        return Output(job.operation, job.path, _write(job, canvas))


def _write(job: Writing, canvas: Canvas) -> int:
    """Returns the size of the file; on return no view of the canvas is left."""
    box = canvas.get(job.box, (canvas.slot_bytes,)).data
    found = [
        png.EncodedRows(p.chunk if p.chunk is not None else box[p.place : p.place + p.size], p.adler, p.length)
        for p in job.pieces
    ]
    parts = png.join(job.shape, found, bilevel=job.bilevel)
    write_whole(job.path, *parts)
    return sum(map(len, parts))


@dataclass(frozen=True, slots=True)
class Whole:
    handle: Handle
    shape: tuple[int, ...]
    slot: int
    job: ImageJob
    operation: str
    path: str


def encode_whole(job: Whole, stopwatch: Stopwatch) -> Output:
    """Encode a whole result in a format that knows no pieces, and write it."""
    with opened(job.handle) as canvas:
        return write_output(job.job, job.operation, job.path, canvas.get(job.slot, job.shape), stopwatch)
