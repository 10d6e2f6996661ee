"""What no number of workers can beat: work and span of the recorded stages, and the bytes that memory has to move."""

from __future__ import annotations

import statistics
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from imgproc.measure.breakdown import CALLER
from imgproc.measure.results import SpanRecord, WorkSpan

#: Bytes that are copied by all threads together: more than lie in most processors' caches.
_COPIED = 128 << 20
_REPEATS = 5


def work_and_span(spans: Sequence[SpanRecord], barriers: Sequence[float] = ()) -> WorkSpan | None:
    """Of a round's spans; None where there are none.

    The longest path goes through the longest task of each phase, all stages of one image or strip in that phase; tasks
    of one phase need nothing of each other. What the caller did is one task more of its phase.

    Args:
        barriers: when phases ended, before which nobody could begin with the next.
    """
    phases: dict[int, dict[tuple[int, ...], float]] = defaultdict(lambda: defaultdict(float))
    for span in spans:
        if span.stage == "wait":
            continue
        phase = bisect_right(barriers, (span.start + span.end) / 2)
        task = (CALLER,) if span.worker == CALLER else (span.worker, span.image, -1 if span.part is None else span.part)
        phases[phase][task] += span.end - span.start
    if not phases:
        return None
    work = sum(seconds for tasks in phases.values() for seconds in tasks.values())
    return WorkSpan(work, sum(max(tasks.values()) for tasks in phases.values()))


@dataclass
class MemoryUse:
    """``memory`` in run.json: an operation of the baseline, on one thread. ``bytes`` it must move in a round: it reads
    each image once and writes each result once. ``bound``: so many times as fast as on one thread, which took
    ``seconds``, it could be if all threads did nothing but move these bytes as fast as they copy. ``counted``:
    operations of arithmetic in a round by its definition, 0 where nobody counted."""

    operation: str
    bytes: int
    seconds: float
    bound: float
    counted: float = 0.0


def memory_use(
    stages: Mapping[str, float], moved: Mapping[str, int], copied: float, counted: Mapping[str, float] | None = None
) -> list[MemoryUse]:
    """Of each operation whose seconds are known.

    Args:
        moved: bytes by operation.
        copied: bytes a second, read and written, that all threads copy.
        counted: operations of arithmetic by operation, where they are known.
    """
    timed = ((name, count, stages.get(name, 0.0)) for name, count in moved.items())
    known = counted or {}
    return [
        MemoryUse(name, count, took, took * copied / count, known.get(name, 0.0))
        for name, count, took in timed
        if took > 0 and count
    ]


def copy_bandwidth(threads: int) -> float:
    """Bytes a second that so many threads read and write while they copy arrays, the median of some times. A tenth of
    a second in all."""
    share = _COPIED // 2 // threads
    pairs = [
        (np.ones(share, np.uint8), np.ones(share, np.uint8)) for _ in range(threads)
    ]  # touched, so that it is there
    with ThreadPoolExecutor(threads) as pool:
        rates = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(*pair), pairs))  # which lets go of the GIL
            rates.append(2 * share * threads / (time.perf_counter() - start))
    return statistics.median(rates)
