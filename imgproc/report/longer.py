"""What is said of a run that lacks rounds, and of one that was measured for longer."""

from __future__ import annotations

from imgproc.measure.statistics import PRECISE
from imgproc.numbers import NBSP, about, counted, exact_percent
from imgproc.runs.longer import Longer
from imgproc.runs.record import Record

#: Why the rounds of the earlier run do not count.
WHY = "Only its own rounds count: rounds added once a result is known would make its intervals too sure of themselves."


def offer(found: Longer) -> str:
    """What a new run would do, and why."""
    lacks = "Some speedups have no interval" if found.few else "Some intervals are wide"
    side = f"{exact_percent(PRECISE)} to each side"
    rounds = counted(found.rounds, "round")
    if found.starts > 1:
        rounds += f" in {counted(found.starts, 'start')}"
    hope = {
        None: "enough for intervals",
        True: f"by the scatter so far enough for intervals of at most {side}",
        False: f"by the scatter so far enough for intervals, though wider than {side}",
    }[found.enough]
    return (
        f"{lacks}. A new run measures the same images, settings and techniques with {rounds}, {hope}; it takes "
        f"{about(found.seconds)} at most. {WHY}"
    )


def earlier(before: Record) -> str:
    """Of a run that measures on: which one it is of, and that it stands by itself."""
    rounds = max((len(t.rounds) for t in before.measurements), default=0)
    of = f"run {before.id} of {before.created[:10]}, which had {counted(rounds, 'round')}"
    return f"Measures on {of}; none of them count here.".replace(NBSP, " ")
