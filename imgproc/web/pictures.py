"""Geometry of the inline pictures. Places are pixels in the small marks and percent of the width in the wide ones,
which have no viewBox, so that their text never scales."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from imgproc.backends import BASELINE
from imgproc.measure.results import SpanRecord, TechniqueMeasurement
from imgproc.runs.charts import ideal
from imgproc.runs.record import Record
from imgproc.web import formats

#: More blocks than this would make a slow page; the timeline then shows the beginning of the round.
MAX_BLOCKS = 2_000


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
) -> Micro | None:
    """None where there is no speedup to draw."""
    if speedup is None:
        return None
    low, high = interval or (speedup, speedup)
    top = max(ideal, high, speedup, 1.2)

    def place(value: float) -> float:
        return round(0.5 + value / top * (width - 9), 1)

    verdict = verdict or ("faster" if low > 1 else "slower" if high < 1 else "none")
    kind = {"faster": "is-faster", "slower": "is-slower"}.get(verdict, "is-none")
    return Micro(width, place(1), place(ideal) if ideal > 1.05 else None, place(low), place(high), place(speedup), kind)


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
    """A bar per technique, the fastest first; None where no speedup was measured."""
    main = record.technique
    shown = [t for t in record.techniques if t.speedup is not None and t.name != BASELINE]
    if main is None or not shown:
        return None
    shown.sort(key=lambda t: -(t.speedup or 0.0))
    best = max(ideal(t, record) for t in shown)
    top = max(best, 1.0, *(max(t.speedup or 0.0, *(t.speedup_ci95 or [0.0])) for t in shown)) * 1.04

    def place(value: float) -> float:
        return round(value / top * 100, 2)

    rows = [_bar(24 + ROW * k, t, place) for k, t in enumerate(shown)]
    rows.append(Bar(24 + ROW * len(shown), "Sequential", "1.00×", place(1), None, None, "is-baseline"))
    of = "core" if best < main.threads else "worker" if main.cv2_threads == 1 else "thread"
    caption = "Speedup: sequential time over the technique’s time."
    if best > 1.05:
        caption += f" {best:g}× is the ideal for {formats.counted(int(best), of, words=True)}."
    return Bars(
        24 + ROW * len(rows),
        rows,
        _mark(place(1), "sequential"),
        _mark(place(best), f"ideal {best:g}×") if best > 1.35 else None,
        [_mark(place(value), f"{value:g}×") for value in _ticks(top)],
        f"Bars of speedup: {'; '.join(map(_said, shown))}; sequential 1. The ideal is {best:g}.",
        caption,
    )


def _bar(y: int, t: TechniqueMeasurement, place: Callable[[float], float]) -> Bar:
    speedup, interval = t.speedup or 0.0, t.speedup_ci95
    shown = formats.times(speedup) + (f" ({formats.times_interval(interval)})" if interval else "")
    ends = [place(end) for end in interval] if interval else [None, None]
    kind = {"faster": "is-faster", "slower": "is-slower"}.get(t.verdict or "", "is-none")
    return Bar(y, t.label, shown, place(speedup), ends[0], ends[1], kind)


def _said(t: TechniqueMeasurement) -> str:
    interval = t.speedup_ci95
    sure = f"interval {interval[0]:.2f} to {interval[1]:.2f}" if interval else "no interval"
    return f"{t.label} {t.speedup:.2f}, {sure}"


def _mark(x: float, text: str) -> Mark:
    return Mark(x, text, "start" if x < 12 else "end" if x > 86 else "middle")


def _ticks(top: float, most: int = 5) -> list[float]:
    """Round values from zero on, at most ``most`` steps."""
    raw = top / most
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw)
    return [round(step * k, 10) for k in range(int(top / step) + 1)]


@dataclass(frozen=True)
class Block:
    stage: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Lane:
    """One worker: its blocks, where each image begins, and the numbers below."""

    y: int
    width: float
    blocks: list[Block]
    edges: list[float]
    numbers: list[tuple[float, int]]


@dataclass(frozen=True)
class Strand:
    """One technique in the timeline."""

    label: str
    time: str
    height: int
    lanes: list[Lane]
    sentence: str


@dataclass(frozen=True)
class Timeline:
    strands: list[Strand]
    ticks: list[Mark]
    stages: list[str]
    note: str = ""
    waits: bool = field(default=True)


LANE = 34


def timeline(record: Record) -> Timeline | None:
    """What each worker did in the round nearest the median; None where nothing was recorded."""
    shown = [t for t in record.techniques if t.spans]
    if not shown:
        return None
    rounds = {t.name: [span for span in t.spans if span.round == t.typical_round] for t in shown}
    longest = max(span.end for spans in rounds.values() for span in spans)
    until = min(_cut(spans, MAX_BLOCKS // len(shown), longest) for spans in rounds.values())
    top = until * 1.06
    names = {image.index: image.name for image in record.images}
    main = record.technique
    shown.sort(key=lambda t: (t is not main, t.median_seconds or 0.0))
    used = {span.stage for spans in rounds.values() for span in spans}
    order = ["read", "decode", *record.settings.operations, "encode", "write", "transfer", "wait"]
    stages = [stage for stage in order if stage in used] + sorted(used - set(order))
    return Timeline(
        [_strand(t, rounds[t.name], names, until, top) for t in shown],
        [_mark(round(value / top * 100, 2), f"{value:g}") for value in _ticks(top, 6)],
        stages,
        f"The first {formats.seconds(until)} of {formats.seconds(longest)}." if until < longest else "",
    )


def _cut(spans: Sequence[SpanRecord], most: int, longest: float) -> float:
    if len(spans) <= most:
        return longest
    return sorted(span.end for span in spans)[most - 1]


def _strand(
    technique: TechniqueMeasurement, spans: Sequence[SpanRecord], names: dict[int, str], until: float, top: float
) -> Strand:
    by_worker: dict[int, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        by_worker[span.worker].append(span)
    end = max(span.end for span in spans)
    wide = round(min(end, until) / top * 100, 2)
    lanes = []
    for row, worker in enumerate(sorted(by_worker)):
        seen = sorted((s for s in by_worker[worker] if s.end <= until), key=lambda s: s.start)
        lanes.append(_lane(1 + LANE * row, wide, seen, names, top))
    counted = technique.rounds[technique.typical_round - 1 : technique.typical_round]
    time = formats.seconds(counted[0].wall_seconds if counted else end)
    done = formats.counted(len({span.image for span in spans}), "image")
    workers = formats.counted(len(by_worker), "worker")
    return Strand(
        technique.label, time, LANE * len(lanes) + 2, lanes, f"{technique.label}: {workers}, {time} for {done}"
    )


def _lane(y: int, wide: float, spans: Sequence[SpanRecord], names: dict[int, str], top: float) -> Lane:
    blocks = [
        Block(
            span.stage,
            round(span.start / top * 100, 2),
            max(0.05, round((span.end - span.start) / top * 100, 2)),
            f"{names.get(span.image, f'image {span.image + 1}')}, {span.stage}, "
            f"{formats.start_up(span.end - span.start)}, worker {span.worker}",
        )
        for span in spans
    ]
    of_image: dict[int, tuple[float, float]] = {}
    for span in spans:
        start, end = of_image.get(span.image, (span.start, span.end))
        of_image[span.image] = min(start, span.start), max(end, span.end)
    edges = [round(start / top * 100, 2) for start, _ in of_image.values()]
    numbers = [
        (round((start + end) / 2 / top * 100, 2), image + 1)
        for image, (start, end) in of_image.items()
        if (end - start) / top > 0.016  # a number wider than its block would run into the next one
    ]
    return Lane(y, wide, blocks, edges, numbers)
