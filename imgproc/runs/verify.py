"""Computes every statistic of a record again from its raw times and spans, and says where it differs."""

from __future__ import annotations

import copy
import math
from typing import Any

from imgproc.measure.derive import DERIVED, derive
from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.record import Record

#: Differences below this share are rounding.
TOLERANCE = 1e-6


def verify(record: Record) -> list[str]:
    """What does not follow from the raw samples, a sentence each; nothing if all does."""
    again = [_raw(m) for m in record.techniques]
    by_index = {image.index: image for image in record.images}
    images = [by_index[i] for i in record.sample if i in by_index] if record.sample else record.good_images
    derive(again, images=len(images), megapixels=sum(image.megapixels for image in images))
    wrong = []
    for stored, computed in zip(record.techniques, again, strict=True):
        for name in DERIVED:
            said, found = getattr(stored, name), getattr(computed, name)
            if not _same(said, found):
                wrong.append(f"{stored.label}: {name} is {said}, but its raw samples give {found}.")
        wrong += _unproved(record, stored)
    return wrong


def _raw(m: TechniqueMeasurement) -> TechniqueMeasurement:
    """Only what was measured."""
    raw = copy.deepcopy(m)
    empty = TechniqueMeasurement(m.name, m.label)
    for name in DERIVED:
        setattr(raw, name, getattr(empty, name))
    return raw


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
