"""What single images take in a round, and how short the round could have been with them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from imgproc.measure.breakdown import CALLER
from imgproc.measure.results import SpanRecord, Tails


def tails(spans: Sequence[SpanRecord], workers: int) -> Tails | None:
    """Of a round's spans; None where there are none.

    An image takes from its first stage to the end of its last. The bound is what no order of work can beat with these
    times (Graham, Bounds on multiprocessing timing anomalies, 1969): the work shared evenly by all workers, or the
    longest image that one worker did as a whole.

    Args:
        workers: how many could be at work at a time.
    """
    of_image: dict[int, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        if span.stage != "wait":
            of_image[span.image].append(span)
    if not of_image:
        return None
    times = sorted(max(s.end for s in own) - min(s.start for s in own) for own in of_image.values())
    ends = sorted((max(s.end for s in own) for own in of_image.values()), reverse=True)
    work = sum(s.end - s.start for own in of_image.values() for s in own if s.worker != CALLER)
    whole = (own for own in of_image.values() if all(s.part is None for s in own))
    longest = max((sum(s.end - s.start for s in own if s.worker != CALLER) for own in whole), default=0.0)
    return Tails(
        _quantile(times, 0.5),
        _quantile(times, 0.95),
        times[-1],
        ends[0],
        ends[0] - ends[1] if len(ends) > 1 else ends[0],
        max(work / max(1, workers), longest),
    )


def imbalance(spans: Sequence[SpanRecord], workers: int) -> float | None:
    """Load imbalance of a round: the time that the busiest worker was at work, over the mean of all workers, those
    included that got nothing; 1 is ideal. None with one worker, or where nothing was recorded."""
    busy: dict[int, float] = defaultdict(float)
    for span in spans:
        if span.stage != "wait" and span.worker != CALLER:
            busy[span.worker] += span.end - span.start
    total, count = sum(busy.values()), max(workers, len(busy))
    return max(busy.values()) * count / total if count > 1 and total > 0 else None


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed, so that it is one that was measured."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
