"""What workers do for one image in strips: each step a task on the buffers that the image lies in.

``imgproc.backends.strips.sent`` lays buffers out for workers that cannot reach those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from imgproc.backends.sharing.buffers import Handle, ImageBuffers, open_buffers
from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image, Operation
from imgproc.operations.rows import Rows
from imgproc.parameters import Parameters
from imgproc.pixels import formats, png
from imgproc.pixels.formats.contract import Piece
from imgproc.pixels.formats.depth import Facts
from imgproc.pixels.job import ImageJob, WrittenFile, read_image, write_output
from imgproc.pixels.stopwatch import Stopwatch

#: The slot of the decoded image.
SOURCE = 0


class Laid(NamedTuple):
    """What a task that decoded says: the shape of the whole image, and how its part was read."""

    shape: tuple[int, ...]
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True)
class DecodeJob:
    job: ImageJob
    handle: Handle


def decode_onto(payload: DecodeJob, stopwatch: Stopwatch) -> Laid:
    """Decode the image into its buffers."""
    image, facts = read_image(payload.job, stopwatch)
    with open_buffers(payload.handle) as buffers, stopwatch.stage("decode"):
        if image.nbytes > buffers.slot_bytes:
            raise UserError("This image is larger than its header says.")
        buffers.hold(SOURCE, image)
    return Laid(image.shape, facts)


@dataclass(frozen=True, slots=True)
class DecodeRowsJob:
    """Some rows of an image of this shape."""

    job: ImageJob
    handle: Handle
    shape: tuple[int, ...]
    piece: Piece


def decode_part(part: DecodeRowsJob, stopwatch: Stopwatch) -> Laid:
    """Decode some rows of the image into its buffers."""
    rows = part.piece.rows
    with stopwatch.stage("read"):
        data = part.piece.read(part.job.source)
    with open_buffers(part.handle) as buffers, stopwatch.stage("decode"):
        image, facts = formats.decode_piece(part.piece, data, part.job.wanted)
        if image.shape[1:] != part.shape[1:]:
            raise UserError("This image is not of the size that its header says.")
        buffers.write(SOURCE, rows.start * math.prod(part.shape[1:]), image.data.cast("B"))
    return Laid(part.shape, facts)


@dataclass(frozen=True, slots=True)
class ReserveJob:
    handle: Handle
    slots: tuple[tuple[int, int], ...]  # and how many bytes will be in each


def make_room(room: ReserveJob, stopwatch: Stopwatch) -> None:
    """Fetch memory for results while another worker decodes; it takes as long as to fill it."""
    with open_buffers(room.handle) as buffers, stopwatch.stage("transfer"):
        for slot, size in room.slots:
            buffers.reserve(slot, 0, size)


@dataclass(frozen=True, slots=True)
class StripJob:
    """One phase of a part of an operation on one strip; ``given`` is what the phase before was merged to.

    The part, the only one unless the operation is a chain, makes what is to be in ``slot`` of what is in ``source``, of
    this shape.
    """

    handle: Handle
    shape: tuple[int, ...]
    source: int
    slot: int
    operation: str
    part: int
    rows: Rows
    parameters: Parameters
    given: Any = None
    phase: int = -1

    @property
    def made_by(self) -> Operation:
        return OPERATIONS[self.operation].parts[self.part]

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Of the whole result of the part."""
        return self.made_by.result_shape(self.shape, self.parameters)

    @property
    def writes(self) -> bool:
        """Whether its phase makes rows of the result."""
        return self.made_by.on_strips.phases[self.phase].writes


def work_on_strip(job: StripJob, stopwatch: Stopwatch) -> Any:
    """Returns the strip's part of what the phase is merged to."""
    row = math.prod(job.result_shape[1:])
    with open_buffers(job.handle) as buffers, stopwatch.stage(job.operation):
        source, out = buffers.get(job.source, job.shape), np.empty(0, np.uint8)
        if job.writes:
            buffers.reserve(job.slot, job.rows.start * row, (job.rows.stop - job.rows.start) * row)
            out = job.rows.of(buffers.get(job.slot, job.result_shape))
        found = job.made_by.on_strips.phases[job.phase].work(source, out, job.rows, job.parameters, job.given)
        del source, out
    return found


@dataclass(frozen=True, slots=True)
class EncodeRowsJob(StripJob):
    """One strip of a result to be encoded into ``room`` bytes of the slot ``box`` from ``place`` on.

    The result lies in ``slot``; with 0 it is still to be made, by the last phase of the part.
    """

    box: int = 0
    place: int = 0
    room: int = 0
    encoder: str = png.PNG_ENCODER


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """An encoded piece: where it lies in its box, or itself where it did not fit; see ``png.EncodedRows``."""

    place: int
    size: int
    adler: int
    length: int
    chunk: bytes | memoryview | None = None


def encode_strip(job: EncodeRowsJob, stopwatch: Stopwatch) -> PlacedRows:
    """Encode a strip and leave it in the box."""
    with open_buffers(job.handle) as buffers:
        if job.slot:
            with stopwatch.stage("encode"):
                result, bilevel = buffers.get(job.slot, job.result_shape), job.made_by.bilevel
                piece = png.encode_piece(result, job.rows, bilevel=bilevel, encoder=job.encoder)
                del result
        else:
            piece = _make_and_encode(job, buffers, stopwatch)
        size = len(piece.chunk)
        if size > job.room:
            return PlacedRows(0, size, piece.adler, piece.length, piece.chunk)
        with stopwatch.stage("encode"):
            buffers.write(job.box, job.place, piece.chunk)
    return PlacedRows(job.place, size, piece.adler, piece.length)


def _make_and_encode(job: EncodeRowsJob, buffers: ImageBuffers, stopwatch: Stopwatch) -> png.EncodedRows:
    source = buffers.get(job.source, job.shape)

    def made(rows: Rows) -> Iterator[Image]:
        flow = job.made_by.flow(source, rows, job.parameters, job.given)
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
        return png.encode_flow(made(job.rows), above, bilevel=job.made_by.bilevel, encoder=job.encoder)


@dataclass(frozen=True, slots=True)
class WriteJob:
    handle: Handle
    box: int
    shape: tuple[int, ...]
    bilevel: bool
    operation: str
    path: str
    pieces: list[PlacedRows]
    durable: bool = False


def write_pieces(job: WriteJob, stopwatch: Stopwatch) -> WrittenFile:
    """Write the file of encoded pieces."""
    with open_buffers(job.handle) as buffers, stopwatch.stage("write"):
        return WrittenFile(job.operation, job.path, _write(job, buffers))


def _write(job: WriteJob, buffers: ImageBuffers) -> int:
    """Returns the size of the file; on return no view of the buffers is left."""
    box = buffers.get(job.box, (buffers.slot_bytes,)).data
    found = [
        png.EncodedRows(p.chunk if p.chunk is not None else box[p.place : p.place + p.size], p.adler, p.length)
        for p in job.pieces
    ]
    parts = png.join(job.shape, found, bilevel=job.bilevel)
    write_whole(job.path, *parts, durable=job.durable)
    return sum(map(len, parts))


@dataclass(frozen=True, slots=True)
class EncodeJob:
    handle: Handle
    shape: tuple[int, ...]
    slot: int
    job: ImageJob
    operation: str
    path: str


def encode_whole(job: EncodeJob, stopwatch: Stopwatch) -> WrittenFile:
    """Encode a whole result in a format that knows no pieces, and write it."""
    with open_buffers(job.handle) as buffers:
        return write_output(job.job, job.operation, job.path, buffers.get(job.slot, job.shape), stopwatch)
