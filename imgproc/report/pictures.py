"""Geometry of the inline pictures. Places are pixels in the small marks and percent of the width in the wide ones,
which have no viewBox, so that their text never scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from imgproc.backends import BASELINE
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
    """The axis ends at ``top`` or at what must be shown. None where there is no speedup to draw."""
    if speedup is None:
        return None
    low, high = interval or (speedup, speedup)
    top = max(top, ideal, high, speedup, 1.2)

    def place(value: float) -> float:
        return round(0.5 + value / top * (width - 9), 1)

    verdict = verdict or ("faster" if low > 1 else "slower" if high < 1 else "none")
    kind = {"faster": "is-faster", "slower": "is-slower"}.get(verdict, "is-none")
    return Micro(width, place(1), place(ideal) if ideal > 1.05 else None, place(low), place(high), place(speedup), kind)


def rank(t: TechniqueMeasurement, record: Record) -> tuple[object, ...]:
    """The place of a technique among others: the run's own first and the baseline last; in between those of a scale
    run by their numbers of workers, others the fastest first."""
    ways = (t.copies, t.cv2_threads, t.workers) if record.mode == "scale" else ()
    return (t is not record.technique, t.name == BASELINE, *ways, t.median_seconds or 0.0)


@dataclass(frozen=True)
class Mark:
    """A text or tick at ``x`` percent; ``anchor`` keeps it inside the picture."""

    x: float
    text: str
    anchor: str


def mark(x: float, text: str) -> Mark:
    """A mark whose text does not run out of the picture."""
    return Mark(x, text, "start" if x < 12 else "end" if x > 86 else "middle")


def ticks(top: float, most: int = 5) -> list[float]:
    """Round values from zero on, at most ``most`` steps."""
    raw = top / most
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw)
    return [round(step * k, 10) for k in range(int(top / step) + 1)]
