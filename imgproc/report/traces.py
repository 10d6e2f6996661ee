"""The recorded stages of a run in the formats of two viewers of traces: Perfetto and speedscope.

Chrome's trace events, which ui.perfetto.dev and chrome://tracing read, are described in
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, speedscope's files in
https://www.speedscope.app/file-format-schema.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from imgproc.measure.results import TechniqueMeasurement
from imgproc.report.timeline import Names, worker_name
from imgproc.runs.record import Record

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def chrome(record: Record) -> dict[str, Any]:
    """Trace events: a process for each technique, a thread for each of its workers, rounds one after another."""
    events: list[dict[str, Any]] = []
    names = Names(record)
    for pid, t in enumerate(_traced(record), 1):
        events.append({"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": t.label}})
        events += [
            {"ph": "M", "name": "thread_name", "pid": pid, "tid": worker, "args": {"name": name}}
            for worker, name in _lanes(t).items()
        ]
        begins = _begins(t)
        events += [
            {
                "ph": "X", "name": span.stage, "cat": "stage", "pid": pid, "tid": span.worker,
                "ts": round((begins[span.round] + span.start) * 1e6, 3),
                "dur": round((span.end - span.start) * 1e6, 3),
                "args": {record.unit: names.of(span), "round": span.round},
            }
            for span in sorted(t.spans, key=lambda span: (span.round, span.start))
        ]  # fmt: skip
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"run": record.id, "created": record.created}}


def speedscope(record: Record) -> dict[str, Any]:
    """A profile for each worker of each technique, in which a stage lies on the image that it is of."""
    frames: dict[str, int] = {}
    names = Names(record)

    def frame(name: str) -> int:
        return frames.setdefault(name, len(frames))

    profiles = [
        {
            "type": "evented", "name": f"{t.label}, {name}", "unit": "seconds", "startValue": 0,
            "endValue": max((event["at"] for event in events), default=0), "events": events,
        }
        for t in _traced(record)
        for worker, name in _lanes(t).items()
        if (events := list(_evented(names, t, worker, frame)))
    ]  # fmt: skip
    return {
        "$schema": _SCHEMA,
        "name": f"run {record.id}",
        "exporter": "speedup-lab",
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": profiles,
    }


@dataclass(frozen=True)
class Trace:
    """A format: what its viewer is called, how names of its files end, and who makes it of a record."""

    label: str
    suffix: str
    make: Callable[[Record], dict[str, Any]]


#: THE formats.
TRACES = {
    "perfetto": Trace("Perfetto", "trace.json", chrome),
    "speedscope": Trace("speedscope", "speedscope.json", speedscope),
}


def trace_text(record: Record, name: str) -> str:
    """The file of a format, a key of ``TRACES``."""
    return json.dumps(TRACES[name].make(record), ensure_ascii=False, separators=(",", ":")) + "\n"


def has_trace(record: Record) -> bool:
    """Whether any stage was recorded."""
    return any(True for _ in _traced(record))


def _traced(record: Record) -> Iterator[TechniqueMeasurement]:
    return (t for t in record.measurements if t.spans)


def _lanes(t: TechniqueMeasurement) -> dict[int, str]:
    """The names of its workers, and of its caller where that worked, by their numbers."""
    of_worker = {span.worker: span.host for span in t.spans}
    return {worker: worker_name(t, worker, of_worker[worker]) for worker in sorted(of_worker)}


def _begins(t: TechniqueMeasurement) -> dict[int, float]:
    """When each round began of which stages are kept, with those rounds right after one another."""
    ends: dict[int, float] = {}
    for span in t.spans:
        ends[span.round] = max(ends.get(span.round, 0.0), span.end)
    begins, at = {}, 0.0
    for number in sorted(ends):
        begins[number] = at
        rounds = t.rounds[number - 1 : number]
        at += max(ends[number], rounds[0].wall_seconds if rounds else 0.0)
    return begins


def _evented(
    names: Names, t: TechniqueMeasurement, worker: int, frame: Callable[[str], int]
) -> Iterator[dict[str, Any]]:
    """Opening and closing events of one worker, in order: a stage never begins before the one before it has ended."""
    begins, now = _begins(t), 0.0
    own = [span for span in t.spans if span.worker == worker]
    for span in sorted(own, key=lambda span: (span.round, span.start)):
        start = max(now, begins[span.round] + span.start)
        now = max(start, begins[span.round] + span.end)
        image, stage = frame(names.of(span)), frame(span.stage)
        yield {"type": "O", "frame": image, "at": start}
        yield {"type": "O", "frame": stage, "at": start}
        yield {"type": "C", "frame": stage, "at": now}
        yield {"type": "C", "frame": image, "at": now}
