"""How images reach worker processes and come back: not at all, as encoded files, pickled, or through shared memory.

Where pixels travel, the caller reads and decodes, a worker only runs the operations, and the caller encodes and
writes. What crashes the decoder then takes the caller along.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgproc.backends.base import Capabilities
from imgproc.backends.gpu.on_device import process_image_on_device
from imgproc.backends.sharing.memory import SharedBlock, attach, create, views_end
from imgproc.backends.task import TRANSFER, Carrier, Task
from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.parameters import Value
from imgproc.pixels import formats
from imgproc.pixels.codecs import encode
from imgproc.pixels.formats.depth import Facts
from imgproc.pixels.job import (
    ImageJob,
    Processed,
    WrittenFile,
    operate,
    process_image,
    process_image_by_prange,
    read_image,
    write_results,
)
from imgproc.pixels.stopwatch import Stopwatch


@dataclass(frozen=True)
class Transfer:
    """One way of moving images: what people see of it, and what carries them, None where nothing but names travels.
    ``alone``: whether most of the work is then the caller's, which it does one image at a time."""

    label: str
    help: str
    carrier: Callable[[], Carrier] | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """What a worker is given of a job whose files travel: the file as it is, with its SHA-256."""

    data: bytes
    sha256: bytes
    job: ImageJob


@dataclass(frozen=True, slots=True)
class EncodedResults:
    """What it gives back: the image's size, the files in the order of the job's outputs, and notes, see
    ``Processed``."""

    width: int
    height: int
    files: tuple[bytes, ...]
    notes: tuple[str, ...] = ()


class Files:
    """Carries the file to the worker and the finished files back, so that it needs no disk of the caller's."""

    moved = 0
    _job: ImageJob

    def send(self, task: Task, stopwatch: Stopwatch) -> Task:
        """A task with the file in it."""
        self._job = task.payload
        with stopwatch.stage("read"):
            data = Path(self._job.source).read_bytes()
        with stopwatch.stage(TRANSFER):
            file = EncodedFile(data, hashlib.sha256(data).digest(), self._job)
        return replace(task, work=process_file, payload=file, carrier=None)

    def receive(self, value: EncodedResults, stopwatch: Stopwatch) -> Processed:
        """Write the files."""
        outputs = []
        for (name, path), data in zip(self._job.outputs, value.files, strict=True):
            with stopwatch.stage("write"):
                write_whole(path, data, durable=self._job.durable)
            outputs.append(WrittenFile(name, path, len(data)))
        return Processed(value.width, value.height, tuple(outputs), value.notes)

    def release(self) -> None:
        """Nothing is held."""


def process_file(file: EncodedFile, stopwatch: Stopwatch) -> EncodedResults:
    """The worker's part where files travel: all but reading and writing."""
    with stopwatch.stage(TRANSFER):
        intact = hashlib.sha256(file.data).digest() == file.sha256
    if not intact:
        raise UserError("The file was damaged on its way to the worker.")
    with stopwatch.stage("decode"):
        image, facts = formats.decode(file.data, file.job.wanted)
    made = []
    for name, _ in file.job.outputs:
        result = operate(name, image, file.job.parameters, stopwatch)
        with stopwatch.stage("encode"):
            made.append(encode(result, file.job.format, bilevel=OPERATIONS[name].bilevel))
    height, width = image.shape[:2]
    return EncodedResults(width, height, tuple(made), facts.sentences)


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a worker is given of a job whose pixels are pickled."""

    image: Image
    operations: tuple[str, ...]
    parameters: dict[str, Value]


class Arrays:
    """Carries pickled arrays, as textbooks show it."""

    moved = 0
    _job: ImageJob
    _shape: tuple[int, ...]
    _facts: Facts

    def send(self, task: Task, stopwatch: Stopwatch) -> Task:
        """A task with the decoded image in it, which gives arrays back."""
        self._job = task.payload
        image, self._facts = read_image(self._job, stopwatch)
        self._shape = image.shape
        pixels = Pixels(image, tuple(name for name, _ in self._job.outputs), self._job.parameters)
        return replace(task, work=run_operations, payload=pixels, carrier=None)

    def receive(self, value: Any, stopwatch: Stopwatch) -> Processed:
        """Encode and write the results."""
        return write_results(self._job, self._shape, self._facts, value, stopwatch)

    def release(self) -> None:
        """Nothing is held."""


def run_operations(pixels: Pixels, stopwatch: Stopwatch) -> list[Image]:
    """The worker's part where arrays are pickled."""
    return [operate(name, pixels.image, pixels.parameters, stopwatch) for name in pixels.operations]


