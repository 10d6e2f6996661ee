"""What kept techniques from being faster: where their time went, and what moving pixels between processes costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.alarms import BUSY_MACHINE
from imgproc.measure.breakdown import PARTS
from imgproc.measure.findings import Loss, Pair
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import NBSP, counted, milliseconds, percent, seconds, size, spelled_times
from imgproc.report import sentences
from imgproc.report.bounds import bounds
from imgproc.report.pictures import Micro, micro, rank
from imgproc.runs.record import Record


@dataclass(frozen=True)
class Cost:
    """Where one technique's time went: what it lost, and the parts and the time of its round as a table shows them."""

    t: TechniqueMeasurement
    loss: Loss

    def shown(self, seconds: float | None) -> str:
        """Whole milliseconds, or tenths in short rounds."""
        return milliseconds(seconds or 0.0, 0 if sum(self.t.breakdown.values()) >= 0.1 else 1)


def costs(record: Record) -> dict[str, Any]:
    """All that the page says of them, by its names there."""
    found, meaning = losses(record), meanings(record)
    return {
        "costs": found,
        "lost": headline(found, meaning) if found else None,
        "parts": parts(found, meaning),
        "tails": tails(record),
        "bounds": bounds(record),
        "transfers": transfers(record),
        "scopes": scopes(record),
    }


def losses(record: Record) -> list[Cost]:
    """Why each technique is not as fast as its workers would allow; the run's technique first."""
    of_label = {t.label: t for t in record.techniques}
    found = [Cost(of_label[loss.technique], loss) for loss in record.found.losses]
    return sorted(found, key=lambda cost: rank(cost.t, record))


def headline(found: Sequence[Cost], meaning: Mapping[str, str] = PARTS) -> tuple[str, str]:
    """What the run's technique lost, and what the one that lost most: as a title and as a paragraph."""
    first, worst = found[0], max(found, key=lambda cost: cost.loss.seconds)
    title, text = f"{first.t.label} {_against_ideal(first)}", _lost(first, meaning)
    if worst is first or worst.loss.seconds <= 0:
        return title, text
    other = _lost(worst, meaning)
    if worst.loss.part == first.loss.part:  # what that means is said already
        other = other.partition(": ")[0].rstrip(".") + "."
    did = "took " if first.loss.seconds <= 0 else ""
    more = " more" if did else ""
    return f"{title}, {sentences.spoken(worst.t.label)} {did}{seconds(worst.loss.seconds)}{more}", f"{text} {other}"


def _against_ideal(cost: Cost) -> str:
    return f"took {seconds(cost.loss.seconds)} more than the ideal" if cost.loss.seconds > 0 else "reached the ideal"


def tails(record: Record) -> str:
    """What single images take with the run's technique, and how short its round could have been; empty where it is not
    known."""
    t, what = record.technique, record.unit
    found, typical = (t.tails, t.typical) if t else (None, None)
    if t is None or found is None or typical is None:
        return ""
    workers = counted(t.workers, "worker", words=True)
    said = (
        f"Half of the {what}s take at most {seconds(found.p50_seconds)} each with {sentences.spoken(t.label)}, "
        f"95{NBSP}% at most {seconds(found.p95_seconds)}, the slowest {seconds(found.slowest_seconds)}. The last was "
        f"done {seconds(found.last_after_seconds)} after the one before it."
    )
    bound = f"{seconds(found.makespan_bound_seconds)}, and this round took {seconds(typical.wall_seconds)}"
    said += f" In no order could {workers} have done the same work in less than {bound}."
    if t.imbalance is not None:
        balance = spelled_times(t.imbalance)
        said += f" Load imbalance: the busiest worker was at work {balance} as long as the mean of all."
    return said


def _lost(cost: Cost, meaning: Mapping[str, str]) -> str:
    t, lost, part = cost.t, cost.loss.seconds, cost.loss.part
    if part is None or lost <= 0:
        return f"{t.label} {_against_ideal(cost)}."
    most = "most of it " if t.breakdown[part] < 0.9 * lost else ""
    return f"{t.label} {_against_ideal(cost)}, {most}through {part}: {meaning[part]}."


def meanings(record: Record) -> dict[str, str]:
    """What each part means here; of calls of Python functions contention is the GIL as well. Where other programs were
    at work, nobody can tell from stages that took longer what kept them."""
    if any(alarm.name == BUSY_MACHINE for alarm in record.alarms):
        return {**PARTS, "contention": _CONTENTION_BESIDE_OTHERS}
    return {**PARTS, "contention": _CONTENTION_OF_CALLS} if record.task else PARTS


_CONTENTION_BESIDE_OTHERS = (
    "stages that took longer than the baseline’s, probably because other programs were at work as well"
)
_CONTENTION_OF_CALLS = (
    "calls that took longer than the baseline’s, because workers share caches and memory, and threads the GIL"
)


