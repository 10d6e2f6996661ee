"""A run as an exercise: the question that it answers, and what to discuss of its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.granularity import Granularity
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, few, number, percent, seconds, spelled_times, times_interval
from imgproc.report import granularity
from imgproc.report.advice import way
from imgproc.report.scale import FASTER, SLOWER, many, scaled, scaled_counts, span, unit
from imgproc.report.sentences import guess, spoken
from imgproc.runs.record import Record


def question(record: Record) -> str:
    """What the run asks."""
    work = f"{counted(record.total, record.unit)}"
    if record.task:
        work = f"{counted(record.total, 'call')} of {record.task.function}"
    if record.mode == "sequential":
        return f"How long do {work} take on this machine, with one process and one thread?"
    if record.mode == "scale":
        name = scaled(record)
        label = spoken(TECHNIQUES[name].label) if name in TECHNIQUES else name
        what = unit(name)
        how_many = span(scaled_counts(record), what)
        if record.settings.over != "workers":
            amounts = {"images": f"how many of {work}", "task": f"how many of {work} handed over at once"}
            amount = amounts.get(record.settings.over, f"what size of {work}")
            on = f"From {amount} on does parallel work pay on this machine"
            return f"{on}, with {label}, {how_many}, and why not before?"
        return f"How much sooner are {work} done with {label}, from {how_many}, and from where on do more stop helping?"
    if record.mode == "compare":
        return f"Which technique is fastest for {work} on this machine, by how much, and how sure is that?"
    main = next((t for t in record.techniques if t.name != BASELINE), None)
    who = way(record, main) if main else "a technique"
    return f"Are {work} done sooner with {who} than sequentially on this machine, by how much, and how sure is that?"


def discussion(record: Record) -> list[str]:
    """What to discuss, with the numbers of this run; nothing where nothing was measured."""
    if not any(t.median_seconds for t in record.techniques):
        return []
    return [prompt.replace("  ", " ") for prompt in _prompts(record)]


def _prompts(record: Record) -> Iterator[str]:
    timed = [t for t in record.techniques if t.name != BASELINE and t.speedup is not None]
    if not timed:
        yield "Which part of the work took longest? Which could run at the same time, which not?"
        yield "What do you expect of two workers, and of as many as there are cores? Give numbers, then measure."
        return
    main = record.technique if record.technique in timed else min(timed, key=lambda t: t.median_seconds or 0.0)
    assert main is not None
    expected = "Before you looked at the results: what did you expect, and why? What differs from it?"
    yield f"{told} What did you base the guess on, and what did it leave out?" if (told := guess(record)) else expected
    yield from _of_speedup(record, main)
    yield from _of_others(record, main, timed)
    if record.mode == "scale":
        yield from _of_scaling(record)
    elif (main.break_even_images or 0) > 1:
        yield (
            f"{_capital(spoken(main.label))} took {seconds(main.startup_seconds)} to start. From its start-up and the "
            f"medians, work out from how many {record.unit}s on that pays, and compare with "
            f"{number(main.break_even_images or 0)}, which counts the first round too."
        )
    if record.alarms:
        alarms = counted(len(record.alarms), "alarm", words=True)
        yield f"The run raised {alarms}. Which numbers does that make doubtful, and how would you measure again?"
    yield "What do you expect of four times the cores, and what of ten times the work? How would you find out?"


def _of_speedup(record: Record, main: TechniqueMeasurement) -> Iterator[str]:
    ci95, who = main.speedup_ci95, spoken(main.label)
    figure = f"{_capital(who)}: {spelled_times(main.speedup or 0.0)} as fast as sequential"
    if ci95:
        interval = f"95{NBSP}% interval {times_interval(ci95)}"
        yield f"{figure}, {interval}. What does the interval say, and what would make it narrower?"
    else:
        yield f"{figure}, without an interval. What can be said of it, and what not?"
    if main.efficiency is None or not main.breakdown:
        return
    cores = record.environment.get("cores_usable")
    on = f" on {counted(cores, 'core')}" if isinstance(cores, int) else ""
    said = f"With {counted(main.threads, unit(main.name))}{on} its efficiency is {percent(main.efficiency)}."
    if main.efficiency > 1:
        yield f"{said} How can that be more than 100{NBSP}%?"
    else:
        yield f"{said} Where did the rest of the time go? Name the largest parts and what each of them means here."


def _of_others(record: Record, main: TechniqueMeasurement, timed: list[TechniqueMeasurement]) -> Iterator[str]:
    if record.mode == "scale":
        return
    level = [t for t in timed if t is not main and not _is_apart(record, t, main)]
    if level and main.verdict == FASTER:
        labels = few([spoken(t.label) for t in level])
        yield (
            f"There is no measurable difference between {spoken(main.label)} and {labels}. Does that mean that they "
            "are equally fast? How would you tell them apart?"
        )
    slower = [t for t in timed if t.verdict == SLOWER]
    if slower:
        worst = max(slower, key=lambda t: t.median_seconds or 0.0)
        yield (
            f"With {spoken(worst.label)} the same work took longer than sequentially. What is done there that "
            "sequential does without?"
        )


def _is_apart(record: Record, one: TechniqueMeasurement, other: TechniqueMeasurement) -> bool:
    return record.found.versus(one.label, other.label).verdict in (FASTER, SLOWER, None)


def _of_granularity(found: Granularity) -> Iterator[str]:
    yield (
        f"{granularity.headline(found)} {granularity.with_startup(found)} From the medians of the most work and "
        "the start-up alone, work out where that should be, and compare: what does such a sum leave out?"
    )
    if found.over == "task":
        yield f"{granularity.length(found)} Why does it get slower again when still more is handed over at once?"
        return
    kept = granularity.growth(found, None) or granularity.efficiency(found)
    yield f"{kept} How much would twice the workers need, and why more than twice as much?"


def _of_scaling(record: Record) -> Iterator[str]:
    if record.granularity:
        yield from _of_granularity(record.granularity)
    found = record.scaling
    if found is None:
        return
    if found.amdahl and found.amdahl.serial_ci95:
        yield (
            f"By Amdahl’s law {percent(found.amdahl.serial)} of the work is serial. What speedup would 16 workers "
            "reach then, and any number of them? What does the law leave out?"
        )
    above = [p.workers for p in found.strong if p.oversubscribed]
    if above:
        what = many(above, unit(found.technique))
        yield f"{what} are more than there are cores. What happens to the time there, and why?"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
