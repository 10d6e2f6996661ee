"""What a run over more and more work found, in sentences and rows: from where on parallel work pays, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgproc.backends import TECHNIQUES
from imgproc.measure.breakdown import PARTS, largest
from imgproc.measure.granularity import Amount, Granularity, Growth, Isoefficiency, Threshold, fastest, size_of
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import (
    NBSP,
    counted,
    exact_percent,
    listed,
    megapixels,
    number,
    percent,
    seconds,
    spelled_times,
    times_interval,
)
from imgproc.report.scale import left_out, many, unit
from imgproc.runs.record import Record

#: Of a start-up, the share of the smallest round below which it is said to be nothing.
_NO_STARTUP = 0.01
#: From how many on a number is written out to the last digit.
_MANY = 100
#: So many numbers of workers tell how work has to grow with them.
_ENOUGH = 3
#: What the rows of the table are.
_WHAT = {"images": "Batch", "megapixels": "Size of each image", "task": "Handed over"}


@dataclass(frozen=True)
class Needs:
    """A row of the table of isoefficiency: so many workers, how much they need, the most that was surely too little
    for them, and what the efficiency is with both, with its interval."""

    workers: str
    reached: str
    reached_efficiency: str
    missed: str
    missed_efficiency: str


@dataclass(frozen=True)
class Section:
    """``headline`` says from where on it pays; ``startup``, ``efficiency``, ``length`` and ``why`` are sentences about
    that, and ``notes`` about how the amounts were made. ``best``: the amount from which on it pays; None where none
    is."""

    who: str
    what: str
    headline: str
    startup: str
    efficiency: str
    length: str
    why: str
    notes: list[str]
    rows: list[tuple[str, str, Amount]]
    best: Amount | None
    left_out: list[str]
    needs: list[Needs]
    growth: str


def section(record: Record, meaning: Mapping[str, str] = PARTS) -> Section | None:
    """None of any other run, and where nothing was measured.

    Args:
        meaning: what the parts of a round's time mean here, see ``costs.meanings``.
    """
    found = record.granularity
    if found is None or not found.amounts:
        return None
    others = [t for t in record.techniques if t.name == found.technique and t.threads != found.workers]
    return Section(
        who(found),
        _WHAT.get(found.over, found.over),
        headline(found),
        with_startup(found),
        efficiency(found),
        length(found),
        why(record, meaning),
        notes(found),
        [(*row(found, a), a) for a in found.amounts],
        next((a for a in found.amounts if a.size == found.pays.reached), None),
        left_out((*others, *record.points), ()),
        needs(found),
        growth(found, record.environment.get("cores_usable")),
    )


def who(found: Granularity) -> str:
    """Threads, 2 workers; two of OpenCV’s own threads."""
    label = TECHNIQUES[found.technique].label if found.technique in TECHNIQUES else found.technique
    return f"{label}, {counted(found.workers, unit(found.technique))}"


def amount(found: Granularity, size: float) -> str:
    """How an amount is called in a sentence: 8 images, 0.5 megapixels an image, 8 items at a time."""
    if found.over == "task":
        return f"{counted(int(size), found.unit)} at a time"
    if found.over == "images":
        return counted(int(size), "image")
    return f"{size:g} megapixel{'' if size == 1 else 's'} an image"


def row(found: Granularity, of: Amount) -> tuple[str, str]:
    """How it is called in a table, and what more there is to it."""
    cut = f", {number(of.split)} in strips" if of.split else ""
    if found.over == "task":
        work = _work(of, of.size)
        return f"{of.size:g} at a time", (f"{seconds(work)} of work" if work is not None else "") + cut
    if found.over == "images":
        return counted(of.images, "image"), f"{megapixels(of.megapixels)} megapixels{cut}"
    return f"{of.size:g} megapixel{'' if of.size == 1 else 's'}", f"{counted(of.images, 'image')}{cut}"


def span(found: Granularity) -> str:
    """What was measured: 1 to 16 images."""
    first, last = found.amounts[0].size, found.amounts[-1].size
    return amount(found, last) if first == last else f"{first:g} to {amount(found, last)}"


# ---------------------------------------------------------------- from where on


def headline(found: Granularity) -> str:
    """From which amount on it pays, the workers being ready."""
    if (unknown := _unknown(found)) or not found.amounts:
        return unknown
    return f"Parallel work {pays(found, found.pays)}."


def _unknown(found: Granularity) -> str:
    """Why nothing can be told; empty where something can."""
    if all(a.speedup is None for a in found.amounts):
        return "No speedup can be shown: sequential was not measured, or the pixels differ from its own."
    if not any(a.speedup_ci95 for a in found.amounts):
        return "Too few rounds to tell from how much work on it pays; give it more time."
    return ""


def pays(found: Granularity, threshold: Threshold) -> str:
    """What follows “it”: pays from between 2 and 8 images on, does not pay …"""
    first, missed, reached = found.amounts[0].size, threshold.missed, threshold.reached
    if reached is None:
        surely = missed == found.amounts[-1].size
        return f"does not {'' if surely else 'measurably '}pay within what was measured, {span(found)}"
    if reached == first:
        return f"pays from {amount(found, reached)} on, the least that was measured"
    if missed is None:
        return f"pays from {amount(found, reached)} on at the latest; for less the rounds do not tell"
    return f"pays from between {missed:g} and {amount(found, reached)} on"


def with_startup(found: Granularity) -> str:
    """The same with the workers being made first; empty where nothing is known."""
    if _unknown(found) or found.startup_seconds is None:
        return ""
    took = seconds(found.startup_seconds)
    if found.startup_seconds < _NO_STARTUP * found.amounts[0].seconds and found.pays == found.pays_with_startup:
        return f"The workers were ready after {took}, which changes nothing of that."
    return (
        f"With the start-up of the workers, {took}, which is measured once and is no part of the rounds, it "
        f"{pays(found, found.pays_with_startup)}."
    )


def efficiency(found: Granularity) -> str:
    """How much work keeps the efficiency (isoefficiency); empty where nothing is known."""
    if _unknown(found):
        return ""
    wanted, workers = exact_percent(found.efficiency), counted(found.workers, unit(found.technique))
    reached, missed = found.efficient.reached, found.efficient.missed
    if reached is None:
        best = max((a for a in found.amounts if a.efficiency is not None), key=lambda a: a.efficiency or 0.0)
        interval = ", ".join(filter(None, [percent(best.efficiency), _percents(best.efficiency_ci95)]))
        return (
            f"No amount that was measured surely keeps {workers} at an efficiency of {wanted}; the most is {interval}, "
            f"with {amount(found, best.size)}."
        )
    least = f", not with {missed:g}" if missed is not None else ""
    if reached == found.amounts[0].size:
        least = ", the least that was measured"
    term = " (isoefficiency)" if found.over != "task" else ""
    return f"To keep {workers} at an efficiency of {wanted} takes {amount(found, reached)}{least}{term}."


def _work(of: Amount, size: float) -> float | None:
    """Seconds that the baseline takes for so many of the tasks, which are alike on average."""
    return None if of.baseline_seconds is None or not of.images else of.baseline_seconds / of.images * size


def length(found: Granularity) -> str:
    """How long what pays is, where it is about what is handed over at a time, and what is fastest; empty where nothing
    is known, and of any other."""
    if found.over != "task" or _unknown(found):
        return ""
    best = fastest(found.amounts)
    ends = [size for size in (found.pays.missed, found.pays.reached) if size is not None]
    works = [seconds(work) for size in ends if (work := _work(best, size)) is not None]
    each = _work(best, 1)
    said = f"One {found.unit} takes sequential {seconds(each)}" if each is not None else ""
    if said and found.pays.reached is not None and works:
        between = f"between {works[0]} and {works[1]}" if len(works) == 2 else works[0]
        said += f", so it pays from {between} of work at a time on"
    interval = f", 95{NBSP}% interval {times_interval(best.speedup_ci95)}" if best.speedup_ci95 else ""
    most = f"The highest speedup is {spelled_times(best.speedup or 0.0)}{interval}, with {amount(found, best.size)}."
    return f"{said}. {most}" if said else most


# ---------------------------------------------------------------- isoefficiency


def needs(found: Granularity) -> list[Needs]:
    """A row for each number of workers, the fewest first; none where one was measured."""
    return [_needs(found, one) for one in found.isoefficiency]


def _needs(found: Granularity, one: Isoefficiency) -> Needs:
    reached, missed = one.efficient.reached, one.efficient.missed
    of_size = {a.size: a for a in one.amounts}
    said = "nothing that was measured" if reached is None else amount(found, reached)
    if reached == one.amounts[0].size:
        said += " or less"
    return Needs(
        counted(one.workers, unit(found.technique)),
        said,
        _efficiency(of_size[reached]) if reached is not None else "",
        amount(found, missed) if missed is not None else "",
        _efficiency(of_size[missed]) if missed is not None else "",
    )


def _efficiency(of: Amount) -> str:
    return ", ".join(filter(None, [percent(of.efficiency), _percents(of.efficiency_ci95)]))


def growth(found: Granularity, cores: int | None) -> str:
    """How the work has to grow with the workers to keep the efficiency; empty where one number of them was measured."""
    if not found.isoefficiency or _unknown(found):
        return ""
    what, wanted, grown = unit(found.technique), exact_percent(found.efficiency), found.growth
    counts = [one.workers for one in found.isoefficiency]
    few = ""
    if cores and cores <= max(counts) and len(counts) < _ENOUGH:
        few = f" With {counted(cores, 'core')} there are no more {what}s to tell it from."
    without = [one.workers for one in found.isoefficiency if one.efficient.reached is None]
    whose = many(without, what) if without else ""
    none = f"no amount that was measured surely keeps {whose} at an efficiency of {wanted}"
    if grown is None:
        return f"How work has to grow with the {what}s cannot be told: {none}.{few}"
    first, last = grown.workers
    times_more = last / first
    between = _between(grown)
    if grown.most is not None and grown.most < times_more:
        said = f"by less than the {what}s do"
    elif grown.least > times_more:
        said = f"by more than the {what}s do"
    else:
        said = f"and the amounts that were measured do not tell whether by more or less than the {what}s do"
    few = f" But {none}.{few}" if without else few
    return (
        f"From {first} to {counted(last, what)}, {times_more:g} times as many, work has to grow {between} to keep an "
        f"efficiency of {wanted}, {said} (isoefficiency).{few}"
    )


def _between(grown: Growth) -> str:
    if grown.most is None:
        return f"to at least {grown.least:.3g} times as much" if grown.least else "by an unknown factor"
    return f"to between {grown.least:.3g} and {grown.most:.3g} times as much"


def _percents(interval: Sequence[float] | None) -> str:
    return f"95{NBSP}% interval {percent(interval[0])} to {percent(interval[1])}" if interval else ""


# ---------------------------------------------------------------- why


def why(record: Record, meaning: Mapping[str, str] = PARTS) -> str:
    """What of a round was lost with the least work and with the most, and what handing over an image takes."""
    found = record.granularity
    if not found:
        return ""
    whole = record.techniques if found.over != "megapixels" else []
    own = [t for t in (*record.points, *whole) if t.name == found.technique and t.breakdown]
    sized = sorted(((size_of(found.over, t, record.count), t) for t in own), key=lambda one: one[0])
    if not sized:
        return ""
    (least, first), (most, last) = sized[0], sized[-1]
    parts = [_lost(f"With {amount(found, least)}", first, meaning)]
    if last is not first:
        known = largest(last.breakdown) == largest(first.breakdown)
        parts.append(_lost(f"With {amount(found, most)}", last, {} if known else meaning))
    parts += filter(None, [_as_long(found)])
    shown = [(least, first), (most, last)] if found.over == "task" and first is not last else [(most, last)]
    handed = [
        (seconds(t.breakdown["dispatch"] * t.workers / (t.images or record.count)), amount(found, size))
        for size, t in shown
        if t.breakdown.get("dispatch")
    ]
    if handed:
        (each, how), more = handed[0], "".join(f", and {each} with {how}" for each, how in handed[1:])
        parts.append(f"Handing over an {found.unit} took {each} of a worker’s time, with {how}{more}.")
    return " ".join(parts)


def _as_long(found: Granularity) -> str:
    """The start-up as work: what sequential does meanwhile, by the most work that was measured."""
    last, startup = found.amounts[-1], found.startup_seconds
    if not startup or not last.baseline_seconds or startup < _NO_STARTUP * found.amounts[0].seconds:
        return ""
    meanwhile = startup / last.baseline_seconds * last.images
    of = f" of {last.size:g} megapixels" if found.over == "megapixels" else ""
    so_many = f"{meanwhile:.2g}" if meanwhile < _MANY else number(round(meanwhile))
    return f"While the workers start, sequential does {so_many} {found.unit}{'' if meanwhile == 1 else 's'}{of}."


def _lost(batch: str, t: TechniqueMeasurement, meaning: Mapping[str, str]) -> str:
    wall = t.typical.wall_seconds if t.typical else t.median_seconds or 0.0
    lost, part = sum(t.breakdown.values()) - t.breakdown["ideal"], largest(t.breakdown)
    if lost <= 0 or part is None:
        return f"{batch} a round took no more than the ideal."
    most = "most of it " if t.breakdown[part] < 0.9 * lost else ""
    told = f": {meaning[part]}" if part in meaning else ""
    return f"{batch} {percent(lost / wall)} of a round of {seconds(wall)} was lost, {most}through {part}{told}."


def notes(found: Granularity) -> list[str]:
    """How the amounts were made; a sentence each."""
    same = "sequential all of it" if found.over == "task" else "sequential the same amounts"
    said = [f"Each amount is {found.made}. The same workers did all of them, and {same} in the same rounds."]
    if cut := [f"{a.size:g}" for a in found.amounts if a.split]:
        what = {"images": "images", "task": "at a time"}.get(found.over, "megapixels an image")
        said.append(f"With {listed(cut)} {what}, some were cut into strips; --split never leaves them whole.")
    return said


# ---------------------------------------------------------------- one line each


def lead(record: Record, found: Granularity) -> tuple[str, str, str, str]:
    """The first sentence of the page: what leads to the figure, the figure, what follows it, and the rest."""
    unknown, threshold = _unknown(found), found.pays
    if unknown:
        return unknown, "", "", ""
    after = f"with {who(found)[0].lower()}{who(found)[1:]}; {_last(found)}{_pixels(record)}"
    if threshold.reached is None:
        return "Parallel work does not measurably pay with", span(found), ",", after
    at_least = "" if threshold.missed is None else f"between {threshold.missed:g} and "
    return f"Parallel work pays from {at_least}".rstrip(), amount(found, threshold.reached), " on,", after


def _last(found: Granularity) -> str:
    last = fastest(found.amounts) if found.over == "task" else found.amounts[-1]
    if last.speedup is None:
        return ""
    interval = f" (95{NBSP}% interval {times_interval(last.speedup_ci95)})" if last.speedup_ci95 else ""
    said = f", {last.verdict}" if last.verdict in LEVEL else ""
    return f"with {amount(found, last.size)} it is {spelled_times(last.speedup)} as fast{interval}{said}; "


def _pixels(record: Record) -> str:
    timed, same = (
        [t for t in record.measurements if t.median_seconds is not None],
        "results" if record.task else "pixels",
    )
    return f"the same {same}." if all(t.identical for t in timed) else f"not all made the same {same}."


def title(found: Granularity) -> str:
    """The shortest form."""
    if _unknown(found) or found.pays.reached is None:
        return f"{who(found)}, {span(found)}"
    return f"Pays from {amount(found, found.pays.reached)} on, {who(found)}"
