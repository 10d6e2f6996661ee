"""What measuring yields: one ``TechniqueMeasurement`` per technique, and ``Progress`` on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["faster", "slower", "no measurable difference", "no difference that matters"]
#: The verdicts that tell no two apart.
LEVEL: tuple[Verdict, ...] = ("no measurable difference", "no difference that matters")


@dataclass
class Round:
    """One pass of one technique over the measured images. ``start``: the how manyth of its workers' starts, from 1, it
    was in. ``bytes_moved``: between its processes. ``phase_ends``:
    where there were several phases, in which workers wait for each other, the seconds after which each ended.
    ``joules``: what the whole machine took meanwhile, by what it is of (processor, memory, gpu), where it can be
    counted."""

    wall_seconds: float
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    bytes_moved: int | None = None
    phase_ends: list[float] = field(default_factory=list)
    start: int = 1
    joules: dict[str, float] = field(default_factory=dict)


@dataclass
class SpanRecord:
    """One stage on one worker, in seconds from the start of its round; ``worker`` and ``round`` count from 1.
    Worker 0 is the caller's own process, where it works for the others; ``part`` is the strip of a split image, and
    ``host`` the name of the worker's, where that is another one than the caller's."""

    worker: int
    image: int
    stage: str
    start: float
    end: float
    round: int = 1
    part: int | None = None
    host: str | None = None


@dataclass
class Tails:
    """Seconds of single images in the round nearest the median: what half of them and 95 % of them take at most, and
    the slowest; when the last one was done, and how long after the one before it; and the makespan's own bound, below
    which no order of the same work could have come."""

    p50_seconds: float
    p95_seconds: float
    slowest_seconds: float
    last_done_seconds: float
    last_after_seconds: float
    makespan_bound_seconds: float


@dataclass
class WorkSpan:
    """Seconds of the round nearest the median: of all stages (T1 of the work-span model), and of the longest path of
    stages that need each other, in which no number of workers can beat these stages (its T of infinitely many)."""

    work_seconds: float
    span_seconds: float


@dataclass
class TechniqueMeasurement:
    """One entry of ``techniques`` in run.json.

    ``label`` is unique in a run, where one technique may run in several ways: with other numbers of ``workers`` and
    their ``cv2_threads``, another ``transfer`` of images (see ``TRANSFERS``), ``start_method`` or ``chunk_size``;
    the last three are None where the technique knows no such thing. ``schedule``: how its tasks were shared out, a key
    of ``SCHEDULES``; None where that is not followed, for the reason ``unscheduled``. ``affinity``: the CPUs that each
    worker was pinned to, and ``unpinned``: why there are none though that was asked for. ``dashboard``: the address of
    a page on which it shows itself, while it runs. ``copies``: how often each image was in a round,
    more than once only in weak scaling. ``point``: of a run over more and more work, which amount of it this is, with
    so many ``images`` and ``megapixels`` in a round, which are None where it was all of them, handed over so many at a
    time; None for the whole. ``antipattern``: it is shown for what it does
    wrong, see ``Technique``.
    ``split``: the indexes of the images that were cut into strips.

    ``startup_seconds``: until every worker was ready. ``first_round_seconds``: the uncounted warm-up round,
    over ``first_round_images`` (all of them where it made the results, and the rounds went over a sample).
    ``between_starts``: where its workers were started anew, of the variance of a round's speedup (its logarithm) the
    share that is between the starts. ``typical_round``: the number of the round nearest the median. ``stages``: seconds
    summed over its workers.
    ``break_even_images``: from how many images like these starting it pays against the baseline; None: never.
    ``work_span``: how far its stages could be shared out at all. ``imbalance``: its busiest worker over their mean.
    ``tails``: what its single images take. ``breakdown``: that round's wall time in parts (see ``breakdown.PARTS``).
    ``identical``: every output had the
    baseline's pixels; None where they could not be compared. Speedups are T1/Tp from paired rounds: the geometric mean
    of the ratios, which is the ratio of ``geometric_mean_seconds``; ``speedup_check_ci95`` is the interval of their
    median that assumes nothing of how they scatter. Both are None where the speedups are ratios of medians, as earlier.

    ``joules_per_image``: the median of what the whole machine took in a round for each image, with its interval; None
    where that was not counted in every round.

    ``predicted_seconds`` and ``predicted_startup_seconds``: what a round and the start-up were expected to take, from
    what had been measured before this run; None where nothing was known.

    Of a run over items: ``idle_task_seconds``: what a round takes for each task whose function does nothing;
    ``tried_tasks``: what tasks of other work take, about as long as where the technique begins to pay and much longer:
    pairs of seconds for each task, the baseline's and the technique's. ``calls_overlap``: whether calls run at the same
    time; None where they are too short beside handing them over to tell;
    ``pays_from_task_seconds``: from calls of which length on the technique is faster than the baseline, one at a time.

    ``operations_seconds``: where a GPU takes part, what each operation alone takes, with the pixels where it works,
    summed over the images ``operations_images``; ``operations_speedup``: of their sum, over the baseline's.
    """

    name: str
    label: str
    workers: int = 1
    cv2_threads: int = 1
    numba_threads: int = 0
    transfer: str | None = None
    start_method: str | None = None
    chunk_size: int | None = None
    schedule: str | None = None
    unscheduled: str = ""
    affinity: list[list[int]] = field(default_factory=list)
    unpinned: str = ""
    dashboard: str | None = None
    copies: int = 1
    point: float | None = None
    images: int | None = None
    megapixels: float | None = None
    antipattern: bool = False
    split: list[int] = field(default_factory=list)
    available: bool = True
    reason: str | None = None
    startup_seconds: float | None = None
    first_round_seconds: float | None = None
    first_round_images: int | None = None
    rounds: list[Round] = field(default_factory=list)
    median_seconds: float | None = None
    geometric_mean_seconds: float | None = None
    ci95: list[float] | None = None
    images_per_second: float | None = None
    megapixels_per_second: float | None = None
    joules_per_image: float | None = None
    joules_per_image_ci95: list[float] | None = None
    speedup: float | None = None
    speedup_ci95: list[float] | None = None
    speedup_check_ci95: list[float] | None = None
    between_starts: float | None = None
    efficiency: float | None = None
    karp_flatt: float | None = None
    identical: bool | None = None
    verdict: Verdict | None = None
    break_even_images: int | None = None
    idle_task_seconds: float | None = None
    tried_tasks: list[list[float]] = field(default_factory=list)
    pays_from_task_seconds: float | None = None
    calls_overlap: bool | None = None
    operations_seconds: dict[str, float] = field(default_factory=dict)
    operations_images: list[int] = field(default_factory=list)
    operations_speedup: float | None = None
    typical_round: int = 1
    stages: dict[str, float] = field(default_factory=dict)
    breakdown: dict[str, float] = field(default_factory=dict)
    tails: Tails | None = None
    work_span: WorkSpan | None = None
    imbalance: float | None = None
    predicted_seconds: float | None = None
    predicted_startup_seconds: float | None = None
    warnings: list[str] = field(default_factory=list)
    spans: list[SpanRecord] = field(default_factory=list)

    @property
    def threads(self) -> int:
        """How many things it can do at once: workers, each with its inner threads."""
        return self.workers * max(1, self.cv2_threads, self.numba_threads)

    @property
    def starts(self) -> list[int]:
        """Of each round, in which start of its workers it was."""
        return [r.start for r in self.rounds]

    @property
    def cost(self) -> float:
        """What techniques are ordered by, in seconds a round: what speedups are ratios of, so that all agrees."""
        return self.geometric_mean_seconds or self.median_seconds or 0.0

    @property
    def typical(self) -> Round | None:
        """The round nearest the median; None where that was not kept."""
        return next(iter(self.rounds[self.typical_round - 1 : self.typical_round]), None)

    @property
    def operations_share(self) -> float:
        """Of a round's time, what the operations took that ``operations_seconds`` names."""
        return sum(self.stages.get(name, 0.0) for name in self.operations_seconds) / (self.median_seconds or math.inf)


