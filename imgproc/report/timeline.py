"""The worker timeline of a run's page: any round of any technique, as geometry in percent and as numbers."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.breakdown import CALLER
from imgproc.measure.results import SpanRecord, TechniqueMeasurement
from imgproc.measure.tails import imbalance
from imgproc.numbers import counted, seconds
from imgproc.operations import OPERATIONS
from imgproc.report.pictures import rank
from imgproc.runs.record import Record

#: More blocks than this would make a slow page; the timeline then shows the beginning of the round.
MAX_BLOCKS = 2_000
#: Pixels from one lane to the next.
LANE = 34
#: A caller that works for less than this share of the round, such as one that only sends paths, has no lane.
LEAST_CALLER = 0.01
#: What stands in the address for every technique.
ALL = "all"

Choice = tuple[str, str, bool]


@dataclass(frozen=True)
class StageBlock:
    """One stage: ``x`` and ``width`` in percent."""

    stage: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Lane:
    """One worker: its blocks, where each image begins, and the numbers of the images below."""

    y: int
    width: float
    blocks: list[StageBlock]
    edges: list[float]
    numbers: list[tuple[float, int]]


@dataclass(frozen=True)
class TechniqueLanes:
    """One technique; ``caller`` is the lane of the caller's own process, where it worked for the others. ``shares``:
    by which schedule its workers got their tasks, and how even that was."""

    label: str
    time: str
    shares: str
    height: int
    lanes: list[Lane]
    caller: Lane | None
    sentence: str


@dataclass(frozen=True)
class WorkerShare:
    """One worker in numbers; times in seconds."""

    who: str
    images: int
    busy: float
    waiting: float
    share: float


@dataclass(frozen=True)
class Timeline:
    """``which`` ends the heading; ``rounds`` and ``techniques`` are what can be shown, as value, text and whether
    it is; none where that is no choice.
    ``fills``: the colours of operations, on light and on dark ground, as CSS has them. ``ticks``: of the axis, each
    its place in percent of the width and its text."""

    which: str
    shown: list[TechniqueLanes]
    ticks: list[tuple[float, str]]
    stages: list[str]
    fills: dict[str, str]
    workers: list[WorkerShare]
    rounds: list[Choice]
    techniques: list[Choice]
    notes: list[str]


@dataclass(frozen=True)
class ShownRound:
    """One pass of one technique."""

    technique: TechniqueMeasurement
    number: int
    spans: list[SpanRecord]
    wall: float

    @classmethod
    def of(cls, technique: TechniqueMeasurement, number: int) -> ShownRound:
        """That round, or the one nearest the median where it was not kept or the number is 0."""
        spans = [span for span in technique.spans if span.round == number]
        if not spans:
            number = technique.typical_round
            spans = [span for span in technique.spans if span.round == number]
        end = max((span.end for span in spans), default=0.0)
        counted = technique.rounds[number - 1 : number]
        return cls(technique, number, spans, max(end, counted[0].wall_seconds) if counted else end)

    @property
    def lanes(self) -> dict[int, list[SpanRecord]]:
        """The spans of every worker, also of those that got nothing, and of the caller if it worked."""
        found: dict[int, list[SpanRecord]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda span: span.start):
            found[span.worker].append(span)
        last = max(self.technique.workers, *found) if found else self.technique.workers
        return {n: found[n] for n in range(CALLER, last + 1) if n != CALLER or found.get(CALLER)}


def timeline(record: Record, round: str = "", techniques: str = "") -> Timeline | None:
    """What each worker did in one round; None where nothing was recorded.

    Args:
        round: its number as it stands in the address. What is none that was kept stands for the one nearest the
            median, of each technique its own.
        techniques: the slug of a label, or ``all``; anything else is the run's technique, one with worker
            processes, and the baseline.
    """
    every = _recorded(record)
    if not every:
        return None
    kept = _kept(every)
    number, usual, chosen = _asked(record, every, round, techniques)
    rounds = [("", "round nearest the median"), *((str(n), f"round {n}") for n in kept)] if len(kept) > 1 else []
    return _drawn(
        record,
        shown_rounds(record, round, techniques),
        number,
        [(value, text, value == str(number or "")) for value, text in rounds],
        [(value, text, value == chosen) for value, text in _texts(record, every, usual)],
    )


def shown_rounds(record: Record, round: str = "", techniques: str = "") -> list[ShownRound]:
    """The passes that ``timeline`` shows of the same values of an address; none where nothing was recorded."""
    every = _recorded(record)
    if not every:
        return []
    number, usual, chosen = _asked(record, every, round, techniques)
    named = {slug(t.label): [t] for t in every}
    return [ShownRound.of(t, number) for t in {"": usual, ALL: every, **named}[chosen]]


def _recorded(record: Record) -> list[TechniqueMeasurement]:
    """Those of which there are spans, in the order of the page."""
    every = [t for t in record.measurements if any(s.round == t.typical_round for s in t.spans)]
    return sorted(every, key=lambda t: rank(t, record))


def _kept(every: Sequence[TechniqueMeasurement]) -> list[int]:
    return sorted({span.round for t in every for span in t.spans})


def _asked(
    record: Record, every: Sequence[TechniqueMeasurement], round: str, techniques: str
) -> tuple[int, list[TechniqueMeasurement], str]:
    """The round, 0 for the one nearest the median; those shown unless told otherwise; and which are, as it stands in
    the address."""
    number = int(round) if round.isdecimal() and len(round) < 6 and int(round) in _kept(every) else 0
    usual = _usual(every, record.technique)
    known = {slug(t.label) for t in every} | ({ALL} if len(usual) < len(every) else set())
    return number, usual, techniques if techniques in known else ""


def slug(label: str) -> str:
    """A label as it stands in an address: futures-threads, opencvs-own-threads."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower().replace("’", "")).strip("-")


