"""From the headers of images to the seconds that a technique will take for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgproc.backends import Technique
from imgproc.measure.environment import usable_cores
from imgproc.operations import OPERATIONS
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
    calibration: Calibration, batch: Batch, costs: Costs, technique: Technique, workers: int
) -> Prediction | None:
    """None where nothing is known of the technique.

    Args:
        costs: what each image of the batch takes, see ``predicted_costs``.
    """
    found = calibration.way(technique.name, workers)
    if found is None:
        return None
    overhead = calibration.overhead(technique.name, workers)
    amounts = pass_amounts(batch, costs, technique, workers)
    seconds = float(found @ amounts) + overhead.first
    measured = calibration.measured(technique.name)
    return Prediction(technique.name, workers, overhead.start, seconds, overhead.first, measured)


def predicted_costs(calibration: Calibration, batch: Batch) -> Costs:
    """What each image of a batch takes on one thread."""
    settings, stage = batch.settings, calibration.stage_seconds()
    amounts = stage_amounts(batch.images)
    decode, operations, encode = (np.zeros(len(batch.images)) for _ in range(3))
    formats = np.array([image.format for image in batch.images])
    decode += stage(amounts, "read")
    encode += stage(amounts, f"write {settings.format}") * len(settings.operations)
    for format in np.unique(formats):
        of_it = formats == format
        decode[of_it] += stage(amounts[of_it], *decode_keys(str(format), settings))
        for name in settings.operations:
            encode[of_it] += stage(amounts[of_it], *encode_keys(name, str(format), batch))
    for name in settings.operations:
        operations += stage(amounts, *operation_keys(name, settings))
    return Costs(decode, operations, encode)


def stage_amounts(images: Sequence[ImageRecord]) -> NDArray[np.float64]:
    """An image, its megapixels and its megabytes: a row for each."""
    return np.array([(1.0, image.megapixels, image.bytes / 1e6) for image in images]).reshape(-1, 3)


def decode_keys(format: str, settings: RunSettings) -> list[str]:
    """Under which a cost of decoding is kept, the most particular first."""
    return [f"decode {format} {_colors(settings)}", f"decode JPEG {_colors(settings)}"]


def operation_keys(name: str, settings: RunSettings) -> list[str]:
    """As ``decode_keys``, for an operation with its parameters."""
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
    """As ``decode_keys``, for the result of an operation on images of a format, whose pixels are smoother or not."""
    how = batch.settings.format
    if how == "png" and batch.png_encoder == HUFFMAN and not OPERATIONS[name].bilevel:
        how = f"png {HUFFMAN}"
    key = f"encode {name} {how} {_colors(batch.settings)} from"
    return [f"{key} {format}", f"{key} JPEG"]


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
