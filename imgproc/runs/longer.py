"""A run measured for longer: how many rounds it lacks, and a new run of the same that has the time for them.

Rounds are never added to a run that is over. Whoever goes on until a result pleases finds one by chance, and an
interval of 95 % holds only for rounds whose number was not chosen by their times. So the earlier rounds say how many
are needed, and the new run's own say what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from imgproc.backends import BASELINE
from imgproc.errors import UserError
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.statistics import LEAST_FOR_INTERVAL, LEAST_STARTS, LOOKS, PRECISE, rounds_for, start_means
from imgproc.numbers import exact_percent
from imgproc.runs.options import options
from imgproc.runs.record import Record
from imgproc.runs.repetition import settings_again

#: Where too few rounds were measured to say how much they scatter: so many times what an interval needs at least.
_UNKNOWN = 2
#: For what a round takes beside its timed passes, and for what is slower the next time.
_ROOM = 1.25


@dataclass(frozen=True)
class Longer:
    """What a run lacks: so many ``rounds`` in all, of so many ``starts``, within ``seconds``. ``few``: there were too
    few for some interval; else intervals were wide. ``enough``: by the scatter so far these rounds will do; None where
    that is not known."""

    rounds: int
    starts: int
    seconds: int
    few: bool
    enough: bool | None


def longer(record: Record, most_seconds: float = math.inf) -> Longer | None:
    """How much longer the run has to be measured; None where it is precise, or is none that can be measured again.

    Args:
        most_seconds: a longer time budget is not allowed.
    """
    wide = [*_wide(record)]
    if not wide or record.task or record.exhibit or record.state != "done" or not record.good_images:
        return None
    asked, rows = record.settings, options()
    several = asked.starts > 1
    count = _needed(record, wide)
    least = LEAST_STARTS if several else LEAST_FOR_INTERVAL
    wanted = max(least, _UNKNOWN * least if count is None else count)
    most_rounds, most_starts = (int(float(rows[name].maximum)) for name in ("rounds", "starts"))
    if len(wide[0][1].rounds) < LOOKS[-1]:  # a few rounds may ask for far too many
        most_rounds = LOOKS[-1]
    of_start = 2 if several else 1  # more rounds of one start narrow little
    once, before = _costs(record, of_start)
    longest = min(most_seconds, float(rows["budget"].maximum))
    fit = int((longest / _ROOM - before) / once)
    units = min(wanted, most_starts if several else most_rounds, max(1, fit))
    seconds = min(longest, 10 * math.ceil(_ROOM * (before + units * once) / 10))
    return Longer(
        units * of_start,
        units if several else 1,
        int(seconds),
        few=any(m.speedup_ci95 is None for m, _ in wide),
        enough=None if count is None else units >= count,
    )


def _needed(record: Record, wide: Iterable[tuple[TechniqueMeasurement, TechniqueMeasurement]]) -> int | None:
    """How many rounds, or starts where there are to be several, make the widest interval narrow; None where the ones
    measured do not say."""
    comparisons = (record.findings.comparisons if record.findings else None) or 1
    found = []
    for m, base in wide:
        logs = [math.log(b.wall_seconds / r.wall_seconds) for b, r in zip(base.rounds, m.rounds, strict=True)]
        if record.settings.starts > 1:
            logs = start_means(logs, m.starts)
        found.append(rounds_for(logs, comparisons))
    known = [count for count in found if count is not None]
    return max(known) if len(known) == len(found) else None


def _costs(record: Record, of_start: int) -> tuple[float, float]:
    """Seconds of one more round, or start with so many rounds; and of what comes before the first one."""
    timed = [m for m in record.measurements if m.rounds]
    one = [sum(r.wall_seconds for r in m.rounds) / len(m.rounds) for m in timed]
    startups = sum(m.startup_seconds or 0.0 for m in timed)
    before = startups + sum(2 * (m.first_round_seconds or 0.0) for m in timed)  # and reading back what it made
    if record.settings.starts == 1:
        return sum(one), before
    return startups + (1 + of_start) * sum(one), before


def _wide(record: Record) -> Iterable[tuple[TechniqueMeasurement, TechniqueMeasurement]]:
    """The techniques whose speedups have no interval, or one of more than ``PRECISE`` to each side, with what each was
    compared with."""
    base = {m.point: m for m in (*record.techniques, *record.points) if m.name == BASELINE and m.rounds}
    for m in record.measurements:
        of = base.get(m.point)
        if m.name == BASELINE or m.speedup is None or of is None or len(of.rounds) != len(m.rounds):
            continue
        if m.speedup_ci95 is None or math.sqrt(m.speedup_ci95[1] / m.speedup_ci95[0]) > 1 + PRECISE:
            yield m, of


def measured_on(record: Record, most_seconds: float = math.inf) -> Record:
    """A new record that asks for the same with the rounds that it lacks; its images are not there yet.

    Raises:
        UserError: it cannot be measured again, or is precise.
    """
    found = longer(record, most_seconds)
    if found is None:
        raise UserError(
            f"This run lacks no rounds: each speedup has an interval of at most {exact_percent(PRECISE)} to each side, "
            "or there is none to be measured. Repeat it, or run it again.",
            code="conflict",
        )
    new = settings_again(record)
    new.settings = replace(new.settings, rounds=found.rounds, starts=found.starts, budget=float(found.seconds), seed=0)
    new.measures_on = record.id
    return new


def same_sample(record: Record, kept: Sequence[int]) -> list[int] | None:
    """The images that rounds went over, by their places among those that are ``kept`` (by index, in order); None for
    all."""
    chosen = set(record.sample or ())
    return [place for place, index in enumerate(kept) if index in chosen] if chosen else None
