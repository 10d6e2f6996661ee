"""What bounds the speedup of a run, beside the number of workers: in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from imgproc.measure.bounds import MemoryUse
from imgproc.numbers import NBSP, listed, seconds, spelled_times
from imgproc.report import roofline
from imgproc.report.sentences import spoken
from imgproc.runs.record import Record


def bounds(record: Record) -> list[str]:
    """One each of work and span and of memory, and what the roofline says, where they are known."""
    return [*_work_and_span(record), *_memory(record), *roofline.sentences(record)]


def _work_and_span(record: Record) -> Iterator[str]:
    t = record.technique
    found, typical = (t.work_span, t.typical) if t else (None, None)
    if t is None or found is None or typical is None or not found.span_seconds:
        return
    yield (
        f"Work and span: the stages of this round of {spoken(t.label)} take {seconds(found.work_seconds)} in all, and "
        f"the longest path of stages that need each other {seconds(found.span_seconds)}. No number of workers could do "
        f"these in less, which is {spelled_times(found.work_seconds / found.span_seconds)} as fast as one after the "
        "other."
    )


def _memory(record: Record) -> Iterator[str]:
    copied = record.environment.get("copy_bytes_per_second")
    if not record.memory or not copied:
        return
    yield (
        f"Memory: all cores together copy {_gigabytes(copied)} here. An operation must at least read each image and "
        f"write each result once. On one core {listed([_of(one) for one in record.memory])}."
    )


def _of(one: MemoryUse) -> str:
    return (
        f"{one.operation} does so with {_gigabytes(one.bytes / one.seconds)}, so memory lets it be at most "
        f"{spelled_times(one.bound)} as fast"
    )


def _gigabytes(rate: float) -> str:
    return f"{rate / 1e9:.3g}{NBSP}GB/s"
