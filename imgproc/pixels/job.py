"""One image file and what is made of it: read, decode, operate, encode, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgproc.files import write_whole
from imgproc.functions.operations import Declared, OwnOperation
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image, Operation
from imgproc.parameters import Parameters, Value
from imgproc.pixels import formats
from imgproc.pixels.codecs import encode
from imgproc.pixels.formats.contract import Decoded, Wanted
from imgproc.pixels.formats.depth import HIGH_BYTE, Facts
from imgproc.pixels.png import PNG_ENCODER
from imgproc.pixels.stopwatch import Stopwatch

Apply = Callable[[Operation, Image, Parameters], Image]


@dataclass(frozen=True, slots=True)
class ImageJob:
    """One image file and the files to be made of it, each with the operation that makes it; ``own``: those of a user's
    own, which a worker's table of operations has once they are there; ``durable``: a file is on the disk before it is
    called written."""

    source: str
    outputs: tuple[tuple[str, str], ...]  # (operation, path)
    parameters: dict[str, Value] = field(hash=False)
    format: str = "png"
    color: bool = False
    depth: str = HIGH_BYTE
    png_encoder: str = PNG_ENCODER
    own: tuple[OwnOperation | Declared, ...] = ()
    durable: bool = False

    @property
    def wanted(self) -> Wanted:
        """How its file is to be decoded."""
        return Wanted(self.color, self.depth)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A written file."""

    operation: str
    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of one image: its size upright in pixels, the files written, and what people are to know of how it
    was read, in sentences."""

    width: int
    height: int
    outputs: tuple[WrittenFile, ...]
    notes: tuple[str, ...] = ()


def process_image(job: ImageJob, stopwatch: Stopwatch) -> Processed:
    """Read, decode, and for each operation: run it, encode, write."""
    return _process(job, stopwatch, Operation.apply)


def process_image_by_prange(job: ImageJob, stopwatch: Stopwatch) -> Processed:
    """The same with the operations' programs for Numba."""
    return _process(job, stopwatch, Operation.apply_by_prange)


def _process(job: ImageJob, stopwatch: Stopwatch, apply: Apply) -> Processed:
    decoded = read_image(job, stopwatch)
    results = (operate(name, decoded.image, job.parameters, stopwatch, apply) for name, _ in job.outputs)
    return write_results(job, decoded.image.shape, decoded.facts, results, stopwatch)


def read_image(job: ImageJob, stopwatch: Stopwatch) -> Decoded:
    """The stages before the operations."""
    with stopwatch.stage("read"):
        data = Path(job.source).read_bytes()
    with stopwatch.stage("decode"):
        return formats.decode(data, job.wanted)


def operate(
    name: str,
    image: Image,
    parameters: Mapping[str, Value],
    stopwatch: Stopwatch,
    apply: Apply = Operation.apply,
) -> Image:
    """The stage of one operation."""
    with stopwatch.stage(name):
        return apply(OPERATIONS[name], image, parameters)


def write_results(
    job: ImageJob, shape: tuple[int, ...], facts: Facts, results: Iterable[Image], stopwatch: Stopwatch
) -> Processed:
    """Encode and write the results of the job's operations, each as it comes, for an image of this shape that was read
    so."""
    outputs = zip(job.outputs, results, strict=True)
    done = [write_output(job, name, path, result, stopwatch) for (name, path), result in outputs]
    return Processed(shape[1], shape[0], tuple(done), facts.sentences)


def write_output(job: ImageJob, name: str, path: str, result: Image, stopwatch: Stopwatch) -> WrittenFile:
    """The stages after an operation."""
    with stopwatch.stage("encode"):
        encoded = encode(result, job.format, bilevel=OPERATIONS[name].bilevel, png_encoder=job.png_encoder)
    with stopwatch.stage("write"):
        write_whole(path, encoded, durable=job.durable)
    return WrittenFile(name, path, len(encoded))
