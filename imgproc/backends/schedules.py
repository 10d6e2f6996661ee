"""Schedules: which tasks are handed to a worker at once, and in which order; named as OpenMP has them.

A schedule makes batches of all tasks before the first is handed out, and whoever is free takes the next batch. A share
that is fixed beforehand is then a batch for each worker, which all techniques that hand out batches can do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from imgproc.backends.task import Task

Batches = list[list[Task]]
#: From the tasks, the number of workers and the chunk size.
Cut = Callable[[Sequence[Task], int, int], Batches]


def one_chunk_at_a_time(tasks: Sequence[Task], workers: int, chunk: int) -> Batches:
    """Batches of ``chunk`` tasks, in order."""
    return [list(tasks[start : start + chunk]) for start in range(0, len(tasks), chunk)]


def _blocks(tasks: Sequence[Task], workers: int, chunk: int) -> Batches:
    """A contiguous block for each worker; their lengths differ by one at most."""
    least, more = divmod(len(tasks), workers)
    starts = [least * number + min(number, more) for number in range(workers + 1)]
    blocks = [list(tasks[start:end]) for start, end in pairwise(starts)]
    return [block for block in blocks if block]


def _dealt(tasks: Sequence[Task], workers: int, chunk: int) -> Batches:
    """To each worker in turn ``chunk`` tasks, until none is left."""
    chunks = one_chunk_at_a_time(tasks, workers, chunk)
    return [[task for one in chunks[first::workers] for task in one] for first in range(min(workers, len(chunks)))]


def _shrinking(tasks: Sequence[Task], workers: int, chunk: int) -> Batches:
    """Each time a worker's part of what is left, ``chunk`` tasks at least."""
    batches, start = [], 0
    while start < len(tasks):
        size = max(chunk, math.ceil((len(tasks) - start) / workers))
        batches.append(list(tasks[start : start + size]))
        start += size
    return batches


@dataclass(frozen=True)
class Schedule:
    """``largest_first``: whether tasks begin with those that are expected to take longest, and not in the order in
    which they were given. ``shares``: whether a worker is handed more than a chunk at once. ``what``: in words."""

    name: str
    what: str
    cut: Cut
    largest_first: bool = False
    shares: bool = False


SCHEDULES = {
    schedule.name: schedule
    for schedule in (
        Schedule(
            "longest-first", "whoever is free takes the largest that is left", one_chunk_at_a_time, largest_first=True
        ),
        Schedule("dynamic", "whoever is free takes the next in order", one_chunk_at_a_time),
        Schedule("guided", "whoever is free takes a part of what is left, ever smaller ones", _shrinking, shares=True),
        Schedule("static", "a block in order for each worker, fixed beforehand", _blocks, shares=True),
        Schedule("cyclic", "dealt out to the workers in turn beforehand", _dealt, shares=True),
    )
}
#: Of images unless told otherwise, and of items, of which nobody knows how long they take.
USUAL, OF_ITEMS = "longest-first", "dynamic"

#: Why techniques do not follow a schedule.
ONE_WORKER = "one worker does one after another"
ONE_GPU = "its threads take turns at one GPU, and whichever is free takes the next"
PIXELS_TRAVEL = (
    "pixels travel with what is handed over, and more than a chunk at once would hold a share of all images in memory"
)