def _usual(every: Sequence[TechniqueMeasurement], main: TechniqueMeasurement | None) -> list[TechniqueMeasurement]:
    """The run's technique, one with processes if that is none, and the baseline."""
    first = [t for t in every if t is main]
    processes = [t for t in every if t.start_method and t.copies == 1 and t.point is None]
    if not any(t.start_method for t in first):
        first += processes[:1]
    first += [t for t in every if t.name == BASELINE and t.point is None and t not in first]
    return [t for t in every if t in first] or list(every)


def _texts(
    record: Record, every: Sequence[TechniqueMeasurement], usual: Sequence[TechniqueMeasurement]
) -> list[tuple[str, str]]:
    """Which techniques can be shown, value and text; none where there is nothing to choose."""
    single = [(slug(t.label), t.label) for t in every]
    if len(usual) == len(every):
        return [("", "both" if len(every) == 2 else "all"), *single] if len(every) > 1 else []
    main = record.technique
    best = "best" if main is None or record.mode in ("compare", "scale") else main.label
    roles = ["sequential" if t.name == BASELINE else best if t is main else "processes" for t in usual]
    return [("", ", ".join(roles)), (ALL, f"all {counted(len(every), 'technique', words=True)}"), *single]


def _drawn(
    record: Record, passes: Sequence[ShownRound], number: int, rounds: list[Choice], techniques: list[Choice]
) -> Timeline:
    longest = max(done.wall for done in passes)
    ends = sorted(span.end for done in passes for span in done.spans)
    until = ends[MAX_BLOCKS - 1] if len(ends) > MAX_BLOCKS else longest
    scale = _Scale(record, until)
    used = {span.stage for done in passes for span in done.spans}
    looks = {name: OPERATIONS[name].look for name in record.settings.operations if name in OPERATIONS}
    order = ["read", "decode", *looks, "h2d", "kernel", "d2h", "call", "merge", "encode", "write", "transfer", "wait"]
    notes = [f"The first {seconds(until)} of {seconds(longest)}."] if until < longest else []
    if number and (lost := [done.technique.label for done in passes if done.number != number]):
        notes.append(f"Of {' and '.join(lost)} only the round nearest the median was kept.")
    return Timeline(
        f", round {number}" if number else " in the round nearest the median" if rounds else "",
        [scale.technique(done, say=done.number != number) for done in passes],
        scale.axis(),
        [stage for stage in order if stage in used] + sorted(used - set(order)),
        {name: f"light-dark({look.light}, {look.dark})" for name, look in looks.items()},
        [share for done in passes for share in _shares(done)],
        rounds,
        techniques,
        notes,
    )


def worker_name(technique: TechniqueMeasurement, number: int, host: str | None) -> str:
    """What a lane is called: worker 2, thread 1, caller."""
    if number == CALLER:
        return "caller"
    row = TECHNIQUES.get(technique.name)
    # OpenCV's own threads, say, are all in one worker.
    unit = row.unit if row and technique.workers > 1 else "worker"
    return f"{unit} {number} on {host}" if host else f"{unit} {number}"


