"""One run from its images to its record: the results first, then the proof of their pixels and the speedup."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgproc.backends import AUTO_REASON, BASELINE, technique
from imgproc.backends.base import BackendError
from imgproc.errors import UserError
from imgproc.image.codecs import FORMATS
from imgproc.image.previews import CheckJob, check_outputs
from imgproc.image.task import ImageJob, Task, TaskResult, process_image
from imgproc.measure.environment import environment
from imgproc.measure.protocol import Contender, Pass, conclude, interleave
from imgproc.runs.naming import OutputNames
from imgproc.runs.progress import Cancelled, OnProgress, Tracker
from imgproc.runs.record import ImageRecord, OutputRecord, Record
from imgproc.runs.sampling import draw_samples
from imgproc.settings import Settings


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes: the source of each image by its index, folders for outputs, for previews
    (None: make none) and for what the measured rounds write."""

    sources: Mapping[int, Path]
    outputs: Path
    previews: Path | None
    work: Path


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


def choose(record: Record) -> str:
    """The name of the technique that the record asks for.

    Raises:
        UserError: it cannot run here; says why and what mends it.
    """
    chosen = technique(BASELINE if record.mode == "sequential" else record.settings.technique)
    available = chosen.availability()
    if not available.ok:
        mend = f" What mends it: {available.command}" if available.command else ""
        message = f"{chosen.label} cannot run here. {available.reason}{mend}"
        raise UserError(message, code="unavailable", field="technique")
    return chosen.name


