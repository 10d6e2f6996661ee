"""The contract of a technique: how tasks are spread over workers. Nothing here knows what a task means."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from imgproc.backends.places import NO_WAY, OFF
from imgproc.backends.schedules import SCHEDULES, USUAL, Batches, one_chunk_at_a_time
from imgproc.backends.task import Task, TaskResult
from imgproc.settings import Settings


@dataclass(frozen=True)
class Capabilities:
    """What a technique is like; pages and tests read it.

    ``memory``: how workers see the caller's memory. ``killable``: whether a worker can be killed without
    taking the caller along, as one in another process can. ``inline``: whether tasks run in the caller's own thread:
    one after the other, with no deadline, and Ctrl-C ends the run. ``min_workers`` and ``max_workers``: what can be
    asked for, None for any number. ``inner_threads``: whether each worker can use several of OpenCV's threads.
    ``start_methods``: how its worker processes can be started, the default first. ``chunks``: whether it can hand out
    several tasks at once. ``splits``: whether its workers can share one image, strip by strip. ``carries``: whether it
    can move pixels to its workers and back (``Task.carrier``). ``transfer``: the one way in which it does, by a key of
    ``TRANSFERS``, where that is not to be chosen. ``alone``: whether only one of it can be started in a
    process at a time. ``prange``: whether operations are done by their programs for Numba (``Operation.prange``).
    ``unscheduled``: why who gets which task cannot be chosen, in words; empty where it can. ``unpinned``: the same of
    the cores that its workers are on.
    """

    memory: Literal["shared", "copied", "device"]
    killable: bool
    max_workers: int | None = None
    min_workers: int = 1
    inner_threads: bool = False
    start_methods: tuple[str, ...] = ()
    chunks: bool = False
    splits: bool = False
    carries: bool = False
    transfer: str = ""
    alone: bool = False
    inline: bool = False
    prange: bool = False
    unscheduled: str = ""
    unpinned: str = NO_WAY


@dataclass(frozen=True)
class Options:
    """How a technique is to work, beyond the number of its workers; what it cannot do it leaves at the default.

    ``cv2_threads``: OpenCV's own threads in each worker. ``start_method``: of worker processes, None for the
    technique's default. ``chunk_size``: how many tasks a worker is handed at once. ``schedule``: how tasks are shared
    out, a key of ``SCHEDULES``. ``affinity``: how workers are pinned to cores, a key of ``AFFINITIES``. ``settings``:
    of whoever runs the app, which say where workers on other machines are.
    """

    cv2_threads: int = 1
    start_method: str | None = None
    chunk_size: int = 1
    schedule: str = USUAL
    affinity: str = OFF
    settings: Settings = Settings()


DEFAULTS = Options()


@dataclass(frozen=True)
class Availability:
    """Whether a technique can run here, and if not, why and the command that mends it. ``items``: whether it can, where
    it cannot work on images, at least call functions of a user's own over items."""

    ok: bool
    reason: str = ""
    command: str = ""
    items: bool = False

    @property
    def calls(self) -> bool:
        """Whether it can call functions of a user's own."""
        return self.ok or self.items


class BackendError(Exception):
    """The technique itself failed, as distinct from one of its tasks: workers could not be started,
    or kept dying whatever they were given."""


