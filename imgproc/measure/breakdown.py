"""Where the missing speedup went: the wall time of a round as a sum of parts, from the ideal to the measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from imgproc.measure.results import SpanRecord

#: The parts in the order they are shown, and what each means.
PARTS = {
    "ideal": "the baseline’s time shared evenly by all workers",
    "contention": "stages that took longer than the baseline’s, because workers share caches and memory",
    "transfer": "moving data between processes",
    "dispatch": "handing tasks to workers and fetching what they made",
    "waiting": "workers with nothing left to do, and inner threads with no part in a stage",
    "remainder": "what the baseline itself spends between its stages",
}


def breakdown(
    wall: float, spans: Sequence[SpanRecord], *, workers: int, inner: int, base_wall: float, base: Sequence[SpanRecord]
) -> dict[str, float]:
    """The parts of one round's wall time, in seconds; they add up to ``wall``.

    A worker is at any moment in a stage, between two tasks (dispatch), or through with its last one (waiting);
    averaged over the workers these make the wall time. The time in stages is then split into the ideal share of the
    baseline's time and what goes beyond it. Only contention and remainder can be negative: stages that ran
    faster than the baseline's.

    Args:
        wall: seconds of the technique's round; ``spans`` are of that round.
        workers: of the technique, each with ``inner`` threads of its own.
        base_wall: seconds of a round of the baseline; ``base`` are its spans.
    """
    by_worker: dict[int, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        by_worker[span.worker].append(span)
    busy = moved = dispatch = 0.0
    waiting = wall * max(0, workers - len(by_worker))  # those that got nothing
    for lane in by_worker.values():
        inside = sum(span.end - span.start for span in lane)
        last = max(span.end for span in lane)
        busy += inside
        moved += sum(span.end - span.start for span in lane if span.stage == "transfer")
        dispatch += max(0.0, last - inside)
        waiting += max(0.0, wall - last)
    lanes = max(workers, len(by_worker), 1)
    share = workers * max(1, inner)
    base_busy = sum(span.end - span.start for span in base)
    lost = (busy - moved) / lanes - base_busy / share
    # Inner threads leave no spans: what a stage takes beyond its share they spent waiting, unless it got longer.
    idle = max(0.0, lost - max(0.0, busy - moved - base_busy) / lanes) if inner > 1 else 0.0
    parts = {
        "ideal": base_wall / share,
        "contention": lost - idle,
        "transfer": moved / lanes,
        "dispatch": dispatch / lanes,
        "waiting": waiting / lanes + idle,
    }
    parts["remainder"] = wall - sum(parts.values())
    return {name: round(seconds, 6) for name, seconds in parts.items()}


def largest(parts: dict[str, float]) -> str | None:
    """The part that costs most beyond the ideal; None where nothing does."""
    costs = {name: seconds for name, seconds in parts.items() if name != "ideal" and seconds > 0}
    return max(costs, key=costs.__getitem__) if costs else None
