"""Where a run stands, and how long it will take: estimates from the passes seen so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

from imgproc.backends.phases import Plan
from imgproc.backends.task import TaskResult
from imgproc.measure.protocol import Contender
from imgproc.measure.results import IMAGES, Owned, Progress

OnProgress = Callable[[Progress], None]
#: Whether somebody asked to end the run.
Cancel = Callable[[], bool]
#: Phases of which it is told who does what.
_BY_WORKERS = ("results", "warm-up", "rounds")


class Cancelled(Exception):
    """Somebody asked to end the run."""


class Tracker:
    """Turns what happens in a run into ``Progress``.

    The time left is estimated from seconds per pass: measured once a pass is done, before that from the part of
    it that is. The share never goes back.
    """

    def __init__(
        self,
        tell: OnProgress,
        cancelled: Cancel = lambda: False,
        *,
        rounds: int,
        budget: float,
        contenders: int,
        images: Iterable[int] = (),
    ) -> None:
        """
        Args:
            images: the indexes of those of which it is told who does them, a few.
        """
        self._tell, self._cancelled = tell, cancelled
        self._rounds = rounds if budget > 0 else 0
        self._budget = budget
        self._contenders = contenders
        self._begin = time.perf_counter()
        self._phase_begin = self._begin
        self._rounds_begin: float | None = None
        self._owned_images = tuple(images)
        #: Of which image each task of the phase is, while it is told who does them.
        self._of_image: list[int] = []
        self._workers: dict[tuple[str, int, int], int] = {}
        passes = 1 + self._rounds * contenders
        self._now = Progress("starting", rounds=self._rounds, passes_total=passes, ready=IMAGES)

    def phase(self, name: str, contender: Contender, *, images: int = 0, round: int = 0) -> None:
        """A new phase begins; ``images`` are to be done in it."""
        label = contender.measurement.label
        self._now.walls.setdefault(label, [])
        self._phase_begin = time.perf_counter()
        if round and self._rounds_begin is None:
            self._rounds_begin = self._phase_begin
        if round > self._rounds:  # not precise yet, so it goes on
            self._rounds = round
            self._now.rounds, self._now.passes_total = round, 1 + round * self._contenders
        self._now.phase, self._now.technique, self._now.label = name, contender.technique.name, label
        self._now.round, self._now.images_done, self._now.images_total = round, 0, images
        self._of_image, self._workers = [], {}
        self._send()

    def follow(self, plan: Plan) -> Plan:
        """The same plan; of what comes of it with several workers it is told who did it."""
        if not self._owned_images or self._now.phase not in _BY_WORKERS:
            return plan
        return self._followed(plan)

    def _followed(self, plan: Plan) -> Plan:
        now = self._now
        now.owned = Owned(now.technique or "", now.label, now.round, dict.fromkeys(self._owned_images, 0))
        with closing(plan):
            results = None
            while True:
                try:
                    phase = plan.send(results) if results is not None else next(plan)
                except StopIteration as end:
                    made: list[TaskResult] = end.value
                    return made
                self._of_image = [task.of_image for task in phase]
                results = yield phase

    def can_be_seen(self, what: str) -> None:
        """What is there to look at from now on, one of ``READY``."""
        self._now.ready = what
        self._send()

    def loading_encoder(self) -> None:
        """Before anything else, what encodes is loaded."""
        self._now.phase = "loading"
        self._send()

    def cutting(self, images: int) -> None:
        """Parts of so many images are made, to be measured on."""
        self._now.phase, self._now.round, self._now.images_done, self._now.images_total = "cutting", 0, 0, images
        self._send()

    def image_done(self, result: TaskResult | None = None) -> None:
        """Raises: Cancelled: somebody asked to end the run."""
        if self._cancelled():
            raise Cancelled
        self._now.images_done += 1
        if self._of_image and result is not None:
            self._note_owner(result)
        self._send()

    def _note_owner(self, result: TaskResult) -> None:
        """Whoever looks meanwhile may find what was noted in part, but nothing that changes its size."""
        owned, worker = self._now.owned, result.worker
        if owned is None or worker is None:
            return
        number = self._workers.setdefault((worker.host, worker.pid, worker.thread), len(self._workers) + 1)
        if number > len(owned.done):
            owned.done.append(0)
        owned.done[number - 1] += 1
        if (image := self._of_image[result.index]) in owned.images:
            owned.images[image] = number

    def pass_done(self, wall: float | None = None) -> None:
        """A pass is over; ``wall`` is its time where it counts."""
        self._now.passes_done += 1
        if wall is not None:
            self._now.walls[self._now.label].append(round(wall, 4))
        self._send()

    def _send(self) -> None:
        now = time.perf_counter()
        elapsed = now - self._begin
        left = self._left(now)
        if left is not None:
            share = elapsed / (elapsed + left) if elapsed + left > 0 else 0.0
            self._now.share = min(0.99, max(self._now.share, share))
        self._now.seconds_left = left
        self._now.elapsed = elapsed
        self._tell(replace(self._now, walls={label: list(walls) for label, walls in self._now.walls.items()}))

    def _left(self, now: float) -> float | None:
        p = self._now
        if self._rounds_begin is not None:  # measured passes: extrapolate them
            done = p.passes_done - 1 + (p.images_done / p.images_total if p.images_total else 0)
            if done <= 0:
                return None
            per_pass = (now - self._rounds_begin) / done
            left = per_pass * (self._rounds * self._contenders - done)
            return max(0.0, min(left, self._budget - (now - self._rounds_begin) + per_pass * self._contenders))
        if p.phase == "results" and p.images_done:
            here = now - self._phase_begin
            rest = here * (p.images_total - p.images_done) / p.images_done
            # The baseline takes about as much longer as there are workers; nobody knows yet, so this is rough.
            measuring = (here + rest) * (self._rounds + 1) * (3 if self._contenders > 1 else 1)
            return rest + min(measuring, self._budget)
        return None
