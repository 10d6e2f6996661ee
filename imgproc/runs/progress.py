"""Where a run stands, and how long it will take: estimates from the passes seen so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace

from imgproc.backends.phases import Plan
from imgproc.backends.task import TaskResult
from imgproc.measure.protocol import Contender
from imgproc.measure.results import IMAGES, Owned, Progress
from imgproc.measure.statistics import forecast

OnProgress = Callable[[Progress], None]
#: Whether somebody asked to end the run.
Cancel = Callable[[], bool]
#: Phases of which it is told who does what.
_BY_WORKERS = ("results", "warm-up", "rounds")
#: What is done with one contender after the other before the rounds.
_WARMING = ("starting", "warm-up", "checking")


def time_for_rounds(budget: float, gone: float) -> float:
    """Seconds that rounds have of a time budget of which the warm-ups took so many: half of it at least, for a run of
    many warm-ups and one round tells nothing."""
    return max(budget - gone, budget / 2)


class Cancelled(Exception):
    """Somebody asked to end the run."""


class Tracker:
    """Turns what happens in a run into ``Progress``.

    The time left is that of the passes to come: each takes as long as the same contender's passes so far, before these
    as its warm-up, and before that as those of the others on average. There are as many rounds as were asked for, or as
    many as it will take by the scatter so far, but no more than the budget has room for. The share never goes back.

    Args:
        looks: after which numbers of rounds the measuring may end, where it goes on until it is precise.
        clock: of seconds; tests put one of their own in its place.
    """

    def __init__(
        self,
        tell: OnProgress,
        cancelled: Cancel = lambda: False,
        *,
        rounds: int,
        budget: float,
        contenders: int,
        looks: Sequence[int] = (),
        images: Iterable[int] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            images: the indexes of those of which it is told who does them, a few.
        """
        self._tell, self._cancelled, self._clock = tell, cancelled, clock
        self._rounds = rounds if budget > 0 else 0
        self._looks = looks
        self._budget = budget
        self._contenders = contenders
        self._begin = self._phase_begin = clock()
        #: When measuring began, which the budget is for, and of that the rounds; None: not yet.
        self._measuring: float | None = None
        self._rounds_begin: float | None = None
        self._room = budget
        #: Seconds of each contender before its rounds, and of each of its passes in them, with all that belongs to one.
        self._warming: dict[str, float] = {}
        self._warm_passes: dict[str, float] = {}
        self._took: dict[str, list[float]] = {}
        self._longest_round, self._round_begin = 0.0, self._begin
        #: Seconds foreseen of the pass that goes on, of those after it in its round, and of a round; how many rounds.
        self._here = self._after = self._one_round = 0.0
        self._wanted = self._rounds
        self._owned_images = tuple(images)
        #: Of which image each task of the phase is, while it is told who does them.
        self._of_image: list[int] = []
        self._workers: dict[tuple[str, int, int], int] = {}
        passes = 1 + self._rounds * contenders
        self._now = Progress("starting", rounds=self._rounds, passes_total=passes, ready=IMAGES)

    def phase(self, name: str, contender: Contender, *, images: int = 0, round: int = 0) -> None:
        """A new phase begins; ``images`` are to be done in it."""
        label = contender.measurement.label
        self._close_phase()
        self._now.walls.setdefault(label, [])
        if round and self._rounds_begin is None:
            self._rounds_begin = self._round_begin = self._phase_begin
            self._room = time_for_rounds(self._budget, self._phase_begin - (self._measuring or self._phase_begin))
        if round > max(1, self._now.round):
            self._longest_round = max(self._longest_round, self._phase_begin - self._round_begin)
            self._round_begin = self._phase_begin
        if round > self._rounds:  # not precise yet, so it goes on
            self._rounds = round
            self._now.rounds, self._now.passes_total = round, 1 + round * self._contenders
        self._now.phase, self._now.technique, self._now.label = name, contender.technique.name, label
        self._now.round, self._now.images_done, self._now.images_total = round, 0, images
        self._of_image, self._workers = [], {}
        if round:
            self._foresee()
        self._send()

    def _close_phase(self) -> None:
        """Note how long the phase took that ends here."""
        now, p = self._clock(), self._now
        took, self._phase_begin = now - self._phase_begin, now
        if p.phase == "rounds":
            self._took.setdefault(p.label, []).append(took)
        elif p.phase in _WARMING and p.label:
            self._warming[p.label] = self._warming.get(p.label, 0.0) + took
            if p.phase == "warm-up":
                self._warm_passes[p.label] = took

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
        """A pass is over; ``wall`` is its time where it counts, else it was the one that made the results."""
        self._now.passes_done += 1
        if wall is not None:
            self._now.walls[self._now.label].append(round(wall, 4))
        else:
            self._measuring, label = self._clock(), self._now.label
            self._warm_passes[label] = took = self._measuring - self._phase_begin
            self._warming[label] = self._warming.get(label, 0.0) + took
        self._send()

    def _send(self) -> None:
        now = self._clock()
        elapsed = now - self._begin
        left = self._left(now)
        if left is not None:
            share = elapsed / (elapsed + left) if elapsed + left > 0 else 0.0
            self._now.share = min(0.99, max(self._now.share, share))
        self._now.seconds_left = left
        self._now.elapsed = elapsed
        self._tell(replace(self._now, walls={label: list(walls) for label, walls in self._now.walls.items()}))

    # ------------------------------------------------------------ what is to come

    def _left(self, now: float) -> float | None:
        if self._rounds_begin is not None:
            return self._left_of_rounds(now)
        if self._measuring is not None:
            return self._left_of_warming(now) if self._rounds else None
        p = self._now
        if p.phase == "results" and p.images_done:
            here = now - self._phase_begin
            rest = here * (p.images_total - p.images_done) / p.images_done
            # The baseline takes about as much longer as there are workers; nobody knows yet, so this is rough.
            measuring = (here + rest) * (self._rounds + 1) * (3 if self._contenders > 1 else 1)
            return rest + min(measuring, self._budget)
        return None

    def _left_of_warming(self, now: float) -> float:
        """Of the contenders that warm up yet, then of the rounds, within the budget."""
        assert self._measuring is not None
        known = [seconds for label, seconds in self._warming.items() if label != self._now.label]
        each = sum(known) / len(known) if known else now - self._phase_begin
        here = self._warming.get(self._now.label, 0.0) + now - self._phase_begin
        yet = max(0, self._contenders - len({*self._warming, self._now.label}))
        warming = max(0.0, each - here) + yet * each
        passes = self._warm_passes.values()
        one_round = sum(passes) + (self._contenders - len(passes)) * sum(passes) / max(1, len(passes))
        room = time_for_rounds(self._budget, now - self._measuring + warming)
        return warming + self._rounds_within(one_round, room, self._rounds) * one_round

    def _foresee(self) -> None:
        """What rounds take, before each pass: its results come within the time that is measured, so that then there is
        little left to work out."""
        p = self._now
        walls = {label: done for label, done in p.walls.items() if len(done) >= p.round - 1}  # the others failed
        known = {**self._warm_passes, **{label: sum(took) / len(took) for label, took in self._took.items()}}
        mean = sum(known.values()) / len(known) if known else 0.0
        unseen = max(0, self._contenders - len(walls)) if p.round == 1 else 0  # such as those of weak scaling
        each = {label: known.get(label, mean) for label in walls}
        self._here = each.get(p.label, mean)
        self._after = sum(seconds for label, seconds in each.items() if len(walls[label]) < p.round) + unseen * mean
        self._after = max(0.0, self._after - self._here)
        self._one_round = sum(each.values()) + unseen * mean
        self._wanted = max(self._rounds, forecast(walls, self._looks)) if self._looks else self._rounds

    def _left_of_rounds(self, now: float) -> float:
        """Of this pass, of this round, and of the rounds to come."""
        assert self._rounds_begin is not None
        p, gone = self._now, now - self._phase_begin
        here, after, one_round = self._here, self._after, self._one_round
        if not one_round and p.images_done:  # nothing is known but this pass
            here = gone * p.images_total / p.images_done
            one_round = self._contenders * here
            after = one_round - here
        rest = max(0.0, here - gone) + after
        room = self._room - (now - self._rounds_begin) - rest
        # The next round begins where the longest so far would end in time.
        longest = max(one_round, self._longest_round)
        return rest + self._rounds_within(longest, room, self._wanted - p.round) * one_round

    def _rounds_within(self, one: float, room: float, wanted: int) -> int:
        """How many whole rounds of so many seconds there will be."""
        least = 1 if self._rounds_begin is None else 0  # there is one in any case
        return max(least, min(wanted, int(room / one) if one > 0 else wanted))
