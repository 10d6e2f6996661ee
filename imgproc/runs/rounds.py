"""The measuring of a run: who takes part goes in turns over the same images, and all must have made the same pixels."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from imgproc.backends import BASELINE
from imgproc.backends.base import BackendError
from imgproc.backends.sharing.transport import TRANSFERS
from imgproc.measure.environment import usable_cores
from imgproc.measure.load import MachineLoad
from imgproc.measure.protocol import Contender, Pass, conclude, interleave
from imgproc.measure.statistics import LOOKS, enough
from imgproc.runs.contenders import Entrants
from imgproc.runs.passes import Hashes, Passes, on_gpu
from imgproc.runs.record import ImageRecord

#: A comparison that is not precise by then ends all the same.
MOST_ROUNDS = 30
#: On so many images the operations are timed alone.
ALONE_IMAGES = 4


class Rounds:
    """Fills the measurements of all who take part."""

    def __init__(self, passes: Passes, entrants: Entrants) -> None:
        self.passes, self.entrants, self.main = passes, entrants, entrants.main
        self.record, self.places, self.tracker = passes.record, passes.places, passes.tracker
        #: Those still in the comparison.
        self.contenders = [*entrants.same, *entrants.weak]

    def measure(self, first: Pass) -> None:
        """Let everybody take turns, on the same pixels."""
        record, asked = self.record, self.record.settings
        if asked.budget <= 0:
            self.main.passes = [first]
            conclude([self.main], images=len(record.good_images), megapixels=record.megapixels)
            return
        begin = time.perf_counter()
        images = self._sample(first)
        if not self.places.previews:
            with self.passes.ready(self.main):
                self.passes.note_hashes(self.main, images)
        self._warm_up(images)
        load = MachineLoad()
        load.start()
        interleave(
            self.contenders,
            lambda contender, number: self._one_round(contender, number, images),
            rounds=asked.rounds,
            most=max(MOST_ROUNDS, asked.rounds) if record.mode in ("compare", "scale") else None,
            enough=lambda: enough({c.measurement.label: c.walls for c in self.contenders}, (asked.rounds, *LOOKS)),
            budget=asked.budget - (time.perf_counter() - begin),
            seed=asked.seed,
        )
        record.environment["cores_used_by_others"] = load.stop()
        self._time_alone(images)
        conclude(self.contenders, images=len(images), megapixels=sum(image.megapixels for image in images))
        if self.main not in self.contenders:  # it failed later; its first pass was whole
            self.main.passes = [first]
            conclude([self.main], images=len(record.good_images), megapixels=record.megapixels)
        self._warn()

    def _time_alone(self, images: Sequence[ImageRecord]) -> None:
        """Where a GPU takes part, also what the operations alone take there and in the baseline: on few images, so
        that a student sees what of a fast kernel is left in the whole job."""
        if not any(map(on_gpu, self.contenders)):
            return
        few = _spread(images, ALONE_IMAGES)
        for contender in self.contenders:
            m = contender.measurement
            if contender.copies > 1 or not (on_gpu(contender) or m.name == BASELINE):
                continue
            try:
                with self.passes.ready(contender):
                    m.operations_seconds = self.passes.alone(contender, few)
                m.operations_images = [image.index for image in few]
            except BackendError as problem:
                m.warnings.append(f"{m.label}: {problem}")

    def _warn(self) -> None:
        """What makes the figures doubtful: of the machine once for the run, of a technique with its own figures."""
        record = self.record
        record.alarms = record.doubts()
        of_label = {m.label: m for m in (*record.techniques, *record.weak)}
        for alarm in record.alarms:
            of_label.get(alarm.who, record).warnings.append(alarm.text)

    def _sample(self, first: Pass) -> list[ImageRecord]:
        """The images to measure on: all, or as many as the budget allows, spread evenly over the sizes."""
        record, asked = self.record, self.record.settings
        images = record.good_images
        # What the workers were busy for in sum is about what one of them alone would take.
        every = [span for one in first.parts for span in (*one.result.spans, *one.result.caller_spans)]
        alone = sum(span.end - span.start for span in every)
        per_round = sum(_expected(contender, alone) for contender in self.contenders)
        passes = asked.rounds + 2  # the warm-up and reading back what it wrote count as well
        share = asked.budget / (per_round * passes)
        count = max(int(len(images) * share), 2 * self.main.backend.workers)
        if count >= len(images):
            return images
        chosen = _spread(images, count)
        record.sample = sorted(image.index for image in chosen)
        return chosen

    def _warm_up(self, images: Sequence[ImageRecord]) -> None:
        """An uncounted pass of everybody who has had none, and the proof that all make the baseline's pixels."""
        results: Hashes = {i.index: {o.operation: o.pixels_sha256 for o in i.outputs} for i in images}
        made = {self.main: results}
        for contender in self.entrants.others:
            folder = self.places.work / "warm-up"
            try:
                with self.passes.ready(contender):
                    warm = self._whole(self.passes.over(contender, images, folder, "warm-up"))
                    made[contender] = self.passes.read_back(contender, images, folder, previews=False)
            except BackendError as problem:
                self._give_up(contender, str(problem))
                self.contenders.remove(contender)
                continue
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            contender.measurement.first_round_seconds = warm.round.wall_seconds
            contender.measurement.first_round_images = len(images)
        reference = next((made[c] for c in made if c.technique.name == BASELINE), None)
        for contender, hashes in made.items() if reference else ():
            differing = sum(hashes[index] != wanted for index, wanted in (reference or {}).items())
            contender.measurement.identical = differing == 0
            if differing:
                where = f"in {differing} of {len(images)} images"
                contender.measurement.reason = f"its pixels differ from the baseline’s {where}"
        for contender in self.entrants.weak:  # the same workers on the same images
            contender.measurement.identical = contender.twin.measurement.identical if contender.twin else None

    def _whole(self, done: Pass) -> Pass:
        """The pass, if it did the whole work; the time of less would be no measurement.

        Raises:
            BackendError: an image failed.
        """
        failed = [result.error for result in done.results if result.error is not None]
        if failed:
            raise BackendError(f"{len(failed)} of {len(done.results)} images failed while it was measured: {failed[0]}")
        return done

    def _give_up(self, contender: Contender, reason: str) -> None:
        """A technique that fails once the results are there costs its own figures, and the baseline all speedups."""
        contender.measurement.reason = reason
        if contender.technique.name == BASELINE and contender is not self.main:
            self.main.measurement.reason = f"the baseline failed: {reason}"

    def _one_round(self, contender: Contender, number: int, images: Sequence[ImageRecord]) -> Pass | None:
        folder = self.places.work / "round"
        try:
            with self.passes.ready(contender):
                done = self._whole(self.passes.over(contender, images, folder, "rounds", number))
        except BackendError as problem:
            self._give_up(contender, str(problem))
            return None
        finally:
            # Each round writes new files, as a real run does; removing the old ones is not part of its time.
            shutil.rmtree(folder, ignore_errors=True)
        self.passes.note_deaths(done, f"{contender.measurement.label}, round {number}")
        self.tracker.pass_done(done.round.wall_seconds)
        return done


def _spread(images: Sequence[ImageRecord], count: int) -> list[ImageRecord]:
    """So many of the images, or all, evenly over their sizes."""
    if count >= len(images):
        return list(images)
    by_size = sorted(images, key=lambda image: (image.megapixels, image.index))
    return [by_size[int((k + 0.5) * len(images) / count)] for k in range(count)]


def _expected(contender: Contender, alone: float) -> float:
    """About how many seconds a pass takes of images that one worker alone needs ``alone`` seconds for."""
    # Where pixels travel, the caller's part is done by nobody else meanwhile.
    shared = 1 if TRANSFERS[contender.transfer].alone else min(contender.measurement.threads, usable_cores())
    return contender.copies * alone / shared