def parts(found: Sequence[Cost], meaning: Mapping[str, str] = PARTS) -> dict[str, str]:
    """The parts that any of them has, and what each means."""
    return {part: text for part, text in meaning.items() if any(cost.t.breakdown.get(part) for cost in found)}


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
class TransferCost:
    """One way of moving pixels."""

    t: TechniqueMeasurement
    way: str
    micro: Micro | None


@dataclass(frozen=True)
class Transfers:
    """One technique with several ways. ``loses``: whether the textbook way is measurably slower than the best."""

    title: str
    loses: bool
    sentence: str
    rows: list[TransferCost]


def transfers(record: Record) -> list[Transfers]:
    """Every technique that was measured with more than one way of moving pixels."""
    groups: dict[tuple[str, int], list[TechniqueMeasurement]] = defaultdict(list)
    for t in record.techniques:
        if t.transfer and t.median_seconds is not None:
            groups[t.name, t.workers].append(t)
    several = [group for group in groups.values() if len({t.transfer for t in group}) > 1]
    return [_compared(record, group, explain=group is several[0]) for group in several]


def _compared(record: Record, group: list[TechniqueMeasurement], *, explain: bool) -> Transfers:
    group = sorted(group, key=lambda t: list(WAYS).index(t.transfer) if t.transfer in WAYS else len(WAYS))
    first, last = group[0], group[-1]
    top = max(max(t.speedup_ci95 or [t.speedup or 0.0]) for t in group)
    rows = [
        TransferCost(
            t,
            WAYS.get(t.transfer or "", t.transfer or ""),
            micro(t.speedup, t.speedup_ci95, first.threads, t.verdict, width=110, top=top),
        )
        for t in group
    ]
    pair = record.found.versus(first.label, last.label)
    label = TECHNIQUES[first.name].label if first.name in TECHNIQUES else first.label
    sentence = _sentence(last, pair)
    if explain:
        sentence = f"{WHAT.get(last.transfer or '', '')} {sentence}".strip()
    else:
        sentence = f"With {sentences.spoken(label)}, {sentence[0].lower()}{sentence[1:]}"
    return Transfers(
        f"{label}, {counted(first.workers, 'worker', words=True)}",
        pair.verdict == "faster" and last.transfer == "arrays",
        sentence,
        rows,
    )


@dataclass(frozen=True)
class Scopes:
    """The techniques with a GPU and the baseline, in both scopes, over ``images`` images for the operations alone."""

    title: str
    sentence: str
    images: int
    rows: list[TechniqueMeasurement]


def scopes(record: Record) -> Scopes | None:
    """The operations alone and the whole job, where a GPU took part."""
    rows = [t for t in record.techniques if t.operations_seconds]
    fast = [t for t in rows if t.operations_speedup and t.speedup]
    base = next((t for t in rows if t.name == BASELINE), None)
    if not fast or base is None or base.median_seconds is None:
        return None
    best = max(fast, key=lambda t: t.operations_speedup or 0.0)
    alone, whole = best.operations_speedup or 0.0, best.speedup or 0.0
    share, who = percent(base.operations_share), sentences.spoken(best.label)
    title = f"A GPU does the operations {spelled_times(alone)} as fast, the whole job {spelled_times(whole)}"
    if alone < 1:
        title = "Here a GPU is slower than one thread of the CPU"
        sentence = f"With {who} even the operations alone take longer: images this small do not fill a GPU."
    else:
        sentence = (
            f"With the pixels on the GPU, {who} does the operations alone {spelled_times(alone)} as fast as one thread "
            f"of the CPU. But in the baseline they are only {share} of the time: reading, decoding, encoding and "
            "writing stay on the CPU, and pixels have to travel."
        )
    return Scopes(title, sentence, len(base.operations_images), sorted(rows, key=lambda t: t is base))


def _sentence(last: TechniqueMeasurement, pair: Pair) -> str:
    """What the last way costs against the first."""
    said, count = pair.verdict, last.typical.bytes_moved if last.typical else None
    moved = "Moving them" if count is None else f"Moving {size(count)} a round"
    times = f"{spelled_times(pair.speedup or 1.0)} as long as with paths only"
    if said is None:
        return f"{moved} took {times}, but too few rounds were timed to be sure."
    if said in LEVEL:
        return f"{moved} makes {said} here."
    if said == "slower":
        return f"{moved} does no harm here: a round takes {times}."
    if last.verdict == "slower":
        workers = counted(last.workers, "worker", words=True)
        return f"{moved} costs more than {workers} save: a round takes {times}, longer than sequentially."
    return f"{moved} has its price: a round takes {times}."
