"""The alarms of a run as its page shows them, and what was checked where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from imgproc.measure.statistics import LEAST_FOR_INTERVAL
from imgproc.numbers import NBSP, listed
from imgproc.runs.record import Record

#: The end of a sentence, which a decimal point or a file's name is not.
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z“])")


@dataclass(frozen=True)
class Doubt:
    """One alarm: what was seen, and what to do about it."""

    message: str
    advice: str


@dataclass(frozen=True)
class Doubts:
    """The alarms about the whole run, or about techniques that all have the same ones."""

    who: str
    alarms: list[Doubt]

    @property
    def count(self) -> int:
        return len(self.alarms)


def doubts(record: Record) -> list[Doubts]:
    """Those of the run first, then by technique; techniques with the same alarm share it."""
    seen: dict[str, list[str]] = {}
    for label, text in _warnings(record):
        labels = seen.setdefault(text, [])
        if label not in labels:
            labels.append(label)
    groups: dict[str, list[Doubt]] = {}
    for text, labels in seen.items():
        who = "" if "" in labels else listed(labels)
        groups.setdefault(who, []).append(_split(text))
    return [Doubts(who, alarms) for who, alarms in groups.items()]


def _warnings(record: Record) -> Iterator[tuple[str, str]]:
    """Label of a technique, or nothing for the whole run, and the text of each alarm."""
    yield from (("", text) for text in record.warnings)
    for t in (*record.techniques, *record.weak):
        yield from ((t.label, text.removeprefix(f"{t.label}: ")) for text in t.warnings)


def _split(text: str) -> Doubt:
    message, *advice = _END.split(text.replace(" %", f"{NBSP}%"), maxsplit=1)
    return Doubt(message, "".join(advice))


def checked(record: Record) -> str:
    """What was looked at and found in order, as far as it could be; empty where nothing was measured."""
    timed = [t for t in record.techniques if t.rounds]
    if not timed:
        return ""
    env = record.environment
    looks = [
        f"at least {LEAST_FOR_INTERVAL} rounds", "their spread", "a slow first round", "a steady drift",
        "other programs at work" if env.get("cores_used_by_others") is not None else "",
        "a CPU quota", "more threads than cores" if env.get("cores_usable") else "",
        "hidden threads" if any(r.cpu_seconds is not None for t in timed for r in t.rounds) else "",
        "idle workers" if any(t.spans for t in timed) else "",
        "a speedup that is too good" if any(t.efficiency is not None for t in timed) else "",
    ]  # fmt: skip
    return f"No alarm. Checked: {listed([look for look in looks if look])}."
