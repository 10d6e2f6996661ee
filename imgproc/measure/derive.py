"""Every figure that follows from the raw times and spans of a record: pure, so that anybody can compute it again."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from imgproc.backends import BASELINE
from imgproc.measure.bounds import work_and_span
from imgproc.measure.breakdown import CALLER, breakdown
from imgproc.measure.laws import karp_flatt
from imgproc.measure.results import SpanRecord, TechniqueMeasurement
from imgproc.measure.statistics import (
    Rules,
    between_starts,
    median_interval,
    paired_speedup,
    pairs,
    ratio_interval,
    start_means,
    verdict,
)
from imgproc.measure.tails import imbalance, tails

#: What ``derive`` sets; everything else in a measurement was measured.
DERIVED = (
    "median_seconds", "geometric_mean_seconds", "ci95", "images_per_second", "megapixels_per_second", "typical_round",
    "stages", "speedup", "speedup_ci95", "speedup_check_ci95", "between_starts", "efficiency", "karp_flatt", "verdict",
    "break_even_images", "breakdown", "tails", "work_span", "imbalance", "operations_speedup", "pays_from_task_seconds",
    "calls_overlap", "joules_per_image", "joules_per_image_ci95",
)  # fmt: skip
#: Those of them that records lack which are older than they.
LATER = ("work_span", "imbalance", "calls_overlap")
#: Those of this version, for a run that was not told otherwise.
USUAL = Rules()


def derive(
    measurements: Sequence[TechniqueMeasurement],
    *,
    images: int,
    megapixels: float,
    rules: Rules = USUAL,
    comparisons: int | None = None,
) -> None:
    """Fill what follows from rounds and spans: medians, intervals, speedups over the baseline, and their reasons.

    Args:
        images: how many each round went over, with so many ``megapixels``.
        rules: how speedups and verdicts come about.
        comparisons: how many the run makes; where not given, each of these with each.
    """
    timed = [m for m in measurements if m.rounds]
    for m in timed:
        _describe(m, images, megapixels, rules)
    baseline = next((m for m in timed if m.name == BASELINE), None)
    if baseline is None:
        return
    baseline.speedup = baseline.efficiency = 1.0
    comparisons = (comparisons or comparisons_of(timed)) if rules.simultaneous else 1
    for m in _to_the_end(timed):
        typical = m.rounds[m.typical_round - 1]
        m.breakdown = breakdown(
            typical.wall_seconds,
            typical_spans(m),
            workers=m.workers,
            inner=m.cv2_threads,
            base_wall=baseline.rounds[baseline.typical_round - 1].wall_seconds,
            base=typical_spans(baseline),
            barriers=typical.phase_ends[:-1],
        )
        if m is not baseline and m.identical is not False:  # no speedup for other pixels
            _compare(m, baseline, images, comparisons, rules)


def derive_points(
    points: Sequence[TechniqueMeasurement],
    comparisons: int,
    rules: Rules = USUAL,
    *,
    images: int = 1,
    megapixels: float = 0.0,
    baseline: TechniqueMeasurement | None = None,
) -> None:
    """As ``derive``, of a run over more and more work: for each amount of it, of those that did as much.

    Args:
        comparisons: how many the run makes, see ``comparisons_of``.
        images: those of the whole work, with so many ``megapixels``, and what was measured of the ``baseline`` with it:
            of amounts that are all the work, only handed over otherwise.
    """
    for point in sorted({m.point for m in points if m.rounds and m.point is not None}):
        same = [m for m in points if m.point == point and m.rounds]
        work = same[0].images or images, same[0].megapixels or megapixels
        if same[0].images is None and baseline is not None:
            same = [baseline, *same]
        derive(same, images=work[0], megapixels=work[1], rules=rules, comparisons=comparisons)


def derive_weak(
    weak: Sequence[TechniqueMeasurement],
    baseline: TechniqueMeasurement | None,
    *,
    images: int,
    megapixels: float,
    rules: Rules = USUAL,
) -> None:
    """Fill what follows from rounds whose work grew with the workers, each image being in them ``copies`` times.

    The speedup is the scaled one: so many times the baseline's work in so much of its time. A verdict, a serial
    fraction and a breakdown are for the same work only.

    Args:
        baseline: it went over each image once, in the same rounds; None: it was not measured.
        images: how many it went over, with so many ``megapixels``.
        rules: how speedups come about.
    """
    comparisons = max(1, sum(bool(m.rounds) for m in weak)) if rules.simultaneous else 1
    for m in (m for m in weak if m.rounds):
        _describe(m, images * m.copies, megapixels * m.copies, rules)
        if baseline is not None and baseline.rounds and m.identical is not False:
            _speedup(m, baseline, comparisons, rules)


def _describe(m: TechniqueMeasurement, images: int, megapixels: float, rules: Rules) -> None:
    walls = [r.wall_seconds for r in m.rounds]
    m.median_seconds = median = statistics.median(walls)
    of_starts = [math.exp(mean) for mean in start_means([*map(math.log, walls)], m.starts)]
    m.geometric_mean_seconds = None if rules.of_medians else statistics.geometric_mean(of_starts)
    interval = median_interval(of_starts if len(of_starts) > 1 else walls)  # rounds of one start are alike
    m.ci95 = list(interval) if interval else None
    m.images_per_second = images / median
    m.megapixels_per_second = megapixels / median
    _energy(m, images)
    distance = [abs(wall - median) for wall in walls]
    m.typical_round = distance.index(min(distance)) + 1
    m.stages = stages(typical_spans(m), m.workers * walls[m.typical_round - 1])
    # Of weak scaling one image is there several times under one number; an earlier version's record has none.
    m.tails = tails(typical_spans(m), m.workers) if m.copies == 1 and not rules.of_medians else None
    m.imbalance = imbalance(typical_spans(m), m.workers) if not rules.of_medians else None
    barriers = m.rounds[m.typical_round - 1].phase_ends[:-1]
    m.work_span = work_and_span(typical_spans(m), barriers) if m.copies == 1 and not rules.of_medians else None


def _energy(m: TechniqueMeasurement, images: int) -> None:
    """What an image takes, where every round knows; of several starts each counts once, as with times."""
    each = [sum(r.joules.values()) / images for r in m.rounds if r.joules and images]
    if len(each) < len(m.rounds):
        return
    samples = start_means(each, m.starts) if len({*m.starts}) > 1 else each
    interval = median_interval(samples)
    m.joules_per_image = statistics.median(samples)
    m.joules_per_image_ci95 = list(interval) if interval else None


def comparisons_of(measurements: Sequence[TechniqueMeasurement], points: Sequence[TechniqueMeasurement] = ()) -> int:
    """How many comparisons there are of those that were timed: each with each, and for each amount of work the
    technique with the baseline, with its start-up and without, for the whole work too."""
    amounts, whole = (sum(bool(m.rounds) and m.name != BASELINE for m in some) for some in (points, measurements))
    return pairs(len(_to_the_end(measurements))) + (2 * amounts + max(1, whole) if amounts else 0)


def _to_the_end(measurements: Sequence[TechniqueMeasurement]) -> list[TechniqueMeasurement]:
    """Those that were timed beside the baseline: what failed meanwhile has but the pass that made the results."""
    timed = [m for m in measurements if m.rounds]
    if not any(m.name == BASELINE for m in timed):
        return timed
    return [m for m in timed if m.reason is None or m.identical is False]


def _speedup(m: TechniqueMeasurement, baseline: TechniqueMeasurement, comparisons: int, rules: Rules) -> float:
    base, walls = ([r.wall_seconds for r in t.rounds] for t in (baseline, m))
    alike, interval = paired_speedup(base, walls, comparisons, of_medians=rules.of_medians, starts=m.starts)
    check = None if rules.of_medians else ratio_interval(base, walls, m.starts)
    m.between_starts = between_starts([math.log(b / w) for b, w in zip(base, walls, strict=True)], m.starts)
    m.speedup = m.copies * alike
    m.speedup_ci95 = [m.copies * end for end in interval] if interval else None
    m.speedup_check_ci95 = [m.copies * end for end in check] if check else None
    m.efficiency = m.speedup / m.threads
    return m.speedup


def _compare(
    m: TechniqueMeasurement, baseline: TechniqueMeasurement, images: int, comparisons: int, rules: Rules
) -> None:
    m.karp_flatt = karp_flatt(_speedup(m, baseline, comparisons, rules), m.threads)
    m.verdict = verdict(m.speedup_ci95, rules.smallest)
    if m.operations_seconds and m.operations_images == baseline.operations_images:
        m.operations_speedup = sum(baseline.operations_seconds.values()) / sum(m.operations_seconds.values())
    if m.verdict in ("faster", None):  # else there is no telling whether it ever pays
        m.break_even_images = break_even(m, baseline, images)


def derive_tasks(measurements: Sequence[TechniqueMeasurement], count: int, cores: int) -> None:
    """Fill from calls of which length on each technique pays, for tasks without images.

    A task takes the technique its handing over, and of what it takes the baseline a share: ``1/p`` at least, with the
    workers ``p`` that have a core each. Both are told by tasks of other work near where it begins to pay and far
    beyond; the share by the calls themselves, where they are long enough beside handing one over.

    Args:
        count: of tasks in a round.
    """
    baseline = next((m for m in measurements if m.name == BASELINE and m.median_seconds), None)
    if baseline is None or baseline.median_seconds is None:
        return
    call = baseline.median_seconds / count
    for m in measurements:
        idle, own = m.idle_task_seconds, baseline.idle_task_seconds
        if m is baseline or idle is None or own is None or m.median_seconds is None:
            continue
        least, task = 1 / min(m.threads, cores), m.median_seconds / count
        share, handing = least, idle - least * own
        if len(m.tried_tasks) == 2:
            (near, near_task), (far, far_task) = m.tried_tasks
            share = max(least, (far_task - near_task) / max(far - near, 1e-12))
            handing = max(handing, near_task - share * near)
        long_enough = call - own > idle or not m.tried_tasks
        if long_enough:
            share = max(least, (task - idle) / max(call - own, 1e-12))
        m.calls_overlap = share < _AT_THE_SAME_TIME if long_enough else None
        overlaps = m.calls_overlap is not False and share < _AT_THE_SAME_TIME
        m.pays_from_task_seconds = max(0.0, handing / (1 - share) - own) if overlaps else None


#: Of a call's time the part by which a round grows, from which on calls do not run at the same time.
_AT_THE_SAME_TIME = 0.9


def typical_spans(m: TechniqueMeasurement) -> list[SpanRecord]:
    """The spans of the round nearest the median."""
    return [span for span in m.spans if span.round == m.typical_round]


def break_even(m: TechniqueMeasurement, baseline: TechniqueMeasurement, images: int) -> int | None:
    """From how many images like these a technique that must be started first is faster than the baseline, which
    need not be: the start-up and what its first round took longer, over what it gains per image. None: it gains
    nothing."""
    if m.median_seconds is None or baseline.median_seconds is None:
        return None
    gain = (baseline.median_seconds - m.median_seconds) / images
    if gain <= 0:
        return None
    warm = m.median_seconds * (m.first_round_images or images) / images
    cold = (m.startup_seconds or 0.0) + max(0.0, (m.first_round_seconds or 0.0) - warm)
    return max(1, math.ceil(cold / gain))


def stages(records: Iterable[SpanRecord], worker_seconds: float) -> dict[str, float]:
    """Seconds per stage summed over the workers and the caller, where it works for them; ``wait`` is what of
    ``worker_seconds`` no stage of a worker took."""
    total: dict[str, float] = defaultdict(float)
    busy = 0.0
    for span in records:
        total[span.stage] += span.end - span.start
        busy += span.end - span.start if span.worker != CALLER else 0.0
    total["wait"] = max(0.0, worker_seconds - busy)
    return {stage: round(seconds, 6) for stage, seconds in total.items()}
