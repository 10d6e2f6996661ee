"""The contract of a technique: how tasks are spread over workers. Nothing here knows what a task means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from imgproc.image.task import Task, TaskResult


@dataclass(frozen=True)
class Capabilities:
    """What a technique is like; pages and tests read it.

    ``memory``: how workers see the caller's memory. ``killable``: whether a worker can be killed without
    taking the caller along. ``min_workers`` and ``max_workers``: what can be asked for, None for any number.
    """

    memory: Literal["shared", "copied", "device"]
    killable: bool
    max_workers: int | None = None
    min_workers: int = 1


@dataclass(frozen=True)
class Availability:
    """Whether a technique can run here, and if not, why and the command that mends it."""

    ok: bool
    reason: str = ""
    command: str = ""


class BackendError(Exception):
    """The technique itself failed, as distinct from one of its tasks: workers could not be started,
    or kept dying whatever they were given."""


class Backend(ABC):
    """Workers of one technique. ``start``, then ``run`` any number of times, then ``close``.

    ``workers`` is the number obtained, which a technique may make smaller than what was requested;
    ``cv2_threads`` is how many of OpenCV's own threads each worker uses.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    cv2_threads: int = 1

    def __init__(self, workers: int) -> None:
        limit = self.capabilities.max_workers
        self.workers = workers if limit is None else min(workers, limit)

    @classmethod
    def availability(cls) -> Availability:
        """Whether it can run here. Never raises."""
        return Availability(True)

    @abstractmethod
    def start(self) -> None:
        """Make the workers; returns when every one of them is ready. Safe to call twice.

        Raises:
            BackendError: they could not be started.
        """

    @abstractmethod
    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        """Exactly one result per task, as completed.

        Args:
            tasks: independent of each other; ``index`` is unique in one call.
            deadline: seconds that one task may take before its worker counts as hung.

        A task that fails is a result with an error. A worker that dies or hangs costs at most its one task,
        which is retried once on a fresh worker. Closing the iterator early ends the run.
        """

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
