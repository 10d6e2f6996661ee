"""The plan of one image in strips: decode it, work on its strips, join them, encode them in pieces, write the files.

DecodeJob is serial, but for files that can be decoded in pieces; so are finding these, the joining, and what an
operation takes from the whole picture before it begins, which take next to no time, and which the caller does itself.
A result that needs no joining is encoded while it is made, and never whole in memory.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from imgproc.backends.phases import after_another, together
from imgproc.backends.sharing.buffers import Handle, ImageBuffers, image_buffers
from imgproc.backends.strips.sent import SentRows
from imgproc.backends.strips.tasks import (
    SOURCE,
    DecodeJob,
    DecodeRowsJob,
    EncodeJob,
    EncodeRowsJob,
    Laid,
    ReserveJob,
    StripJob,
    WriteJob,
    decode_onto,
    decode_part,
    encode_strip,
    encode_whole,
    make_room,
    work_on_strip,
    write_pieces,
)
from imgproc.backends.task import Task, TaskResult, Work, in_words
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Operation, Phase
from imgproc.operations.rows import Rows, cut
from imgproc.parameters import Parameters
from imgproc.pixels.formats import pieces
from imgproc.pixels.formats.depth import Facts
from imgproc.pixels.job import ImageJob, Processed
from imgproc.pixels.stopwatch import Stopwatch

#: Above so many pixels the operations are done one after the other, so that one result at a time is in memory: what
#: is needed is then a byte for each byte of the image, one for those of a result, and the encoded result; for a chain
#: one more.
LEAN_PIXELS = 100_000_000
MERGE = "merge"

_SPARE = 1.01, 1 << 16  # what deflating may add to what it cannot shrink
Steps = Generator[list[Task], list[TaskResult], Any]


class _Failed(Exception):
    """A step failed; the words for it."""


def split_image(
    index: int, job: ImageJob, size: tuple[int, int], strips: int, *, across_processes: bool, sent: bool = False
) -> Generator[list[Task], list[TaskResult], TaskResult]:
    """The plan of one image; returns its result.

    With ``sent`` nothing is shared: the image lies with this process, which decodes it and writes the files, and a
    worker is sent the rows that it needs and sends back what it made of them.

    Args:
        size: height and width as its header tells.
        strips: how many; fewer where it has fewer rows.
        across_processes: whether workers are processes, which do not see this process's memory.
    """
    caller = Stopwatch()  # of what is done here, between the phases
    lean, slots = _laid_out(job, size)
    slot_bytes, used = _slot_bytes(job, size), _used(slots)
    try:
        with image_buffers(slot_bytes, used, across_processes=across_processes and not sent) as (own, handle):
            for slot in range(used):
                own.make(slot)
            if sent:
                laid = _here(decode_onto, DecodeJob(job, handle), caller)
            else:
                with caller.stage("read"):
                    parts = _in_pieces(index, job, size, strips, handle)
                whole = Task(index, decode_onto, DecodeJob(job, handle))
                first = parts or [whole]
                if across_processes and not lean:
                    first = [*first, Task(index, make_room, ReserveJob(handle, _whole(job, size, slots)))]
                found = yield first
                if any(result.error is not None for result in found[: len(parts)]):
                    found = yield [whole]  # says what is wrong with the file
                laid = _as_one(_values(found))
            shape = laid.shape
            split = _Split(index, job, own, handle, shape, cut(shape[0], strips), caller, sent)
            run = after_another if lean else together
            each = [split.steps(*output, of_it) for output, of_it in zip(job.outputs, slots, strict=True)]
            with closing(run(each)) as steps:
                outputs = yield from steps
        done = Processed(shape[1], shape[0], tuple(outputs), laid.facts.sentences)
        return TaskResult(index, done, caller_spans=tuple(caller.spans))
    except _Failed as failure:
        return TaskResult(index, error=str(failure), caller_spans=tuple(caller.spans))


def shared_bytes(job: ImageJob, size: tuple[int, int]) -> int:
    """The most shared memory that the plan of one image takes across processes, in bytes."""
    return _slot_bytes(job, size) * _used(_laid_out(job, size)[1])


def _laid_out(job: ImageJob, size: tuple[int, int]) -> tuple[bool, list[_Slots]]:
    """Whether one result at a time is in memory, and where each output comes to lie."""
    lean = math.prod(size) > LEAN_PIXELS
    return lean, _slots(job, lean)


def _slot_bytes(job: ImageJob, size: tuple[int, int]) -> int:
    pixels = math.prod(size) * (3 if job.color else 1)
    return int(pixels * _SPARE[0]) + size[0] + _SPARE[1]


def _used(slots: Sequence[_Slots]) -> int:
    return 1 + max(of_output.box for of_output in slots)


def _in_pieces(index: int, job: ImageJob, size: tuple[int, int], strips: int, handle: Handle) -> list[Task]:
    """Tasks that decode the image, each a piece of it, and return a ``Laid``; none where it is to be decoded whole."""
    parts = pieces(job.source, strips, job.wanted)
    if not parts or parts[-1].rows.stop != size[0]:
        return []
    shape = (*size, 3) if job.color else size
    return [Task(index, decode_part, DecodeRowsJob(job, handle, shape, part), part=k) for k, part in enumerate(parts)]


def _as_one(found: Sequence[Laid | None]) -> Laid:
    """What tasks that decoded parts of an image say in sum; None is of a task that did not decode."""
    parts = [laid for laid in found if laid is not None]
    return Laid(parts[0].shape, reduce(Facts.joined, (laid.facts for laid in parts)))


@dataclass(frozen=True, slots=True)
class _Slots:
    """Where one output comes to lie: the slot of the result of each part of its operation, the last one 0 where that is
    never whole; and ``box``, that of its file's pieces."""

    results: tuple[int, ...]
    box: int