@dataclass(frozen=True, slots=True)
class SharedPixels:
    """What a worker is given of a job whose pixels lie in shared memory: the image is the first in its block, whose
    slots have so many bytes each."""

    block: str
    slot_bytes: int
    shape: tuple[int, ...]
    operations: tuple[str, ...]
    parameters: dict[str, Value]


class SharedArrays(Arrays):
    """Carries an image and its results in one block of shared memory, whose slots are each as large as the largest of
    them."""

    _block: SharedBlock | None = None

    def send(self, task: Task, stopwatch: Stopwatch) -> Task:
        """A task with the place of the decoded image, which says where it put the results."""
        task = super().send(task, stopwatch)
        pixels: Pixels = task.payload
        shape, names = pixels.image.shape, pixels.operations
        shapes = [shape, *(OPERATIONS[name].result_shape(shape, pixels.parameters) for name in names)]
        slot_bytes = max(map(math.prod, shapes))
        with stopwatch.stage(TRANSFER):
            self._block = create(slot_bytes, len(shapes))
            self._block.put(0, pixels.image)
        self.moved += pixels.image.nbytes
        shared = SharedPixels(self._block.name, slot_bytes, shape, names, pixels.parameters)
        return replace(task, work=run_operations_in_place, payload=shared)

    def receive(self, value: Any, stopwatch: Stopwatch) -> Processed:
        """Encode and write the results, straight from the block."""
        block = self._block
        assert block is not None
        self.moved += sum(map(math.prod, value))
        with views_end():
            results = (block.get(slot, shape) for slot, shape in enumerate(value, 1))
            return super().receive(results, stopwatch)

    def release(self) -> None:
        """Remove the block."""
        block, self._block = self._block, None
        if block is not None:
            block.remove()


def run_operations_in_place(pixels: SharedPixels, stopwatch: Stopwatch) -> list[tuple[int, ...]]:
    """The worker's part where pixels lie in shared memory: the shapes of the results, which follow the image."""
    with stopwatch.stage(TRANSFER):
        block = attach(pixels.block, pixels.slot_bytes)
    try:
        with views_end():
            return [_in_place(block, slot, pixels, stopwatch) for slot in range(1, 1 + len(pixels.operations))]
    finally:
        with stopwatch.stage(TRANSFER):
            block.close()


def _in_place(block: SharedBlock, slot: int, pixels: SharedPixels, stopwatch: Stopwatch) -> tuple[int, ...]:
    image = block.get(0, pixels.shape)
    result = operate(pixels.operations[slot - 1], image, pixels.parameters, stopwatch)
    with stopwatch.stage(TRANSFER):
        block.put(slot, result)
    return result.shape


PATHS = "paths"
BYTES = "bytes"
TRANSFERS: dict[str, Transfer] = {
    PATHS: Transfer("paths", "Only file names travel: every worker reads and writes its own files."),
    BYTES: Transfer(
        "encoded files",
        "The files travel to a worker as they are, and the results come back as files, which the caller writes: for "
        "workers that do not share a file system with it.",
        Files,
    ),
    "arrays": Transfer(
        "pickled arrays",
        "The textbook way: the caller decodes, the pixels are pickled to a worker and its results back, and the "
        "caller encodes and writes them.",
        Arrays,
        alone=True,
    ),
    "shared": Transfer(
        "shared memory",
        "The caller decodes, encodes and writes as with pickled arrays, but the pixels lie in memory that it shares "
        "with the worker: each is copied once on either way.",
        SharedArrays,
        alone=True,
    ),
}


def image_task(
    index: int, job: ImageJob, transfer: str = PATHS, able: Capabilities | None = None, memory: int = 0
) -> Task:
    """The task of one image, which travels as a key of ``TRANSFERS`` says and takes so many bytes of memory, for a
    technique that can do so much: on the workers' GPU, by Numba, or else as all do it."""
    work = process_image
    if able and able.memory == "device":
        work = process_image_on_device
    elif able and able.prange:
        work = process_image_by_prange
    return Task(index, work, job, TRANSFERS[transfer].carrier, memory=memory)
