"""What is said of a schedule and of an affinity that were chosen: who followed them, who did not and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from imgproc.backends import BASELINE
from imgproc.backends.places import AFFINITIES, OFF
from imgproc.backends.schedules import OF_ITEMS, SCHEDULES, USUAL
from imgproc.numbers import listed
from imgproc.report.sentences import spoken
from imgproc.runs.record import Record


def chosen(record: Record) -> str:
    """The schedule, with what it means; empty where it is the usual one."""
    name = record.settings.schedule
    if name == (OF_ITEMS if record.task else USUAL) or record.mode == "sequential":
        return ""
    if record.task and not any(t.schedule for t in record.techniques):  # of a version that knew of no schedules
        return ""
    schedule = SCHEDULES.get(name)
    return f"{name}: {schedule.what}" if schedule else name


def schedules(record: Record) -> list[str]:
    """In sentences, the schedule first; none where it is the usual one."""
    if not (what := chosen(record)):
        return []
    every = [t for t in record.measurements if t.name != BASELINE]
    even = [f"{t.imbalance:.2f} with {spoken(t.label)}" for t in every if t.schedule and t.imbalance is not None]
    said = [f"Schedule {what}."]
    if even:
        said.append(f"Load imbalance, the busiest worker’s time over the mean of all: {listed(even)}.")
    others = _why_not((t.unscheduled, t.label) for t in every if t.available)
    return said + [f"It was not followed by {listed(labels)}: {why}." for why, labels in others.items()]


def _why_not(reasons: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Labels by reasons, without those that have none."""
    found: dict[str, list[str]] = defaultdict(list)
    for why, label in reasons:
        if why:
            found[why].append(label)
    return found


def affinity(record: Record) -> list[str]:
    """Who was pinned to which CPUs, which of these are hardware threads of one core, and who was not pinned and why;
    none where that was not asked for."""
    asked = record.settings.affinity
    if asked == OFF or record.mode == "sequential":
        return []
    every = [t for t in record.measurements if t.available]
    same: dict[str, list[str]] = defaultdict(list)
    for t in every:
        if t.affinity:
            same[" / ".join(",".join(map(str, cpus)) for cpus in t.affinity)].append(spoken(t.label))
    said = [f"Affinity {asked}: {AFFINITIES.get(asked, asked)}."]
    said += [f"CPUs of the workers of {listed(labels)}: {cpus}." for cpus, labels in same.items()]
    used = sorted({cpu for t in every for cpus in t.affinity for cpu in cpus})
    if together := [listed([*map(str, cpus)]) for cpus in _sharing(record, used)]:
        said.append(f"Hardware threads of one core (SMT siblings) are {'; '.join(together)}.")
    elif used:
        said.append("No two of these are hardware threads of one core.")
    others = _why_not((t.unpinned, t.label) for t in every)
    return said + [f"Not pinned were the workers of {listed(labels)}: {why}." for why, labels in others.items()]


def _sharing(record: Record, cpus: Iterable[int]) -> Iterator[list[int]]:
    """Those of these CPUs that are hardware threads of one core, core by core, as the record's machine had them; a
    record from elsewhere may say anything."""
    known = record.environment.get("smt")
    for text in (known.get("siblings") or ()) if isinstance(known, Mapping) else ():
        parts = [part.partition("-") for part in str(text).split(",")]
        with suppress(ValueError):
            ranges = [(int(first), int(last or first)) for first, _, last in parts]
            here = [cpu for cpu in cpus if any(first <= cpu <= last for first, last in ranges)]
            if len(here) > 1:
                yield here
