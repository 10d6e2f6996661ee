"""What a worker's time goes to: stages, timed by a clock that all workers share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_ahead = 0.0


def clock() -> float:
    """``time.perf_counter()`` seconds, which are the same in every process of a machine; on another one than the
    caller's with ``set_clock``'s correction."""
    return time.perf_counter() + _ahead


def set_clock(ahead: float) -> None:
    """The caller's clock is so many seconds ahead of this machine's. For a worker process on another machine, before
    its first task; nothing else writes it."""
    global _ahead
    _ahead = ahead


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of one task on one worker. Times are seconds of the caller's ``clock``."""

    stage: str
    start: float
    end: float


class Stopwatch:
    """Collects the spans of one task. A stage within another interrupts it: no two spans are at the same time."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._stage: str | None = None
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        outer = self._stage
        self._turn_to(name)
        yield
        self._turn_to(outer)

    def note(self, stage: str, start: float, end: float) -> None:
        """A stage that something else timed, while none was under way here."""
        self.spans.append(Span(stage, start, end))

    def _turn_to(self, stage: str | None) -> None:
        now = clock()
        if self._stage is not None:
            self.spans.append(Span(self._stage, self._since, now))
        self._stage, self._since = stage, now