#: What of a run can be looked at while it goes on: nothing yet, its images, its results too.
READY = NOTHING, IMAGES, RESULTS = ("", "images", "results")


#: Of so many images of a run that goes on it is shown who does them.
MOST_OWNED = 24


@dataclass
class Owned:
    """Who has done what so far in a pass of a technique with several workers, which are numbered from 1 as they first
    give something back. ``images``: the worker of each of the first ``MOST_OWNED`` images by its index, 0 while it has
    none; of an image in strips the last one. ``done``: how many tasks each worker has done."""

    technique: str
    label: str
    round: int = 0
    images: dict[int, int] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)


@dataclass
class Progress:
    """Where a run stands. ``share`` is 0 to 1; ``seconds_left`` is None until it can be estimated. ``walls``:
    seconds of the counted passes so far, by label. ``ready``: what can be looked at by now, one of ``READY``.
    ``owned``: of the last pass with several workers, which goes on or is over."""

    phase: str
    technique: str | None = None
    label: str = ""
    round: int = 0
    rounds: int = 0
    images_done: int = 0
    images_total: int = 0
    passes_done: int = 0
    passes_total: int = 0
    share: float = 0.0
    seconds_left: float | None = None
    elapsed: float = 0.0
    walls: dict[str, list[float]] = field(default_factory=dict)
    ready: str = NOTHING
    owned: Owned | None = None
