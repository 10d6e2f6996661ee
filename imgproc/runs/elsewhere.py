"""Records that come from elsewhere: read strictly, since anybody may have written anything, and verified."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imgproc.errors import UserError
from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.record import Record
from imgproc.runs.serialization import fits
from imgproc.runs.verify import verify

#: So many characters at most have an id and other names that stand in headings.
_MOST_NAME = 200
#: What facts of a machine are, by their names in ``environment``. Others may be anything.
_FACTS: Mapping[str, Any] = {
    "cpu": str | None, "cores_physical": int | None, "cores_logical": int | None, "cores_usable": int | None,
    "cpu_quota": float | None, "cores_used_by_others": float | None, "load_before": float | None,
    "copy_bytes_per_second": float | None, "copy_bytes_per_second_of_one": float | None,
    "arithmetic_per_second": float | None, "arithmetic_per_second_of_one": float | None,
    "memory_bytes": int | None, "memory_limit_bytes": int | None, "virtual_machine": bool | None,
    "container": bool | None, "gpu": str | None, "os": str | None, "python": str | None, "png_encoder": str | None,
    "versions": dict[str, str], "opencv": dict[str, str], "gil": dict[str, bool],
    "cpu_frequency": dict[str, str | int | bool | None] | None,
}  # fmt: skip
#: What reading or verifying a record with senseless values may raise.
_SENSELESS = (ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Foreign:
    """A record from elsewhere; ``wrong`` are the figures that do not follow from its raw samples, a sentence each."""

    name: str
    record: Record
    wrong: list[str]


def read_foreign(data: bytes, name: str) -> Foreign:
    """A run.json that this program did not write itself, or may not have.

    Args:
        name: what the person calls the file.

    Raises:
        UserError: it is no record, or its values make no sense; names the file.
    """
    try:
        record = Record.from_dict(json.loads(data, parse_constant=_constant))
        facts = record.environment.items()
        record.environment = {name: value for name, value in facts if fits(_FACTS.get(name, Any), value)}
        if not _is_sound(record):
            raise ValueError
        return Foreign(name, record, verify(record))
    except UserError as problem:
        said = "".join(filter(str.isprintable, problem.message))[:_MOST_NAME]
        raise UserError(f"{name}: {said}", code=problem.code, file=name) from None
    except _SENSELESS:
        raise UserError(f"{name} is no run.json that can be read.", file=name) from None


def _constant(text: str) -> float:
    """JSON of ours has “Infinity”, where a law sets no limit, but nothing that is no number."""
    if text == "NaN":
        raise ValueError
    return float(text)


def _is_sound(record: Record) -> bool:
    """Whether every value is what its field says, and those that are told can be."""
    datetime.fromisoformat(record.created)
    every = record.measurements
    labels = [t.label for t in every]
    names = [record.id, *labels, *(t.name for t in every)]
    kinds = fits(Record, record) and all(name.isprintable() and len(name) <= _MOST_NAME for name in names)
    return kinds and len(set(labels)) == len(labels) and all(map(_can_be, every))


def _can_be(t: TechniqueMeasurement) -> bool:
    """Whether its times are above nothing and finite, and its intervals are such."""
    intervals = [pair for pair in (t.ci95, t.speedup_ci95) if pair is not None]
    ordered = all(len(pair) == 2 and 0 < pair[0] <= pair[1] < math.inf for pair in intervals)
    told = (t.median_seconds, t.speedup, *(r.wall_seconds for r in t.rounds))
    above = all(value is None or 0 < value < math.inf for value in told)
    return ordered and above and 0 <= (t.startup_seconds or 0.0) < math.inf and t.workers > 0