def _slots(job: ImageJob, lean: bool) -> list[_Slots]:
    """Those of each output. A part needs only the result of the one before, so two slots do for all parts."""
    slots, free = [], SOURCE + 1
    for name, _ in job.outputs:
        results = [free + number % 2 for number in range(len(OPERATIONS[name].parts))]
        if _flows(job, name):
            results[-1] = 0
        slots.append(_Slots(tuple(results), max(free - 1, *results) + 1))
        if not lean:
            free = slots[-1].box + 1
    return slots


def _whole(job: ImageJob, size: tuple[int, int], slots: Sequence[_Slots]) -> tuple[tuple[int, int], ...]:
    """The slots of pixels, and how many bytes will be in each at most."""
    most: dict[int, int] = {}
    for (name, _), of_output in zip(job.outputs, slots, strict=True):
        steps = OPERATIONS[name].steps((*size, 3) if job.color else size, job.parameters)
        for (part, shape), slot in zip(steps, of_output.results, strict=True):
            most[slot] = max(most.get(slot, 0), math.prod(part.result_shape(shape, job.parameters)))
    most.pop(0, None)
    return tuple(most.items())


def _flows(job: ImageJob, operation: str) -> bool:
    return OPERATIONS[operation].parts[-1].on_strips.flows and job.format == "png"


def _here(work: Work, payload: Any, caller: Stopwatch) -> Any:
    """What a task would do, done by this process."""
    try:
        return work(payload, caller)
    except Exception as problem:
        raise _Failed(in_words(problem)) from problem


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
    buffers: ImageBuffers
    handle: Handle
    shape: tuple[int, ...]
    rows: tuple[Rows, ...]
    caller: Stopwatch
    sent: bool

    def steps(self, name: str, path: str, slots: _Slots) -> Steps:
        """The phases of one output, those of a chain part by part; returns its ``WrittenFile``."""
        source = SOURCE
        for number, ((part, shape), slot) in enumerate(
            zip(OPERATIONS[name].steps(self.shape, self.job.parameters), slots.results, strict=True)
        ):
            parameters = self._parameters(name, part, source, shape)
            one = StripJob(self.handle, shape, source, slot, name, number, Rows(0, 0), parameters)
            last = yield from self._work(one, part.on_strips.phases if slot else part.on_strips.phases[:-1])
            source = slot
        if self.job.format != "png":
            whole = EncodeJob(self.handle, last.result_shape, last.slot, self.job, name, path)
            return (yield from self._at_once(encode_whole, whole))
        pieces = [
            EncodeRowsJob(
                self.handle, last.shape, last.source, last.slot, name, last.part, rows, last.parameters, last.given, -1,
                slots.box, *room, self.job.png_encoder,
            )
            for rows, room in zip(self.rows, self._places(), strict=True)
        ]  # fmt: skip
        placed = _values((yield self._per_strip(encode_strip, pieces)))
        writing = WriteJob(
            self.handle, slots.box, last.result_shape, OPERATIONS[name].bilevel, name, path, placed, self.job.durable
        )
        return (yield from self._at_once(write_pieces, writing))

    def _work(self, one: StripJob, phases: Sequence[Phase]) -> Generator[list[Task], list[TaskResult], StripJob]:
        """These phases of a part, on every strip; returns the job with what the last one was merged to."""
        for number, phase in enumerate(phases):
            jobs = [replace(one, rows=rows, phase=number) for rows in self.rows]
            results = yield self._per_strip(work_on_strip, jobs)
            with self.caller.stage(MERGE):
                out = self.buffers.get(one.slot, one.result_shape) if phase.writes else np.empty(0, np.uint8)
                one = replace(one, given=phase.merge(out, self.rows, _values(results)))
                del out
        return one

    def _parameters(self, name: str, part: Operation, source: int, shape: tuple[int, ...]) -> Parameters:
        """Those that a part works with; where it must see the whole picture that it is given, it does so here."""
        if not part.adapts(self.job.parameters):
            return self.job.parameters
        with self.caller.stage(name):
            return part.adapted(self.buffers.get(source, shape), self.job.parameters)

    def _at_once(self, work: Work, payload: Any) -> Steps:
        """What is done with the whole result, where that lies."""
        if self.sent:
            return _here(work, payload, self.caller)
        return _values((yield [Task(self.index, work, payload)]))[0]

    def _places(self) -> list[tuple[int, int]]:
        """Where in its box the piece of each strip begins, and the bytes it has there."""
        places = [self.buffers.slot_bytes * rows.start // self.shape[0] for rows in self.rows]
        ends = [*places[1:], self.buffers.slot_bytes]
        return [(place, end - place) for place, end in zip(places, ends, strict=True)]

    def _per_strip(self, work: Work, payloads: Sequence[Any]) -> list[Task]:
        carrier = partial(SentRows, self.buffers) if self.sent else None
        return [Task(self.index, work, payload, carrier, part=k) for k, payload in enumerate(payloads)]
