"""What makes a measurement doubtful, in plain words, and what to do about it: pure functions."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from imgproc.measure.breakdown import CALLER
from imgproc.measure.derive import typical_spans
from imgproc.measure.load import LEAST_SECONDS
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.statistics import LEAST_FOR_INTERVAL, LEAST_STARTS, verdict
from imgproc.numbers import NBSP, counted, percent, spelled_seconds

#: Standard deviation of the rounds over their mean, above which they scatter too much.
SPREAD = 0.10
#: How much slower than the others' median the first round must be, and by how many of their standard deviations.
SLOW_FIRST, SLOW_FIRST_DEVIATIONS = 0.10, 3.0
#: How much the times must change from first to last round, and how significantly (1 % of steady runs do).
DRIFT, DRIFT_Z = 0.05, 2.5
#: The alarm that other programs were at work.
BUSY_MACHINE = "busy-machine"
#: Cores that others may use. What runs on any idle machine stays below; one busy program does not.
BUSY_CORES = 0.25
EFFICIENCY = 1.05
#: Share of a round that a worker should be at work.
BUSY_SHARE = 0.5
#: Times the threads' number that CPU time over wall time may be, plus a little: a pool's caller works too.
HIDDEN_FACTOR, HIDDEN_CORES = 1.1, 0.1

#: Names of the alarms that are about the machine and the rounds, the same for every technique of a run.
OF_THE_RUN = ("few-rounds", "busy-machine")
#: Those that rounds of little work, which a run over more and more of it has on purpose, raise wherever they are.
OF_LITTLE_WORK = ("oversubscribed", "idle-workers", "spread", "slow-first-round")


@dataclass(frozen=True)
class Alarm:
    """A doubt about a measurement: a stable name, one sentence that says what was seen, one that says what to do, and
    the label of the technique it is about; none where it is about the whole run."""

    name: str
    message: str
    advice: str
    who: str = ""

    @property
    def text(self) -> str:
        """As it stands in ``warnings``."""
        return f"{self.who}{': ' if self.who else ''}{self.message} {self.advice}"


def of_items(alarm: Alarm) -> Alarm:
    """The same of a run over items that are no images."""
    advice = alarm.advice.replace("larger ones or ones more equal in size", "or ones whose calls take longer")
    advice = advice.replace(" split large ones into strips,", "")
    return replace(alarm, message=alarm.message.replace("image", "item"), advice=advice.replace("image", "item"))


def alarms_of_run(
    measurements: Sequence[TechniqueMeasurement],
    *,
    environment: Mapping[str, Any],
    images: int,
    ignored: Sequence[str] = (),
    smallest: float = 0.0,
) -> list[Alarm]:
    """Every doubt about the rounds of a run: what is the same for all techniques first and once, then by technique.

    Args:
        environment: of the record, with ``cores_used_by_others`` during the rounds.
        images: how many a round had for each of a measurement's ``copies``.
        ignored: names of alarms that are no news, because what raises them was asked for.
        smallest: the share up to which a difference does not matter.
    """
    found = []
    for m in measurements:
        # What failed and was given up has no figures that could be doubted.
        if m.reason is None or m.identical is False:
            own = [*alarms(m, environment, images * m.copies), *_cross_check(m, smallest)]
            found += [a if a.name in OF_THE_RUN else replace(a, who=m.label) for a in own if a.name not in ignored]
    return sorted(dict.fromkeys(found), key=lambda alarm: bool(alarm.who))


def alarms(measurement: TechniqueMeasurement, environment: Mapping[str, Any], tasks: int) -> list[Alarm]:
    """Every doubt there is about a technique's rounds of so many ``tasks``, once ``derive`` has filled what follows
    from them; none about one that has not been measured, and none from what the environment does not say."""
    if not measurement.rounds:
        return []
    walls = [r.wall_seconds for r in measurement.rounds]
    found = [
        *_few_rounds(walls, len({*measurement.starts})),
        *_spread(walls),
        *_slow_first_round(walls),
        *_drift(walls),
        *_busy_machine(environment),
        *_quota(measurement.threads, environment),
        *_oversubscribed(measurement, environment),
        *_hidden_threads(measurement),
        *_idle_workers(measurement, tasks),
        *_superlinear(measurement),
    ]
    return [replace(alarm, message=alarm.message.replace(NBSP, " ")) for alarm in found]  # for scripts


def spread(walls: Sequence[float]) -> float:
    """Standard deviation of the sample over its mean: as benchmark tools define it, and one round in six that
    takes a third longer is seen. The range would grow with the number of rounds, the quartiles hide that round.

    Raises:
        StatisticsError: fewer than two.
    """
    return statistics.stdev(walls) / statistics.fmean(walls)


def drift(walls: Sequence[float]) -> tuple[float, float]:
    """How much the times change from the first to the last round as a share of their median (by the median of the
    slopes between all pairs, after Theil and Sen), and how significantly (z of Mann and Kendall's trend test)."""
    n = len(walls)
    pairs = list(combinations(enumerate(walls), 2))
    slope = statistics.median((b - a) / (j - i) for (i, a), (j, b) in pairs)
    rises = sum(int(b > a) - int(b < a) for (_, a), (_, b) in pairs)
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    z = math.copysign(max(0, abs(rises) - 1), rises) / deviation
    return slope * (n - 1) / statistics.median(walls), z


def _few_rounds(walls: Sequence[float], starts: int) -> Iterator[Alarm]:
    if 1 < starts < LEAST_STARTS:
        yield Alarm(
            "few-rounds",
            f"The workers were started only {starts} times, too few for a 95 % interval over starts, so nothing says "
            "how sure the result is.",
            f"Ask for at least {LEAST_STARTS} starts, and allow a longer time or use fewer images so that they fit in.",
        )
    elif starts > 1:
        return
    elif len(walls) < LEAST_FOR_INTERVAL:
        timed = "1 round was" if len(walls) == 1 else f"{len(walls)} rounds were"
        yield Alarm(
            "few-rounds",
            f"Only {timed} timed, too few for a 95 % interval, so nothing says how sure the result is.",
            f"Ask for at least {LEAST_FOR_INTERVAL} rounds, and allow a longer time or use fewer images so that they "
            "fit in.",
        )


def _spread(walls: Sequence[float]) -> Iterator[Alarm]:
    if len(walls) >= 3 and (found := spread(walls)) > SPREAD:
        yield Alarm(
            "spread",
            f"The rounds took from {spelled_seconds(min(walls))} to {spelled_seconds(max(walls))}: their standard "
            f"deviation is {percent(found)} of their mean, where up to {percent(SPREAD)} is usual.",
            "Close other programs, then run it again with more rounds or more images.",
        )


def _slow_first_round(walls: Sequence[float]) -> Iterator[Alarm]:
    first, others = walls[0], walls[1:]
    if len(others) < 3:
        return
    middle = statistics.median(others)
    over = first - middle
    if over > SLOW_FIRST * middle and over > SLOW_FIRST_DEVIATIONS * statistics.stdev(others):
        yield Alarm(
            "slow-first-round",
            f"The first counted round took {spelled_seconds(first)}, {percent(over / middle)} longer than the median "
            f"of the others ({spelled_seconds(middle)}), so something was still warming up.",
            "Run it again: what had to be loaded for the first time is in memory then.",
        )


def _drift(walls: Sequence[float]) -> Iterator[Alarm]:
    if len(walls) < LEAST_FOR_INTERVAL:
        return
    change, z = drift(walls)
    if abs(change) > DRIFT and abs(z) > DRIFT_Z:
        yield Alarm(
            "drift",
            f"The rounds became steadily {'slower' if change > 0 else 'faster'}, by {percent(abs(change))} from the "
            "first to the last.",
            "Trust the speedup, which compares passes of the same round, more than the seconds, and run it again "
            "when the machine has cooled down or finished its other work.",
        )


def _busy_machine(environment: Mapping[str, Any]) -> Iterator[Alarm]:
    busy = environment.get("cores_used_by_others")
    if busy is None or busy <= BUSY_CORES:
        return
    cores = environment.get("cores_logical")
    of_these = f"{busy:.2f} of this machine’s {counted(cores, 'core')}" if cores else f"{busy:.2f} cores"
    yield Alarm(
        BUSY_MACHINE,
        f"Other programs used {of_these} during the rounds.",
        "Close them or wait until they are done, then run it again.",
    )


def _quota(threads: int, environment: Mapping[str, Any]) -> Iterator[Alarm]:
    quota, cores = environment.get("cpu_quota"), environment.get("cores_logical")
    wanted = min(threads, cores or threads)
    if quota is None or quota >= wanted:
        return
    fewer = f", or ask for {counted(int(quota), 'thread')}" if quota >= 1 else ""
    yield Alarm(
        "quota",
        f"A CPU quota allows this program {quota:g} {'core' if quota == 1 else 'cores'}, less than the {wanted} that "
        f"{counted(threads, 'thread')} can use, so the system keeps pausing it.",
        f"Raise the quota (with Docker: --cpus={wanted}){fewer}.",
    )


def _oversubscribed(m: TechniqueMeasurement, environment: Mapping[str, Any]) -> Iterator[Alarm]:
    cores = environment.get("cores_usable")
    if not cores or m.threads <= cores:
        return
    kind = "Numba" if m.numba_threads else "OpenCV"
    if m.threads == m.workers:
        makes = f"{m.workers} workers share"
    elif m.workers == 1:
        makes = f"{m.threads} {kind} threads share"
    else:
        makes = f"{m.workers} workers with {m.cv2_threads} OpenCV threads each are {m.threads} threads that share"
    yield Alarm(
        "oversubscribed",
        f"{makes} {counted(cores, 'usable core')}, so they take turns and get in each other’s way.",
        f"Ask for {counted(cores, 'thread')} or fewer in all: workers times {kind} threads.",
    )


def _hidden_threads(m: TechniqueMeasurement) -> Iterator[Alarm]:
    known = [(r.cpu_seconds, r.wall_seconds) for r in m.rounds if r.cpu_seconds is not None]
    wall = sum(w for _, w in known)
    if wall < LEAST_SECONDS:
        return
    cores = sum(cpu for cpu, _ in known) / wall
    threads = m.threads + any(span.worker == CALLER for span in typical_spans(m))
    if cores > HIDDEN_FACTOR * threads + HIDDEN_CORES:
        yield Alarm(
            "hidden-threads",
            f"It used {cores:.2f} seconds of CPU time per second, where {counted(threads, 'thread')} can use at most "
            f"{threads}, so threads are at work that are not counted.",
            "Pin the threads of every library it uses (OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1, "
            "cv2.setNumThreads(1)), or count them as workers.",
        )


def _idle_workers(m: TechniqueMeasurement, tasks: int) -> Iterator[Alarm]:
    spans, workers = typical_spans(m), m.workers
    if not spans:
        return
    busy: dict[int, float] = defaultdict(float)
    for span in spans:
        if span.stage != "wait" and span.worker != CALLER:
            busy[span.worker] += span.end - span.start
    wall = m.rounds[m.typical_round - 1].wall_seconds
    if tasks < workers:
        message = f"There was work for {tasks} of the {workers} workers only; the others had nothing to do."
        advice = f"Use at least {workers} images, split large ones into strips, or ask for fewer workers."
    elif idle := max(0, workers - len(busy)):
        message = f"{idle} of the {workers} workers got nothing to do, though there was work for all."
        advice = "Use more images, so that slow workers do not miss their turn, or ask for fewer workers."
    elif lazy := [seconds / wall for seconds in busy.values() if seconds < BUSY_SHARE * wall]:
        message = (
            f"{len(lazy)} of {counted(workers, 'worker')} worked for less than half of the round, the least busy "
            f"for {percent(min(lazy))} of it."
        )
        advice = "Use more images, larger ones or ones more equal in size, or ask for fewer workers."
        if any(span.worker == CALLER and span.end - span.start > 0.01 * wall for span in spans):
            advice = (
                "They wait for the caller, which reads, encodes and writes for all: transfer paths instead of pixels."
            )
    else:
        return
    yield Alarm("idle-workers", message, advice)


def _superlinear(m: TechniqueMeasurement) -> Iterator[Alarm]:
    if m.efficiency is not None and m.speedup is not None and m.efficiency > EFFICIENCY:
        what = "worker" if m.threads == m.workers else "thread"
        yield Alarm(
            "superlinear",
            f"A speedup of {m.speedup:.2f}x with {counted(m.threads, what)} is an efficiency of "
            f"{percent(m.efficiency)}, more than these alone can explain.",
            "Run it again: the baseline may have been disturbed; if it stays, look for threads that are not counted.",
        )


def _cross_check(m: TechniqueMeasurement, smallest: float) -> Iterator[Alarm]:
    """Whether the interval that assumes nothing of how the rounds scatter disagrees with the speedup or its verdict."""
    if m.speedup is None or m.speedup_ci95 is None or m.speedup_check_ci95 is None:
        return
    low, high = m.speedup_check_ci95
    known = f"Order statistics, which assume nothing of how the rounds scatter, give it {low:.3g} to {high:.3g}"
    if not low <= m.speedup <= high:
        doubt = f"{known}, and the speedup of {m.speedup:.3g} is not in there: some rounds are far off to one side."
    elif m.verdict in ("faster", "slower") and verdict(m.speedup_check_ci95, smallest) != m.verdict:
        doubt = f"{known}, by which it is not surely {m.verdict}."
    else:
        return
    yield Alarm("cross-check", doubt, "Look at the rounds for disturbed ones, and run it again with more of them.")
