"""What all runs together say of a technique."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from imgproc.runs.tables import TimingRow


@dataclass(frozen=True)
class TechniqueTimes:
    """What all done runs together say of one technique; None where nothing was measured.

    ``images`` counts the images it was timed on. Medians, least and most are over runs.
    """

    technique: str
    label: str
    runs: int
    images: int
    speedup: float | None
    speedup_min: float | None
    speedup_max: float | None
    seconds_per_megapixel: float | None
    seconds_per_megapixel_min: float | None
    seconds_per_megapixel_max: float | None


def times(technique: str, rows: list[TimingRow]) -> TechniqueTimes:
    """Of the timings of one technique, one of each run, the newest last."""
    speedups = _middle_and_range([row.speedup for row in rows])
    paces = _middle_and_range([row.seconds_per_megapixel for row in rows])
    return TechniqueTimes(technique, rows[-1].label, len(rows), sum(row.images for row in rows), *speedups, *paces)


def _middle_and_range(values: list[float | None]) -> tuple[float | None, float | None, float | None]:
    known = [value for value in values if value is not None]
    return (statistics.median(known), min(known), max(known)) if known else (None, None, None)