class _Execution:
    def __init__(
        self,
        record: Record,
        places: Places,
        settings: Settings,
        progress: OnProgress,
        cancelled: Callable[[], bool],
    ) -> None:
        self.record, self.places, self.settings, self.cancelled = record, places, settings, cancelled
        asked = record.settings
        name = choose(record)
        self.main = Contender(technique(name), asked.workers, deadline=settings.TASK_SECONDS)
        self.baseline = None
        if name != BASELINE and asked.budget > 0:
            self.baseline = Contender(technique(BASELINE), 1, deadline=settings.TASK_SECONDS)
        self.contenders = [self.main, self.baseline] if self.baseline else [self.main]
        self.tracker = Tracker(progress, rounds=asked.rounds, budget=asked.budget, contenders=len(self.contenders))

    def run(self, results_ready: Callable[[], None]) -> None:
        record = self.record
        record.environment = environment()
        record.techniques = [c.measurement for c in self.contenders]
        record.settings.seed = record.settings.seed or random.SystemRandom().randrange(1, 2**31)
        if record.settings.technique == "auto" and record.mode != "sequential":
            record.advice = f"auto took {self.main.technique.label}. {AUTO_REASON}"
        _name_outputs(record)
        for folder in (self.places.outputs, self.places.previews):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        try:
            first = self._results()
            if self.places.previews:
                self._check_results(record.good_images)
            results_ready()
            self._measure(first)
        finally:
            for contender in self.contenders:
                # Not by kill: a thread still inside OpenCV when Python ends would abort the program.
                contender.close()
            shutil.rmtree(self.places.work, ignore_errors=True)
        timed = [m for m in record.techniques if m.median_seconds is not None]
        record.best = min(timed, key=lambda m: m.median_seconds or 0).name if timed else None

    def _results(self) -> Pass:
        """The pass over all images that makes the results."""
        images = self.record.good_images
        self._start(self.main)
        first = self._pass(self.main, images, self.places.outputs, "results")
        self.main.measurement.first_round_seconds = first.round.wall_seconds
        self.tracker.pass_done()
        by_index = {image.index: image for image in images}
        for result in first.results:
            image = by_index[result.index]
            if result.error is not None:
                image.error, image.outputs = result.error, []
                continue
            image.width, image.height = result.value.width, result.value.height
            for output, written in zip(image.outputs, result.value.outputs, strict=True):
                output.bytes = written.bytes
        if not self.record.good_images:
            raise UserError("None of the images could be processed.", code="refused_image")
        return first

    def _measure(self, first: Pass) -> None:
        """Let the technique and the baseline take turns, on the same pixels."""
        record, asked = self.record, self.record.settings
        if asked.budget <= 0:
            self.main.passes = [first]
            conclude(self.contenders, images=len(record.good_images), megapixels=record.megapixels)
            return
        begin = time.perf_counter()
        images = self._sample(first)
        if not self.places.previews:
            self._check_results(images)
        if self.baseline:
            self._warm_up(self.baseline, images)
        interleave(
            self.contenders,
            lambda contender, number: self._one_round(contender, number, images),
            rounds=asked.rounds,
            budget=asked.budget - (time.perf_counter() - begin),
            seed=asked.seed,
        )
        conclude(self.contenders, images=len(images), megapixels=sum(image.megapixels for image in images))

    def _sample(self, first: Pass) -> list[ImageRecord]:
        """The images to measure on: all, or as many as the budget allows, spread evenly over the sizes."""
        record, asked = self.record, self.record.settings
        images = record.good_images
        # What the workers were busy for in sum is about what one of them alone would take.
        alone = sum(span.end - span.start for result in first.results for span in result.spans)
        per_round = first.round.wall_seconds + (alone if self.baseline else 0)
        passes = asked.rounds + 2  # the baseline's warm-up and reading back what it wrote count as well
        share = asked.budget / (per_round * passes)
        count = max(int(len(images) * share), 2 * self.main.backend.workers)
        if count >= len(images):
            return images
        by_size = sorted(images, key=lambda image: (image.megapixels, image.index))
        chosen = [by_size[int((k + 0.5) * len(images) / count)] for k in range(count)]
        record.sample = sorted(image.index for image in chosen)
        return chosen

    def _warm_up(self, contender: Contender, images: Sequence[ImageRecord]) -> None:
        """An uncounted pass whose pixels are compared with the results."""
        self._start(contender)
        folder = self.places.work / "warm-up"
        warm = self._pass(contender, images, folder, "warm-up")
        contender.measurement.first_round_seconds = warm.round.wall_seconds
        hashes = self._read_back(contender, images, folder, previews=False)
        shutil.rmtree(folder, ignore_errors=True)
        differing = 0
        for image in images:
            made = {output.operation: output.pixels_sha256 for output in image.outputs}
            differing += made != hashes[image.index]
        contender.measurement.identical = True
        self.main.measurement.identical = differing == 0
        if differing:
            self.main.measurement.reason = (
                f"its pixels differ from the baseline’s in {differing} of {len(images)} images"
            )

    def _one_round(self, contender: Contender, number: int, images: Sequence[ImageRecord]) -> Pass:
        folder = self.places.work / contender.technique.name
        done = self._pass(contender, images, folder, "rounds", number)
        where = f"{contender.technique.label}, round {number}"
        if failed := sum(result.error is not None for result in done.results):
            self.record.warnings.append(
                f"{where}: {failed} of {len(images)} images failed, so its time is not that of the whole work."
            )
        if any(result.attempts > 1 for result in done.results):
            self.record.warnings.append(f"{where}: a worker died or hung and was replaced, which its time includes.")
        self.tracker.pass_done()
        # Each round writes new files, as a real run does; removing the old ones is not part of its time.
        shutil.rmtree(folder, ignore_errors=True)
        return done

    def _check_results(self, images: Sequence[ImageRecord]) -> None:
        hashes = self._read_back(self.main, images, self.places.outputs, previews=True)
        for image in images:
            for output in image.outputs:
                output.pixels_sha256 = hashes[image.index].get(output.operation)

    def _read_back(
        self, contender: Contender, images: Sequence[ImageRecord], folder: Path, *, previews: bool
    ) -> dict[int, dict[str, str]]:
        """``pixels_sha256`` by image and operation of the files in a folder; with ``previews`` these are made too."""
        self.tracker.phase("checking", contender, images=len(images))
        tasks = []
        for image in images:
            files = []
            for output in image.outputs:
                preview = None
                if previews and self.places.previews:
                    output.preview = f"{image.index:04d}_{output.operation}.jpg"
                    preview = str(self.places.previews / output.preview)
                files.append((output.operation, str(folder / output.file), preview))
            tasks.append(Task(image.index, check_outputs, CheckJob(tuple(files), self.record.settings.color)))
        hashes: dict[int, dict[str, str]] = {}
        for result in contender.backend.run(tasks, deadline=self.settings.TASK_SECONDS):
            self._told(result)
            hashes[result.index] = result.value or {}
        return hashes

    def _start(self, contender: Contender) -> None:
        self.tracker.phase("starting", contender)
        contender.start()

    def _pass(
        self, contender: Contender, images: Sequence[ImageRecord], folder: Path, phase: str, number: int = 0
    ) -> Pass:
        tasks = self._tasks(images, folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.tracker.phase(phase, contender, images=len(images), round=number)
        return contender.run(tasks, self._told)

    def _told(self, result: TaskResult) -> None:
        if self.cancelled():
            raise Cancelled
        self.tracker.image_done()

    def _tasks(self, images: Sequence[ImageRecord], folder: Path) -> list[Task]:
        """The largest image first: a large one taken last would leave the other workers waiting for it."""
        asked = self.record.settings
        return [
            Task(
                image.index,
                process_image,
                ImageJob(
                    str(self.places.sources[image.index]),
                    tuple((output.operation, str(folder / output.file)) for output in image.outputs),
                    asked.parameters,
                    asked.format,
                    asked.color,
                ),
            )
            for image in sorted(images, key=lambda image: -image.megapixels)
        ]


def _name_outputs(record: Record) -> None:
    """Give every good image its output files, named after it and unique in the run."""
    names = OutputNames(FORMATS[record.settings.format].extension)
    for image in record.good_images:
        files = names.of(image.name, record.settings.operations)
        image.outputs = [OutputRecord(operation, file) for operation, file in files.items()]
