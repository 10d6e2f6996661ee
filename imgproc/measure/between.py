"""Two runs against each other, which were never paired: only whether their intervals lie apart can be told."""

from __future__ import annotations

from collections.abc import Sequence

from imgproc.measure.results import Verdict


def between(seconds: Sequence[float] | None, others: Sequence[float] | None) -> Verdict | None:
    """Whether a time is measurably less than another one, of another run, by their 95 % intervals.

    Intervals of independent medians that do not meet differ by more than chance: equal medians are told apart in far
    fewer than 5 % of cases (0.6 % for intervals of the same width under normal noise). Intervals that meet say nothing.

    Returns:
        ``faster`` where all of ``seconds`` is below all of ``others``; None where either has no interval.
    """
    if not seconds or not others:
        return None
    if seconds[1] < others[0]:
        return "faster"
    return "slower" if seconds[0] > others[1] else "no measurable difference"
