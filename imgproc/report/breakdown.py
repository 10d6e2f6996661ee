"""Why techniques are as fast as they are: where their time went, and what moving pixels between processes costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.breakdown import PARTS, largest
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.statistics import paired_speedup, verdict
from imgproc.numbers import NBSP
from imgproc.report import formats
from imgproc.report import sentences as words
from imgproc.report.pictures import Micro, micro, rank
from imgproc.runs.record import Record


@dataclass(frozen=True)
class Reason:
    """Where one technique's time went: its parts in seconds, the largest loss, a sentence, and the round's time."""

    t: TechniqueMeasurement
    parts: dict[str, float]
    largest: str | None
    sentence: str
    wall: str

    @property
    def lost(self) -> float:
        """Seconds beyond the ideal."""
        return sum(self.parts.values()) - self.parts["ideal"]

    def cell(self, part: str) -> str:
        return _milliseconds(self.parts.get(part, 0.0), sum(self.parts.values()))


def reasons(record: Record) -> list[Reason]:
    """Why each technique is not as fast as its workers would allow; the run's technique first."""
    found = []
    for t in record.techniques:
        if t.breakdown and t.name != BASELINE and t.speedup is not None:
            part = largest(t.breakdown)
            wall = t.rounds[t.typical_round - 1].wall_seconds
            found.append(Reason(t, t.breakdown, part, words.lost(t, part), _milliseconds(wall, wall)))
    return sorted(found, key=lambda reason: rank(reason.t, record))


def headline(found: Sequence[Reason]) -> tuple[str, str]:
    """What the run's technique lost, and what the one that lost most: as a title and as a paragraph."""
    first, worst = found[0], max(found, key=lambda reason: reason.lost)
    said = f"{first.t.label} lost {formats.start_up(first.lost) if first.lost > 0 else 'nothing'} of the ideal"
    if worst is first:
        return said, first.sentence
    other = worst.sentence if worst.largest != first.largest else worst.sentence.partition(": ")[0].rstrip(".") + "."
    return f"{said}, {words.spoken(worst.t.label)} {formats.start_up(worst.lost)}", f"{first.sentence} {other}"


def parts(found: Sequence[Reason]) -> dict[str, str]:
    """The parts that any of them has, and what each means."""
    return {part: text for part, text in PARTS.items() if any(reason.parts.get(part) for reason in found)}


def _milliseconds(seconds: float, wall: float) -> str:
    """Whole milliseconds, or tenths in short rounds."""
    shown = f"{seconds * 1000:.{0 if wall >= 0.1 else 1}f}"
    shown = shown.lstrip("-") if not float(shown) else shown.replace("-", "−")
    return f"{shown}{NBSP}ms"


#: The ways of moving pixels in the order of the table, and what each means.
WAYS = {
    "paths": "Paths only, workers write",
    "bytes": "Encoded files, caller writes",
    "shared": "Shared memory",
    "arrays": "Pickled arrays, caller writes",
}

#: What is done with pixels in the ways that move them.
WHAT = {
    "bytes": "Files travel to the workers as they are, and results come back as files.",
    "shared": "Pixels in shared memory are copied, but not pickled.",
    "arrays": "The textbook pool sends pixels to its workers, gets them back and writes them itself.",
}


@dataclass(frozen=True)
class Moved:
    """One way of moving pixels: bytes and seconds of the round nearest the median."""

    t: TechniqueMeasurement
    way: str
    bytes: int | None
    seconds: float
    micro: Micro | None
    kind: str


@dataclass(frozen=True)
class Transfers:
    """One technique with several ways. ``loses``: whether the textbook way is measurably slower than the best."""

    title: str
    loses: bool
    sentence: str
    rows: list[Moved]


def moving(t: TechniqueMeasurement) -> tuple[int | None, float]:
    """Bytes moved in the round nearest the median, None where nothing crosses a process border, and the seconds
    that took, summed over all processes."""
    typical = t.rounds[t.typical_round - 1 : t.typical_round]
    return (typical[0].bytes_moved if typical else None), t.stages.get("transfer", 0.0)


def transfers(record: Record) -> list[Transfers]:
    """Every technique that was measured with more than one way of moving pixels."""
    groups: dict[tuple[str, int], list[TechniqueMeasurement]] = defaultdict(list)
    for t in record.techniques:
        if t.transfer and t.median_seconds is not None:
            groups[t.name, t.workers].append(t)
    several = [group for group in groups.values() if len({t.transfer for t in group}) > 1]
    return [_compared(group, explain=group is several[0]) for group in several]


