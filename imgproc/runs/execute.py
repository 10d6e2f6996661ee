"""One run from its images to its record: the results first, then the proof of their pixels and the speedup."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from imgproc.backends import AUTO_REASON
from imgproc.backends.base import FORK_WARNING, BackendError
from imgproc.errors import UserError
from imgproc.measure.curves import scaling
from imgproc.measure.environment import environment
from imgproc.measure.protocol import Pass
from imgproc.runs.contenders import entrants
from imgproc.runs.passes import Passes, Places
from imgproc.runs.progress import Cancelled, OnProgress, Tracker
from imgproc.runs.record import ImageRecord, Record
from imgproc.runs.rounds import Rounds
from imgproc.runs.sampling import draw_samples
from imgproc.settings import Settings


def process(
    record: Record,
    places: Places,
    settings: Settings,
    *,
    progress: OnProgress = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    results_ready: Callable[[], None] = lambda: None,
) -> None:
    """Make the results, then measure the speedup within the budget of the record's settings; fill the record.

    The chosen technique goes once over all good images: these are the results. Then, unless the budget is 0,
    it and the baseline take turns on the same images, or on a sample where all would take too long.

    Args:
        results_ready: called when every output is written and has its preview, before any measuring.

    Raises:
        UserError: the technique cannot run here, or no image could be processed.
        BackendError: a technique failed as a whole.
        Cancelled: ``cancelled`` said so.
    """
    _Execution(record, places, settings, progress, cancelled).run(results_ready)


def execute(
    record: Record,
    uploads: Path,
    results: Path,
    settings: Settings,
    *,
    progress: OnProgress,
    cancelled: Callable[[], bool],
) -> None:
    """A run of the web app, in its two folders: draw the samples if it asks for some, then ``process``.

    Fills the record and its state; saves it once when the results are there, so that they can be looked at
    while the speedup is measured.

    Raises:
        UserError: as ``process``, or a technique failed as a whole.
    """
    previews = results / "previews"
    try:
        if record.settings.samples and not record.images:
            draw_samples(record, uploads, previews, settings, progress=progress, cancelled=cancelled)
        sources = {image.index: uploads / image.stored for image in record.images}
        places = Places(sources, results / "images", previews, results / "work")
        process(
            record,
            places,
            settings,
            progress=progress,
            cancelled=cancelled,
            results_ready=lambda: record.save(results),
        )
        record.state = "done"
    except Cancelled:
        record.state = "cancelled"
    except BackendError as problem:
        raise UserError(str(problem), code="unavailable") from problem


class _Execution:
    def __init__(
        self,
        record: Record,
        places: Places,
        settings: Settings,
        progress: OnProgress,
        cancelled: Callable[[], bool],
    ) -> None:
        self.record, self.places = record, places
        self.entrants = entrants(record, settings.TASK_SECONDS)
        self.main = self.entrants.main
        asked, count = record.settings, len(self.entrants.same) + len(self.entrants.weak)
        self.tracker = Tracker(progress, rounds=asked.rounds, budget=asked.budget, contenders=count)
        self.passes = Passes(record, places, settings.TASK_SECONDS, self.tracker, cancelled)

    def run(self, results_ready: Callable[[], None]) -> None:
        record, entrants = self.record, self.entrants
        record.environment = environment()
        record.techniques = [*(c.measurement for c in entrants.same), *entrants.missing]
        record.weak = [c.measurement for c in entrants.weak]
        record.settings.seed = record.settings.seed or random.SystemRandom().randrange(1, 2**31)
        if record.settings.technique == "auto" and record.mode == "parallel":
            record.advice = f"auto took {self.main.technique.label}. {AUTO_REASON}"
        if any(m.start_method == "fork" for m in record.techniques):
            record.warnings.append(FORK_WARNING)
        self.passes.name_outputs()
        try:
            first = self._results()
            results_ready()
            Rounds(self.passes, entrants).measure(first)
        finally:
            for contender in (*entrants.same, *entrants.weak):
                # Not by kill: a thread still inside OpenCV when Python ends would abort the program.
                contender.close()
            self.passes.clean()
        self._judge()

    def _judge(self) -> None:
        record = self.record
        if record.mode == "scale":
            cores = record.environment.get("cores_usable")
            record.scaling = scaling(self.main.technique.name, record.techniques, record.weak, cores=cores)
        record.conclude()

    def _results(self) -> Pass:
        """The pass over all images that makes the results."""
        images, main, outputs = self.record.good_images, self.main, self.places.outputs
        with self.passes.ready(main):
            first = self.passes.over(main, images, outputs, "results")
            main.measurement.first_round_seconds = first.round.wall_seconds
            main.measurement.first_round_images = len(images)
            self.passes.note_deaths(first, f"{main.measurement.label}, making the results")
            self.tracker.pass_done()
            self._take(first, images)
            if self.places.previews:
                self.passes.note_hashes(main, self.record.good_images)
        return first

    def _take(self, first: Pass, images: Sequence[ImageRecord]) -> None:
        """Note what became of each image.

        Raises:
            UserError: none could be processed.
        """
        by_index = {image.index: image for image in images}
        for result in first.results:
            image = by_index[result.index]
            if result.error is not None:
                for output in image.outputs:  # those that were written before it failed
                    Path(self.places.outputs / output.file).unlink(missing_ok=True)
                image.error, image.outputs = result.error, []
                continue
            image.width, image.height = result.value.width, result.value.height
            for output, written in zip(image.outputs, result.value.outputs, strict=True):
                output.bytes = written.bytes
        if not self.record.good_images:
            raise UserError("None of the images could be processed.", code="refused_image")
