"""What a measured run teaches: the costs of stages from the baseline's spans, those of techniques from their rounds."""

from __future__ import annotations

import logging
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.backends.schedules import USUAL
from imgproc.backends.sharing.transport import PATHS
from imgproc.measure.derive import typical_spans
from imgproc.measure.results import SpanRecord, TechniqueMeasurement
from imgproc.operations import OPERATIONS
from imgproc.runs.advisor.calibration import Calibration, Overhead, way
from imgproc.runs.advisor.fit import Fit
from imgproc.runs.advisor.prediction import (
    Batch,
    Costs,
    decode_keys,
    encode_keys,
    has_one_worker,
    operation_keys,
    pass_amounts,
    result_amounts,
    stage_amounts,
)
from imgproc.runs.record import ImageRecord, Record

#: Cores that others may use while something is learned.
OTHERS = 0.25
#: Of so many images at most the stages are learned, spread over the run.
_IMAGES = 200
#: Seconds by which a clock, or a system that looks elsewhere for a moment, may be wrong.
_STAGE_NOISE, _PASS_NOISE = 5e-5, 1e-3


class Kept(NamedTuple):
    """How much of what was learned before still counts after a run. Of stages, which depend on the pictures, the last
    five runs make the costs, of passes the last twenty."""

    stages: float
    passes: float


KEPT = Kept(0.8, 0.95)

log = logging.getLogger(__name__)


def learn_and_keep(record: Record, folder: Path) -> None:
    """Learn a run, unless others used the machine meanwhile or it waited for the disk, and keep what is known; where
    that cannot be kept, the log says so."""
    if record.settings.durable or (record.environment.get("cores_used_by_others") or 0.0) > OTHERS:
        return
    calibration = Calibration.load(folder)
    if not learn(calibration, record):
        return
    try:
        calibration.save(folder)
    except OSError as problem:
        log.warning("What was learned about this machine could not be kept in CACHE_DIR: %s", problem.strerror)


def learn(calibration: Calibration, record: Record, *, kept: Kept = KEPT) -> bool:
    """Learn what a run measured; False where that is nothing, as without a baseline."""
    baseline = next((m for m in record.techniques if m.name == BASELINE and m.rounds), None)
    if baseline is None:
        return False
    images = record.measured_images
    batch = Batch(images, record.settings, record.environment.get("png_encoder") or "")
    by_image = _of_each_image(typical_spans(baseline))
    if any(image.index not in by_image for image in images):
        return False
    pace = record.environment.get("pace_seconds")
    if not calibration.stages:
        calibration.at_pace = pace or 0.0
    slower = calibration.slower(pace) if calibration.stages else 1.0
    found: dict[str, list[tuple[NDArray[np.float64], float]]] = defaultdict(list)
    for image in images[:: -(-len(images) // _IMAGES)]:
        for key, amounts, seconds in _measured_stages(batch, image, by_image[image.index]):
            found[key].append((amounts, seconds / slower))
    for key, measured in found.items():
        fit = calibration.stages.setdefault(key, Fit())
        fit.age(kept.stages)
        mean = statistics.mean(seconds for _, seconds in measured)
        for amounts, seconds in measured:  # the longer one takes, the more depends on it
            fit.learn(amounts, seconds, noise=_STAGE_NOISE, weight=seconds / mean)
    costs = Costs(*(part / slower for part in _costs(batch, [by_image[image.index] for image in images])))
    for m in record.techniques:
        if _usual(m):
            _learn_pass(calibration, batch, costs, m, kept, slower)
    return True


def _usual(m: TechniqueMeasurement) -> bool:
    """Whether it did the same work as ``pass_amounts`` has it: files by their paths, one at a time."""
    if m.name not in TECHNIQUES or not m.rounds or m.identical is False or m.reason is not None:
        return False
    inner = m.cv2_threads == 1 or has_one_worker(TECHNIQUES[m.name])
    usual = m.transfer in (None, PATHS) and m.chunk_size in (None, 1) and m.schedule in (None, USUAL)
    usual = usual and not m.affinity
    return inner and m.copies == 1 and usual


def _of_each_image(spans: Sequence[SpanRecord]) -> dict[int, list[SpanRecord]]:
    found: dict[int, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        found[span.image].append(span)
    return found


def _stages(spans: Sequence[SpanRecord], operations: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Each stage, the operation it belongs to or "", and its seconds."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    operation = ""
    for span in sorted(spans, key=lambda span: span.start):
        if span.stage in operations:
            operation = span.stage
        found[span.stage, operation] += span.end - span.start
    for (stage, operation), seconds in found.items():
        yield stage, operation, seconds


def _measured_stages(
    batch: Batch, image: ImageRecord, spans: Sequence[SpanRecord]
) -> Iterator[tuple[str, NDArray[np.float64], float]]:
    """The stages of an image: the key of each, its amounts and seconds."""
    [of_image] = stage_amounts([image])
    settings = batch.settings
    for stage, operation, seconds in _stages(spans, settings.operations):
        amounts = of_image
        if stage == "read":
            key = "read"
        elif stage == "decode":
            key = decode_keys(image.format, settings)[0]
        elif stage == "encode":
            key = encode_keys(operation, image.format, batch)[0]
            [amounts] = result_amounts([image], operation, settings)
        elif stage == "write":
            key = f"write {settings.format}"
        elif stage == operation and not OPERATIONS[operation].made_of:
            key = operation_keys(operation, settings)[0]
        else:
            continue
        yield key, amounts, seconds


def _costs(batch: Batch, spans: Sequence[Sequence[SpanRecord]]) -> Costs:
    """What each image took in the baseline."""
    costs = Costs(*(np.zeros(len(spans)) for _ in range(3)))
    for at, of_image in enumerate(spans):
        for stage, operation, seconds in _stages(of_image, batch.settings.operations):
            part = costs.decode if not operation else costs.operations if stage == operation else costs.encode
            part[at] += seconds
    return costs


def _learn_pass(
    calibration: Calibration, batch: Batch, costs: Costs, m: TechniqueMeasurement, kept: Kept, slower: float
) -> None:
    if m.median_seconds is None:
        return
    amounts = pass_amounts(batch, costs, TECHNIQUES[m.name], m.threads)
    key = way(m.name, m.threads)
    fit = calibration.passes.setdefault(key, Fit())
    fit.age(kept.passes)
    fit.learn(amounts, m.median_seconds / slower, noise=_PASS_NOISE)
    if m.startup_seconds is None or m.first_round_seconds is None or not m.first_round_images:
        return
    first = max(0.0, m.first_round_seconds - m.median_seconds * m.first_round_images / len(batch.images))
    start, first = m.startup_seconds / slower, first / slower
    if key in calibration.overheads:
        calibration.overheads[key].learn(start, first)
    else:
        calibration.overheads[key] = Overhead(start, first)