def _compared(group: list[TechniqueMeasurement], *, explain: bool) -> Transfers:
    group = sorted(group, key=lambda t: list(WAYS).index(t.transfer) if t.transfer in WAYS else len(WAYS))
    first, last = group[0], group[-1]
    top = max(max(t.speedup_ci95 or [t.speedup or 0.0]) for t in group)
    rows = [
        Moved(
            t,
            WAYS.get(t.transfer or "", t.transfer or ""),
            *moving(t),
            micro(t.speedup, t.speedup_ci95, first.threads, t.verdict or "none", width=110, top=top),
            {"faster": "is-faster", "slower": "is-slower"}.get(t.verdict or "", "is-level"),
        )
        for t in group
    ]
    ratio, said = _slower(first, last)
    label = TECHNIQUES[first.name].label if first.name in TECHNIQUES else first.label
    sentence = _sentence(rows[-1], ratio, said)
    if explain:
        sentence = f"{WHAT.get(last.transfer or '', '')} {sentence}".strip()
    else:
        sentence = f"With {words.spoken(label)}, {sentence[0].lower()}{sentence[1:]}"
    return Transfers(
        f"{label}, {formats.counted(first.workers, 'worker', words=True)}",
        said == "faster" and last.transfer == "arrays",
        sentence,
        rows,
    )


@dataclass(frozen=True)
class Scope:
    """One technique in both scopes: ``alone``, what it takes to do the operations with the pixels where it works."""

    t: TechniqueMeasurement
    alone: float


@dataclass(frozen=True)
class Scopes:
    """The techniques with a GPU and the baseline, in both scopes, over ``images`` images for the operations alone."""

    title: str
    sentence: str
    images: int
    rows: list[Scope]


def scopes(record: Record) -> Scopes | None:
    """The operations alone and the whole job, where a GPU took part."""
    rows = [Scope(t, sum(t.operations_seconds.values())) for t in record.techniques if t.operations_seconds]
    fast = [row for row in rows if row.t.operations_speedup and row.t.speedup]
    base = next((row.t for row in rows if row.t.name == BASELINE), None)
    if not fast or base is None or base.median_seconds is None:
        return None
    best = max(fast, key=lambda row: row.t.operations_speedup or 0.0)
    alone, whole = best.t.operations_speedup or 0.0, best.t.speedup or 0.0
    work = sum(base.stages.get(name, 0.0) for name in base.operations_seconds)
    share = formats.percent(work / base.median_seconds)
    who = words.spoken(best.t.label)
    title = f"A GPU does the operations {_times(alone)} as fast, the whole job {_times(whole)}"
    if alone < 1:
        title = "Here a GPU is slower than one thread of the CPU"
        sentence = f"With {who} even the operations alone take longer: images this small do not fill a GPU."
    else:
        sentence = (
            f"With the pixels on the GPU, {who} does the operations alone {_times(alone)} as fast as one thread of the "
            f"CPU. But in the baseline they are only {share} of the time: reading, decoding, encoding and writing stay "
            "on the CPU, and pixels have to travel."
        )
    return Scopes(title, sentence, len(base.operations_images), sorted(rows, key=lambda row: row.t is base))


def _times(value: float) -> str:
    return f"{value:.3g}{NBSP}times"


def _slower(first: TechniqueMeasurement, last: TechniqueMeasurement) -> tuple[float, str | None]:
    """How many times as long the last one takes, and whether that makes the first one measurably faster."""
    walls = [[r.wall_seconds for r in t.rounds] for t in (last, first)]
    if len(walls[0]) != len(walls[1]):
        return (last.median_seconds or 0.0) / (first.median_seconds or 1.0), None
    ratio, interval = paired_speedup(*walls)
    return ratio, verdict(interval)


def _sentence(last: Moved, ratio: float, said: str | None) -> str:
    """What the last way costs against the first."""
    moved = f"Moving {formats.size(last.bytes)} a round" if last.bytes is not None else "Moving them"
    times = f"{ratio:.2f}{NBSP}times as long as with paths only"
    if said is None:
        return f"{moved} took {times}, but too few rounds were timed to be sure."
    if said == "no measurable difference":
        return f"{moved} makes no measurable difference here."
    if said == "slower":
        return f"{moved} does no harm here: a round takes {times}."
    if last.t.verdict == "slower":
        workers = formats.counted(last.t.workers, "worker", words=True)
        return f"{moved} costs more than {workers} save: a round takes {times}, longer than sequentially."
    return f"{moved} has its price: a round takes {times}."