def _shares(done: ShownRound) -> list[WorkerShare]:
    found = []
    for number, lane in done.lanes.items():
        busy = min(done.wall, sum(span.end - span.start for span in lane if span.stage != "wait"))
        host = lane[0].host if lane else None
        who = f"{done.technique.label}, {worker_name(done.technique, number, host)}"
        images = len({s.image for s in lane})
        found.append(WorkerShare(who, images, busy, done.wall - busy, busy / done.wall if done.wall else 0.0))
    return sorted(found, key=lambda share: share.who.endswith(", caller"))


class Names:
    """What the images or items of a run are called."""

    def __init__(self, record: Record) -> None:
        self.every = max(1, record.task.items if record.task else len(record.images))
        self.unit = record.unit
        self.names = {image.index: image.name for image in record.images}

    def number(self, image: int) -> int:
        """Its place in the run: in weak scaling there are several copies of each image, numbered on."""
        return image % self.every

    def of(self, span: SpanRecord) -> str:
        """The image or item of a stage, and which strip of it."""
        number = self.number(span.image)
        strip = "" if span.part is None else f", strip {span.part + 1}"
        return f"{self.names.get(number, f'{self.unit} {number + 1}')}{strip}"


class _Scale:
    """Places of times in percent of the width, which stands for ``top`` seconds; shown are those up to ``until``."""

    def __init__(self, record: Record, until: float) -> None:
        self.until, self.top = until, until * 1.06
        self.unit, self.names = record.unit, Names(record)

    def place(self, seconds: float) -> float:
        return round(seconds / self.top * 100, 2)

    def axis(self) -> list[tuple[float, str]]:
        """Round values from zero on, at most six steps."""
        power = 10.0 ** math.floor(math.log10(self.top / 6)) if self.top > 0 else 1.0
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= self.top / 6)
        places = max(0, -math.floor(math.log10(step)))
        return [(self.place(step * k), f"{step * k:.{places}f}") for k in range(int(self.top / step) + 1)]

    def technique(self, done: ShownRound, *, say: bool) -> TechniqueLanes:
        """One pass; ``say`` its round's number beside its time."""
        wide = self.place(min(done.wall, self.until))
        spans = done.lanes
        own = spans.pop(CALLER, [])
        if sum(span.end - span.start for span in own) < LEAST_CALLER * done.wall:
            own = []
        lanes = [self._lane(done.technique, 1 + LANE * row, wide, seen) for row, seen in enumerate(spans.values())]
        time = seconds(done.wall)
        images = counted(len({span.image for span in done.spans}), self.unit)
        workers = counted(len(lanes), "worker") + (" and the caller" if own else "")
        uneven = imbalance(done.spans, done.technique.workers)
        shares = ", ".join(
            filter(None, [done.technique.schedule, f"load imbalance {uneven:.2f}" if uneven is not None else ""])
        )
        return TechniqueLanes(
            done.technique.label,
            f"{time}, round {done.number}" if say and len(done.technique.rounds) > 1 else time,
            shares,
            LANE * len(lanes) + 2,
            lanes,
            self._lane(done.technique, 1, wide, own) if own else None,
            f"{done.technique.label}: {workers}, {time} for {images}{', ' if shares else ''}{shares}; "
            "the numbers are in the table below",
        )

    def _lane(self, technique: TechniqueMeasurement, y: int, wide: float, spans: Sequence[SpanRecord]) -> Lane:
        seen = [span for span in spans if span.end <= self.until]
        blocks = [
            StageBlock(
                span.stage,
                self.place(span.start),
                max(0.05, self.place(span.end - span.start)),
                f"{self.names.of(span)}, {span.stage}, {seconds(span.end - span.start)}, "
                f"{worker_name(technique, span.worker, span.host)}",
            )
            for span in seen
        ]
        # One after the other; the caller comes back to an image when its worker is done.
        of_image = [(image, list(of)) for image, of in groupby(seen, key=lambda span: span.image)]
        places = [(image, of[0].start, max(span.end for span in of)) for image, of in of_image]
        return Lane(
            y,
            wide,
            blocks,
            [self.place(start) for _, start, _ in places],
            [
                (self.place((start + end) / 2), self.names.number(image) + 1)
                for image, start, end in places
                if (end - start) / self.top > 0.016  # a number wider than its block would run into the next one
            ],
        )
