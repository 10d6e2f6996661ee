"""Computes every statistic of a record again from its raw times and spans, and says where it differs."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from imgproc.backends import BASELINE
from imgproc.measure.curves import scaling
from imgproc.measure.derive import (
    DERIVED,
    LATER,
    comparisons_of,
    derive,
    derive_points,
    derive_tasks,
    derive_weak,
)
from imgproc.measure.granularity import granularity
from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.record import Record

#: Differences below this share are rounding.
TOLERANCE = 1e-6


def verify(record: Record) -> list[str]:
    """What does not follow from the raw samples, a sentence each; nothing if all does."""
    again, weak = ([_raw(m) for m in stored] for stored in (record.techniques, record.weak))
    by_index = {image.index: image for image in record.images}
    images = [by_index[i] for i in record.sample if i in by_index] if record.sample else record.good_images
    megapixels = sum(image.megapixels for image in images)
    count = record.count if record.task else len(images)
    points = [_raw(m) for m in record.points]
    comparisons = comparisons_of(again, points)
    derive(again, images=count, megapixels=megapixels, rules=record.rules, comparisons=comparisons)
    baseline = next((m for m in again if m.name == BASELINE), None)
    derive_points(points, comparisons, record.rules, images=count, megapixels=megapixels, baseline=baseline)
    if record.task:
        derive_tasks(again, count, record.environment.get("cores_usable") or 1)
    derive_weak(weak, baseline, images=count, megapixels=megapixels, rules=record.rules)
    stored = record.measurements
    found = [
        difference
        for m, computed in zip(stored, [*again, *weak, *points], strict=True)
        for name in DERIVED
        if name not in LATER or getattr(m, name) is not None
        for difference in _differences(getattr(m, name), getattr(computed, name), f"{m.label}: {name}")
    ]
    # A speedup is shown only for the same pixels.
    found += [
        f"{m.label}: a speedup is shown, but its pixels were not found to be the baseline’s."
        for m in stored
        if m.speedup is not None and not m.identical and len(record.techniques) > 1
    ]
    if record.scaling:
        curves = scaling(record.scaling.technique, again, weak, cores=record.environment.get("cores_usable"))
        found += _differences(asdict(record.scaling), asdict(curves), "scaling")
    if record.granularity:
        said = record.granularity
        amounts = granularity(
            said.over, said.technique, again, points, images=count, megapixels=megapixels, unit=said.unit,
            rules=record.rules,
        )  # fmt: skip
        found += _differences(asdict(said), asdict(amounts) if amounts else None, "granularity")
    anew = replace(record, techniques=again, weak=weak, points=points, findings=None)
    anew.conclude(record.rules)
    found += _differences(record.best, anew.best, "best")
    found += _differences(asdict(record.found), asdict(anew.found), "findings")
    if record.alarms:
        found += _differences([*map(asdict, record.alarms)], [*map(asdict, anew.raised_alarms())], "alarms")
    return found


def _raw(m: TechniqueMeasurement) -> TechniqueMeasurement:
    """Only what was measured."""
    raw, empty = copy.deepcopy(m), TechniqueMeasurement(m.name, m.label)
    for name in DERIVED:
        setattr(raw, name, getattr(empty, name))
    return raw


def _differences(said: Any, found: Any, where: str) -> Iterator[str]:
    """A sentence for each figure that differs, by the path of its names."""
    if isinstance(said, dict) and isinstance(found, dict) and said.keys() == found.keys():
        for name in said:
            yield from _differences(said[name], found[name], f"{where}.{name}")
    elif _records(said) and _records(found) and len(said) == len(found):
        for number, pair in enumerate(zip(said, found, strict=True)):
            yield from _differences(*pair, f"{where}[{number}]")
    elif not _alike(said, found):
        yield f"{where} is {said}, but the raw samples give {found}."


def _records(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value)


def _alike(said: Any, found: Any) -> bool:
    """Whether two numbers, or lists of them, are the same but for rounding."""
    if isinstance(said, float | int) and isinstance(found, float | int):
        return math.isclose(said, found, rel_tol=TOLERANCE, abs_tol=2e-6)
    if isinstance(said, Sequence) and isinstance(found, Sequence) and not isinstance(said, str):
        return len(said) == len(found) and all(map(_alike, said, found))
    return bool(said == found)