class Backend(ABC):
    """Workers of one technique. ``start``, then ``run`` any number of times, then ``close``.

    A technique in the caller's thread inherits this class; one with threads ``pools.threaded.ThreadBackend``, one with
    worker processes of this machine ``pools.processes.ProcessBackend``, which keep the promises of ``run``.

    Whoever uses a backend reads these, all of which have defaults. ``workers`` is the number obtained, which a
    technique may make smaller than what was requested; ``cv2_threads`` is how many of OpenCV's own threads each worker
    uses, from ``start`` on those that it took (``pin_threads``), and ``numba_threads`` how many of Numba's, 0 where
    operations are not done by these; ``start_method`` is None where no process is started.
    ``places``: the CPUs of each worker, from ``start`` on, where they are pinned; ``unpinned``: why they cannot be, as
    in ``Capabilities``, also where only the settings, or the start, tell.
    ``local``: whether all workers are on this machine, and can share its memory; ``dashboard``: the address of a page
    on which the technique shows itself, if it has one. ``notes``: sentences about how it went that belong into the
    record; whoever puts them there takes them away.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    #: Processes on this machine that work for it without being the caller's descendants; known from ``start`` on.
    helpers: tuple[int, ...] = ()
    #: Bytes that tasks may take together (``Task.memory``) that are handed to workers at a time; one always is.
    most_memory = math.inf
    #: How often all its workers were replaced in the middle of a run.
    replacements = 0
    numba_threads = 0

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        able, limit = self.capabilities, self.capabilities.max_workers
        self.workers = workers if limit is None else min(workers, limit)
        self.cv2_threads = options.cv2_threads if able.inner_threads else 1
        self.chunk_size = options.chunk_size if able.chunks else 1
        self.schedule = SCHEDULES[USUAL if able.unscheduled else options.schedule]
        self.unpinned = able.unpinned
        self.affinity = OFF if able.unpinned else options.affinity
        self.places: list[list[int]] = []
        self.settings = options.settings
        self.notes: list[str] = []
        wanted = options.start_method if options.start_method in able.start_methods else None
        self.start_method = wanted or next(iter(able.start_methods), None)
        self.local = True
        self.dashboard: str | None = None

    @classmethod
    def availability(cls, settings: Settings = DEFAULTS.settings) -> Availability:  # noqa: ARG003
        """Whether it can run here, with these settings. Asked often, so it should not import what it only looks for.
        Never raises."""
        return Availability(True)

    @abstractmethod
    def start(self) -> None:
        """Make the workers; returns when every one of them is ready. Safe to call twice.

        Raises:
            BackendError: they could not be started.
        """

    @abstractmethod
    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """Exactly one result per task, as completed, made by ``run_task`` in a worker with ``cv2_threads`` of OpenCV's
        threads, whatever another technique in this process may have set since ``start``.

        Args:
            tasks: independent of each other, to be begun in this order as far as ``schedule`` shares them out in it;
                ``index`` is unique in one call.
            deadline: seconds that one task may take before its worker counts as hung.

        A task that fails is a result with an error. A worker that dies or hangs costs at most its one task,
        which is retried once on a fresh worker; others that it was handed with it are run again. Closing the
        iterator early ends the run; another run may follow, also after ``close`` and ``start``.

        Raises:
            BackendError: the technique itself failed.
        """

    def batches(self, tasks: Sequence[Task]) -> Batches:
        """The tasks as they are handed out by its schedule, once it is known how many workers there are. Those with
        carriers, whose pixels take memory while a worker has them, a chunk at a time in any case."""
        carried = any(task.carrier for task in tasks)
        cut = one_chunk_at_a_time if carried else self.schedule.cut
        return cut(tasks, self.workers, self.chunk_size)

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether workers may turn out to be on other machines; to be asked before ``start``, when ``local`` is not
        known yet."""
        return not self.local

    def sees(self, folder: Path) -> bool:
        """Whether every worker reads and writes the same files there as the caller; to be asked after ``start``."""
        return True

    @abstractmethod
    def close(self, *, kill: bool = False) -> None:
        """End the workers, at once with ``kill``. Safe to call twice."""


#: Why a task failed whose worker ended twice.
DIED = (
    "The worker ended without an answer, twice, while working on this image. "
    "It may be damaged in a way that crashes the decoder, or too large for the memory there is."
)


def hung(deadline: float) -> str:
    """Why a task failed that took longer than ``deadline`` seconds, twice."""
    return f"This image took longer than the limit of {deadline:g} seconds, twice."


#: What a record says of worker processes that were made by fork.
FORK_WARNING = (
    "The worker processes were made by fork, which copies a process with threads in the middle of whatever they do: "
    "a worker can hang or crash at any time. Use forkserver or spawn for work that matters."
)
