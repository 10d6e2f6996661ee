"""Where the missing speedup went: the wall time of a round as a sum of parts, from the ideal to the measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgproc.measure.results import SpanRecord

#: The parts in the order they are shown, and what each means.
PARTS = {
    "ideal": "the baseline’s time shared evenly by all workers",
    "contention": "stages that took longer than the baseline’s, because workers share caches and memory",
    "transfer": "moving data between processes",
    "caller": "what workers waited for the caller’s process, less the work it did for them",
    "dispatch": "handing tasks to workers and fetching what they made",
    "waiting": "workers with nothing left to do, and inner threads with no part in a stage",
    "remainder": "what the baseline itself spends between its stages",
}

#: The number in spans of the caller's own process, where it works for the others.
CALLER = 0

Interval = tuple[float, float]


def breakdown(
    wall: float,
    spans: Sequence[SpanRecord],
    *,
    workers: int,
    inner: int,
    base_wall: float,
    base: Sequence[SpanRecord],
    barriers: Sequence[float] = (),
) -> dict[str, float]:
    """The parts of one round's wall time, in seconds; they add up to ``wall``.

    A worker is at any moment in a stage, between two tasks (dispatch), or through with its last one (waiting); where
    it stands still while the caller's process works, it waits for that (transfer or caller). Averaged over the
    workers these make the wall time. The time in stages, the caller's too, is then split into the ideal share of the
    baseline's time and what goes beyond it; the caller's share of it is taken off what was waited for it. Only
    contention, caller and remainder can be negative: stages that ran faster than the baseline's, and a caller that
    worked while nobody waited for it.

    Args:
        wall: seconds of the technique's round; ``spans`` are of that round.
        workers: of the technique, each with ``inner`` threads of its own.
        base_wall: seconds of a round of the baseline; ``base`` are its spans.
        barriers: when phases ended, before which nobody could begin with the next: until then a worker waits.
    """
    by_worker: dict[int, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        by_worker[span.worker].append(span)
    caller = by_worker.pop(CALLER, [])
    lanes = max(workers, len(by_worker), 1)
    unused: list[list[SpanRecord]] = [[]] * (lanes - len(by_worker))  # those that got nothing
    working, moving = _union(caller), _union(span for span in caller if span.stage == "transfer")
    idle = [_Idle.of(lane, wall, working, moving, barriers) for lane in (*by_worker.values(), *unused)]
    helped = _work(caller)
    work = sum(map(_work, by_worker.values())) + helped
    moved = sum(_seconds(lane) - _work(lane) for lane in by_worker.values())
    share = workers * max(1, inner)
    base_busy = _seconds(base)
    lost = work / lanes - base_busy / share
    # Inner threads leave no spans: what a stage takes beyond its share they spent waiting, unless it got longer.
    unshared = max(0.0, lost - max(0.0, work - base_busy) / lanes) if inner > 1 else 0.0
    parts = {
        "ideal": base_wall / share,
        "contention": lost - unshared,
        "transfer": (moved + sum(i.transfer for i in idle)) / lanes,
        "caller": (sum(i.caller for i in idle) - helped) / lanes,
        "dispatch": sum(i.dispatch for i in idle) / lanes,
        "waiting": sum(i.waiting for i in idle) / lanes + unshared,
    }
    parts["remainder"] = wall - sum(parts.values())
    return {name: round(seconds, 6) for name, seconds in parts.items()}


def largest(parts: dict[str, float]) -> str | None:
    """The part that costs most beyond the ideal; None where nothing does."""
    costs = {name: seconds for name, seconds in parts.items() if name != "ideal" and seconds > 0}
    return max(costs, key=costs.__getitem__) if costs else None


@dataclass(frozen=True)
class _Idle:
    """What one worker spent outside its stages, in seconds: on the caller, between its tasks, after the last one."""

    transfer: float
    caller: float
    dispatch: float
    waiting: float

    @classmethod
    def of(
        cls,
        lane: Sequence[SpanRecord],
        wall: float,
        working: Sequence[Interval],
        moving: Sequence[Interval],
        barriers: Sequence[float],
    ) -> _Idle:
        """Args: working: when the caller did anything; moving: when that was moving data; barriers: see above."""
        stages = _union(lane)
        last = stages[-1][1] if stages else 0.0
        starts = [0.0, *(end for _, end in stages)]
        gaps = list(zip(starts, (start for start, _ in stages), strict=False))
        held = [(a, max(ends)) for a, b in gaps if (ends := [end for end in barriers if a < end <= b])]
        after = [(last, wall)]
        transfer = _overlap(gaps, moving) + _overlap(after, moving)
        between, at_end = _overlap(gaps, working), _overlap(after, working)
        waited = sum(b - a for a, b in held) - _overlap(held, working)
        return cls(
            transfer,
            between + at_end - transfer,
            max(0.0, last - _seconds(lane) - between - waited),
            max(0.0, wall - last - at_end) + waited,
        )


def _seconds(spans: Iterable[SpanRecord]) -> float:
    return sum(span.end - span.start for span in spans)


def _work(spans: Iterable[SpanRecord]) -> float:
    """Seconds in stages that the baseline has too."""
    return _seconds(span for span in spans if span.stage != "transfer")


def _union(spans: Iterable[SpanRecord]) -> list[Interval]:
    """The times that any of the spans covers, in order and apart."""
    joined: list[Interval] = []
    for start, end in sorted((span.start, span.end) for span in spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _overlap(one: Sequence[Interval], other: Sequence[Interval]) -> float:
    """Seconds that both cover; each is in order."""
    total, i, j = 0.0, 0, 0
    while i < len(one) and j < len(other):
        total += max(0.0, min(one[i][1], other[j][1]) - max(one[i][0], other[j][0]))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total
