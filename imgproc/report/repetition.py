"""What a run found of the one that it repeats, in plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgproc.numbers import NBSP, counted, listed
from imgproc.report.sentences import spoken
from imgproc.runs.record import Again, Record, Repetition, TaskRecord

_FEW = 5


def told(found: Repetition, before: Record, now: Record) -> str:
    """Inputs, pixels, speedups, what differs in the environment, and in the last line whether it reproduces."""
    return "\n".join(_lines(found, before, now)).replace(NBSP, " ") + "\n"


def _lines(found: Repetition, before: Record, now: Record) -> Iterator[str]:
    yield f"Repeats run {found.of} of {before.created[:10]}, mode {before.mode}."
    things, made = ("item", "Results") if now.task else ("file", "Pixels")
    if now.task:
        yield f"Function: {_function(found, before.task, now.task)}"
    by_hash = "the same by SHA-256" if found.hashed == found.inputs else f"{found.hashed} the same by SHA-256"
    only = "by their number only" if now.task else "by name only"
    unknown = f", {found.inputs - found.hashed} {only}" if found.hashed < found.inputs else ""
    yield f"Inputs: {counted(found.inputs, things)}, {by_hash}{unknown}."
    yield f"{made}: {_pixels(found)}"
    wide = max([len(one.technique) for one in found.speedups], default=10) + 2
    if found.speedups:
        yield f"{'speedup':<{wide}}{'before':<24}{'now':<24}"
    for one in found.speedups:
        yield f"{one.technique:<{wide}}{_shown(one.before, one.before_ci95):<24}{_now(one):<24}{_said(one)}"
    if not found.environment:
        yield "Environment: nothing that is known differs."
    for fact in found.environment:
        yield f"Environment: {fact.fact}: {_value(fact.before)}, now {_value(fact.now)}"
    for alarm in (alarm for alarm in now.alarms if not alarm.who):
        yield f"Warning: {alarm.text}"
    if before.alarms:
        yield f"Warning: the run before had {counted(len(before.alarms), 'alarm')} itself."
    yield _verdict(found, made.lower())


def _function(found: Repetition, old: TaskRecord | None, new: TaskRecord) -> str:
    name = (
        f"{new.function}, " if old is None or old.function == new.function else f"{new.function} for {old.function}, "
    )
    said = {True: "the same by its source", False: "another by its source", None: "whether it is the same is not known"}
    file = "; what else stands in its file is not" if found.file is False and found.function else ""
    return f"{name}{said[found.function]}{file}."


def _pixels(found: Repetition) -> str:
    if not found.results:
        return "no result could be compared."
    if not found.other_pixels:
        return f"the same in all of {counted(found.results, 'result')}."
    some = ", ".join(found.other_pixels[:_FEW]) + (", …" if len(found.other_pixels) > _FEW else "")
    return f"{len(found.other_pixels)} of {counted(found.results, 'result')} differ: {some}."


def _shown(speedup: float | None, ci95: list[float] | None) -> str:
    if speedup is None:
        return "-"
    return f"{speedup:.2f}x" + (f" ({ci95[0]:.2f} to {ci95[1]:.2f})" if ci95 else "")


def _now(one: Again) -> str:
    return _shown(one.now, one.now_ci95)


def _said(one: Again) -> str:
    if one.reason:
        return f"not measured: {one.reason}"
    return {True: "inside the other’s interval", False: "outside of both intervals", None: "no interval"}[one.agrees]


def _value(value: Any) -> str:
    return "unknown" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _verdict(found: Repetition, made: str) -> str:
    apart = [spoken(one.technique) for one in found.speedups if one.agrees is False]
    why = ["another function"] if found.function is False else []
    why += [f"other {made}"] if found.other_pixels else []
    why += [f"another speedup of {listed(apart)}"] if apart else []
    if why:
        return f"It does not reproduce: {'; '.join(why)}."
    sure = sum(one.agrees is True for one in found.speedups)
    of = (
        f"and {counted(sure, 'speedup')} within the intervals" if sure else "without an interval to compare speedups by"
    )
    return (
        f"It reproduces: the same {made}, {of}." if found.results else f"It reproduces, {of}; no {made} were compared."
    )
