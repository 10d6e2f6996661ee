"""From the headers of images to the seconds that a technique will take for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgproc.backends import Technique
from imgproc.measure.environment import usable_cores
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS
from imgproc.parameters import Value
from imgproc.pixels.png import HUFFMAN
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.record import ImageRecord, RunSettings
from imgproc.runs.splitting import images_to_split, makespan, split_of, strips_of

#: Phases of tasks that an image in strips goes through.
_PHASES = 3


class Costs(NamedTuple):
    """Seconds that each image takes on one thread: to be read and decoded, in operations, to be encoded and written."""

    decode: NDArray[np.float64]
    operations: NDArray[np.float64]
    encode: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        return self.decode + self.operations + self.encode


@dataclass(frozen=True)
class Batch:
    """Images and what is to be done with them, as far as the time depends on it."""

    images: Sequence[ImageRecord]
    settings: RunSettings
    png_encoder: str = ""


@dataclass(frozen=True)
class Prediction:
    """What a technique with so many workers will take for a batch: ``start_seconds`` until they are ready, and
    ``seconds`` of its first pass, which is ``first`` longer than later ones. ``measured``: from measurements on this
    machine, else from those on another."""

    technique: str
    workers: int
    start_seconds: float
    seconds: float
    first: float
    measured: bool

    @property
    def job_seconds(self) -> float:
        """From the start of the workers to the last file."""
        return self.start_seconds + self.seconds

    @property
    def pass_seconds(self) -> float:
        """Of a pass of workers that are warm."""
        return self.seconds - self.first


def predict(
    calibration: Calibration, batch: Batch, costs: Costs, technique: Technique, workers: int, *, slower: float = 1.0
) -> Prediction | None:
    """None where nothing is known of the technique.

    Args:
        costs: what each image of the batch takes, see ``predicted_costs``.
        slower: how many times as long as the calibration says everything takes, see ``Calibration.slower``.
    """
    found = calibration.way(technique.name, workers)
    if found is None:
        return None
    overhead = calibration.overhead(technique.name, workers)
    amounts = pass_amounts(batch, costs, technique, workers)
    start, first, seconds = (s * slower for s in (overhead.start, overhead.first, float(found @ amounts)))
    measured = calibration.measured(technique.name)
    return Prediction(technique.name, workers, start, first + seconds, first, measured)


def predicted_costs(calibration: Calibration, batch: Batch) -> Costs:
    """What each image of a batch takes on one thread."""
    settings, stage = batch.settings, calibration.stage_seconds()
    amounts = stage_amounts(batch.images)
    decode, operations, encode = (np.zeros(len(batch.images)) for _ in range(3))
    formats = np.array([image.format for image in batch.images])
    decode += stage(amounts, "read")
    encode += stage(amounts, f"write {settings.format}") * len(settings.operations)
    for format in {image.format for image in batch.images}:  # NumPy's unique loads its masked arrays, 25 ms
        of_it = formats == format
        decode[of_it] += stage(amounts[of_it], *decode_keys(format, settings))
        for name in settings.operations:
            results = result_amounts(batch.images, name, settings)
            encode[of_it] += stage(results[of_it], *encode_keys(name, format, batch))
    for name, asked in _parts(settings):
        operations += stage(amounts, *operation_keys(name, asked))
    return Costs(decode, operations, encode)


def stage_amounts(images: Sequence[ImageRecord]) -> NDArray[np.float64]:
    """An image, its megapixels and its megabytes: a row for each."""
    return np.array([(1.0, image.megapixels, image.bytes / 1e6) for image in images]).reshape(-1, 3)


def result_amounts(images: Sequence[ImageRecord], name: str, settings: RunSettings) -> NDArray[np.float64]:
    """As ``stage_amounts``, with the megapixels that the results of an operation have."""
    amounts = stage_amounts(images)
    amounts[:, 1] = [image.megapixels_of(name, settings) for image in images]
    return amounts


def decode_keys(format: str, settings: RunSettings) -> list[str]:
    """Under which a cost of decoding is kept, the most particular first."""
    return [f"decode {format} {_colors(settings)}", f"decode JPEG {_colors(settings)}"]


def _parts(settings: RunSettings) -> Iterator[tuple[str, RunSettings]]:
    """What is done one after another in all operations, with settings that say whether it is given a colour image."""
    for name in settings.operations:
        for part, shape in OPERATIONS[name].steps((1, 1, 3) if settings.color else (1, 1), settings.parameters):
            yield part.name, replace(settings, color=len(shape) == 3)


def operation_keys(name: str, settings: RunSettings) -> list[str]:
    """As ``decode_keys``, for an operation with its parameters; a chain is as much as its parts."""
    of_defaults = f"{name} {_colors(settings)}"
    own = {p.name: p.default for p in OPERATIONS[name].parameters}
    changed: dict[str, Value] = {
        parameter: settings.parameters[parameter]
        for parameter, default in own.items()
        if settings.parameters.get(parameter, default) != default
    }
    words = " ".join(f"{parameter}={value}" for parameter, value in sorted(changed.items()))
    return [f"{of_defaults} {words}", of_defaults] if changed else [of_defaults]


def encode_keys(name: str, format: str, batch: Batch) -> list[str]:
    """As ``decode_keys``, for the result of an operation on images of a format, whose pixels are smoother or not; until
    that was measured, as the result of the last part of a chain, and as those of the operations that runs do by
    default, which are measured with every format."""
    operation, how, settings = OPERATIONS[name], batch.settings.format, batch.settings
    if how == "png" and batch.png_encoder == HUFFMAN and not operation.bilevel:
        how = f"png {HUFFMAN}"
    results = [(name, settings.color)]
    if operation.made_of:
        *_, (last, shape) = operation.steps((1, 1, 3) if settings.color else (1, 1), settings.parameters)
        results.append((last.name, len(shape) == 3))
    color = results[-1][1]
    results += [(one, color) for one in DEFAULT_OPERATIONS if OPERATIONS[one].bilevel == operation.bilevel]
    keys = [
        f"encode {one} {how} {_colors(replace(settings, color=color))} from" for one, color in dict.fromkeys(results)
    ]
    return [f"{key} {source}" for key in keys for source in dict.fromkeys((format, "JPEG"))]


def pass_amounts(batch: Batch, costs: Costs, technique: Technique, workers: int) -> NDArray[np.float64]:
    """The amounts of a pass, see ``Calibration.way``."""
    images, settings = batch.images, batch.settings
    able = technique.load().capabilities
    workers = 1 if has_one_worker(technique) else min(workers, able.max_workers or workers)
    lanes = max(1, min(workers, usable_cores()))
    split = images_to_split(images, workers, split_of(settings)) if able.splits else []
    cut = {image.index for image in split}
    whole = np.array([image.index not in cut for image in images], bool)
    in_strips = costs.operations + costs.encode * (settings.format == "png")  # which alone is encoded in pieces
    serial = [*costs.total[whole], *(costs.total - in_strips)[~whole]]
    shared = float(in_strips[~whole].sum())
    span = makespan(sorted(serial, reverse=True), lanes) + shared / lanes
    share = float(costs.operations.sum() / max(costs.total.sum(), 1e-12))
    strips = sum(_PHASES * strips_of(image, workers) for image in split)
    return np.array([1.0, whole.sum() + strips, span * (1 - share), span * share, strips])


def has_one_worker(technique: Technique) -> bool:
    """Whether its number of workers counts threads of one."""
    return technique.unit == "thread"


def _colors(settings: RunSettings) -> str:
    return "colour" if settings.color else "gray"
