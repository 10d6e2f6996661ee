"""Computes every statistic of a record again from its raw times and spans, and says where it differs."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from imgproc.backends import BASELINE
from imgproc.measure.curves import scaling
from imgproc.measure.derive import DERIVED, derive, derive_weak
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
    derive(again, images=len(images), megapixels=megapixels)
    baseline = next((m for m in again if m.name == BASELINE), None)
    derive_weak(weak, baseline, images=len(images), megapixels=megapixels)
    return [
        *_differences(record.techniques, again),
        *_differences(record.weak, weak),
        *(sentence for m in (*record.techniques, *record.weak) for sentence in _unproved(record, m)),
        *_scaling(record, again, weak),
        *_findings(record, again, weak),
    ]


def _raw(m: TechniqueMeasurement) -> TechniqueMeasurement:
    """Only what was measured."""
    raw = copy.deepcopy(m)
    empty = TechniqueMeasurement(m.name, m.label)
    for name in DERIVED:
        setattr(raw, name, getattr(empty, name))
    return raw


def _differences(stored: Sequence[TechniqueMeasurement], again: Sequence[TechniqueMeasurement]) -> Iterator[str]:
    for one, computed in zip(stored, again, strict=True):
        for name in DERIVED:
            said, found = getattr(one, name), getattr(computed, name)
            if not _same(said, found):
                yield f"{one.label}: {name} is {said}, but its raw samples give {found}."


def _scaling(
    record: Record, again: Sequence[TechniqueMeasurement], weak: Sequence[TechniqueMeasurement]
) -> Iterator[str]:
    """Of the curves and fits, each figure that differs."""
    if record.scaling is None:
        return
    found = scaling(record.scaling.technique, again, weak, cores=record.environment.get("cores_usable"))
    for where, said, computed in _apart(asdict(record.scaling), asdict(found), "scaling"):
        yield f"{where} is {said}, but the raw samples give {computed}."


def _findings(
    record: Record, again: Sequence[TechniqueMeasurement], weak: Sequence[TechniqueMeasurement]
) -> Iterator[str]:
    """Of verdicts, order, losses and alarms, each that differs."""
    computed = replace(record, techniques=[*again], weak=[*weak], findings=None)
    computed.conclude()
    again_alarms = computed.doubts() if record.alarms else []
    for name, said, found in (
        ("best", record.best, computed.best),
        ("findings", asdict(record.found), asdict(computed.found)),
        ("alarms", [asdict(alarm) for alarm in record.alarms], [asdict(alarm) for alarm in again_alarms]),
    ):
        for where, one, other in _apart(said, found, name):
            yield f"{where} is {one}, but the raw samples give {other}."


def _apart(said: Any, found: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two records differ, as the path of the innermost name."""
    if isinstance(said, dict) and isinstance(found, dict) and said.keys() == found.keys():
        for name in said:
            yield from _apart(said[name], found[name], f"{where}.{name}")
    elif _records(said) and _records(found) and len(said) == len(found):
        for number, (one, other) in enumerate(zip(said, found, strict=True)):
            yield from _apart(one, other, f"{where}[{number}]")
    elif not _same(said, found):
        yield where, said, found


def _records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _unproved(record: Record, m: TechniqueMeasurement) -> list[str]:
    """A speedup is shown only for the same pixels."""
    if m.speedup is not None and m.identical is not True and len(record.techniques) > 1:
        return [f"{m.label}: a speedup is shown, but its pixels were not found to be the baseline’s."]
    return []


def _same(said: Any, found: Any) -> bool:
    if isinstance(said, float | int) and isinstance(found, float | int):
        return math.isclose(said, found, rel_tol=TOLERANCE, abs_tol=2e-6)
    if isinstance(said, list) and isinstance(found, list):
        return len(said) == len(found) and all(map(_same, said, found))
    if isinstance(said, dict) and isinstance(found, dict):
        return said.keys() == found.keys() and all(_same(said[key], found[key]) for key in said)
    return bool(said == found)
