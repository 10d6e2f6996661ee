"""Geometry of the inline pictures. Places are pixels in the small marks and percent of the width in the wide ones,
which have no viewBox, so that their text never scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.record import Record


@dataclass(frozen=True)
class Micro:
    """The sign of the app for one value: a dot with its interval between the ticks 1× and ideal."""

    width: int
    base: float
    ideal: float | None
    low: float
    high: float
    dot: float
    kind: str


def micro(
    speedup: float | None,
    interval: Sequence[float] | None,
    ideal: float,
    verdict: str | None = None,
    width: int = 97,
    top: float = 0.0,
) -> Micro | None:
    """The axis ends at ``top`` or at what must be shown; the mark is filled where the ``verdict`` tells a difference.
    None where there is no speedup to draw."""
    if speedup is None:
        return None
    low, high = interval or (speedup, speedup)
    top = max(top, ideal, high, speedup, 1.2)

    def place(value: float) -> float:
        return round(0.5 + value / top * (width - 9), 1)

    kind = KINDS.get(verdict or "", "is-none")
    return Micro(width, place(1), place(ideal) if ideal > 1.05 else None, place(low), place(high), place(speedup), kind)


#: The class of a verdict on the pages.
KINDS = {"faster": "is-faster", "slower": "is-slower"}


def rank(t: TechniqueMeasurement, record: Record) -> tuple[bool, int]:
    """The place of a technique among others: that of the page's table, but in scale mode, which is ordered by workers,
    the run's own first."""
    return record.mode == "scale" and t.label != record.found.technique, record.found.order.index(t.label)
