"""Geometry of the inline pictures. Places are pixels in the small marks and percent of the width in the wide ones,
which have no viewBox, so that their text never scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imgproc.backends import BASELINE
from imgproc.measure.curves import strong_curve
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted, times, times_interval
from imgproc.report.charts.charts import ideal
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
    kind = KINDS.get(verdict, "is-none")
    return Micro(width, place(1), place(ideal) if ideal > 1.05 else None, place(low), place(high), place(speedup), kind)


#: The class of a verdict on the pages.
KINDS = {"faster": "is-faster", "slower": "is-slower"}


def rank(t: TechniqueMeasurement, record: Record) -> tuple[bool, bool, int]:
    """The place of a technique among others: the run's own first and the baseline last, in between by their order."""
    return t.label != record.found.technique, t.name == BASELINE, record.found.order.index(t.label)


@dataclass(frozen=True)
class Mark:
    """A text or tick at ``x`` percent; ``anchor`` keeps it inside the picture."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Bar:
    y: int
    label: str
    value: str
    width: float
    low: float | None
    high: float | None
    kind: str


@dataclass(frozen=True)
class Bars:
    """The speedup picture: a bar per technique, the lines at 1× and at the ideal, an axis from zero."""

    height: int
    rows: list[Bar]
    base: Mark
    ideal: Mark | None
    ticks: list[Mark]
    sentence: str
    caption: str


ROW = 38


def speedup_bars(record: Record) -> Bars | None:
    """A bar per technique, the fastest first, or per number of workers; None where no speedup was measured."""
    main = record.technique
    shown = [t for t in record.techniques if t.speedup is not None and t.name != BASELINE]
    if main is None or not shown:
        return None
    shown.sort(key=lambda t: -(t.speedup or 0.0))
    if record.scaling:
        shown = [t for t in strong_curve(record.scaling.technique, record.techniques) if t in shown] or shown
    best = max(ideal(t, record) for t in shown)
    top = max(best, 1.0, *(max(t.speedup or 0.0, *(t.speedup_ci95 or [0.0])) for t in shown)) * 1.04

    def place(value: float) -> float:
        return round(value / top * 100, 2)

    rows = [_bar(24 + ROW * k, t, place) for k, t in enumerate(shown)]
    rows.append(Bar(24 + ROW * len(shown), "Sequential", "1.00×", place(1), None, None, "is-baseline"))
    of = "core" if best < main.threads else "worker" if main.cv2_threads == 1 else "thread"
    caption = "Speedup: sequential time over the technique’s time."
    if best > 1.05:
        caption += f" {best:g}× is the ideal for {counted(int(best), of, words=True)}."
    return Bars(
        24 + ROW * len(rows),
        rows,
        mark(place(1), "sequential"),
        mark(place(best), f"ideal {best:g}×") if best > 1.35 else None,
        [mark(place(value), f"{value:g}×") for value in ticks(top)],
        f"Bars of speedup: {'; '.join(map(_said, shown))}; sequential 1. The ideal is {best:g}.",
        caption,
    )


def _bar(y: int, t: TechniqueMeasurement, place: Callable[[float], float]) -> Bar:
    speedup, interval = t.speedup or 0.0, t.speedup_ci95
    shown = times(speedup) + (f" ({times_interval(interval)})" if interval else "")
    ends = [place(end) for end in interval] if interval else [None, None]
    kind = {"faster": "is-faster", "slower": "is-slower"}.get(t.verdict or "", "is-none")
    return Bar(y, t.label, shown, place(speedup), ends[0], ends[1], kind)


def _said(t: TechniqueMeasurement) -> str:
    interval = t.speedup_ci95
    sure = f"interval {interval[0]:.2f} to {interval[1]:.2f}" if interval else "no interval"
    return f"{t.label} {t.speedup:.2f}, {sure}"


def mark(x: float, text: str) -> Mark:
    """A mark whose text does not run out of the picture."""
    return Mark(x, text, "start" if x < 12 else "end" if x > 86 else "middle")


def ticks(top: float, most: int = 5) -> list[float]:
    """Round values from zero on, at most ``most`` steps."""
    raw = top / most
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw)
    return [round(step * k, 10) for k in range(int(top / step) + 1)]
