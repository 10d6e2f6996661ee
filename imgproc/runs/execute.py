"""One run from its images to its record: the results first, then the proof of their pixels and the speedup."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgproc.backends import AUTO, AUTO_REASON, BASELINE, TECHNIQUES, cannot_run, technique
from imgproc.backends.base import BackendError
from imgproc.errors import UserError
from imgproc.image.codecs import FORMATS
from imgproc.image.previews import CheckJob, check_outputs
from imgproc.image.task import ImageJob, Task, TaskResult, process_image
from imgproc.measure.alarms import OF_THE_RUN, alarms
from imgproc.measure.environment import environment
from imgproc.measure.load import MachineLoad
from imgproc.measure.protocol import Contender, Pass, conclude, interleave
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.statistics import LOOKS, enough
from imgproc.runs.naming import OutputNames
from imgproc.runs.progress import Cancelled, OnProgress, Tracker
from imgproc.runs.record import ImageRecord, OutputRecord, Record
from imgproc.runs.sampling import draw_samples
from imgproc.settings import Settings

#: ``pixels_sha256`` by image and operation; None where an output could not be read back.
Hashes = dict[int, dict[str, str | None]]
#: A comparison that is not precise by then ends all the same.
MOST_ROUNDS = 30


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
    """The name of the technique that makes the record's results.

    Raises:
        UserError: it cannot run here; says why and what mends it.
    """
    asked = record.settings
    names = asked.techniques if record.mode == "compare" else [asked.technique]
    if record.mode == "sequential":
        names = [BASELINE]
    # A comparison's results come from the technique that is likely to be the fastest.
    chosen = technique("auto" if not names or AUTO in names else names[0])
    if why := cannot_run(chosen, asked.workers):
        raise UserError(f"{chosen.label} cannot run here. {why}", code="unavailable", field="technique")
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
        self.missing: list[TechniqueMeasurement] = []
        self.contenders = [self._contender(name) for name in self._names(choose(record))]
        self.main = self.contenders[0]
        self.tracker = Tracker(progress, rounds=asked.rounds, budget=asked.budget, contenders=len(self.contenders))

    def _names(self, main: str) -> list[str]:
        """The techniques to measure: first the one that makes the results; those that cannot run are ``missing``."""
        names = [main]
        if self.record.mode == "compare":
            for name in self.record.settings.techniques or TECHNIQUES:
                why = cannot_run(technique(name), self.record.settings.workers)
                if why is None:
                    names.append(name)
                else:
                    label = technique(name).label
                    self.missing.append(TechniqueMeasurement(name, label, available=False, reason=why))
        if self.record.settings.budget > 0:
            names.append(BASELINE)
        return list(dict.fromkeys(names))

    def _contender(self, name: str) -> Contender:
        workers = 1 if name == BASELINE else self.record.settings.workers
        return Contender(technique(name), workers, deadline=self.settings.TASK_SECONDS)

    def run(self, results_ready: Callable[[], None]) -> None:
        record = self.record
        record.environment = environment()
        everybody = list(self.contenders)
        record.techniques = [c.measurement for c in everybody] + self.missing
        record.settings.seed = record.settings.seed or random.SystemRandom().randrange(1, 2**31)
        if record.settings.technique == "auto" and record.mode == "parallel":
            record.advice = f"auto took {self.main.technique.label}. {AUTO_REASON}"
        inputs = [path.resolve() for path in self.places.sources.values()]
        outputs = self.places.outputs.resolve()
        # Results must never replace an image they are made from.
        _name_outputs(record, [path.name for path in inputs if path.parent == outputs])
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
            for contender in everybody:
                # Not by kill: a thread still inside OpenCV when Python ends would abort the program.
                contender.close()
            shutil.rmtree(self.places.work, ignore_errors=True)
        timed = [m for m in record.techniques if m.median_seconds is not None and m.identical is not False]
        timed = [m for m in timed if m.reason is None] or timed
        record.best = min(timed, key=lambda m: m.median_seconds or 0).name if timed else None

    def _results(self) -> Pass:
        """The pass over all images that makes the results."""
        images = self.record.good_images
        self._start(self.main)
        first = self._pass(self.main, images, self.places.outputs, "results")
        self.main.measurement.first_round_seconds = first.round.wall_seconds
        self.main.measurement.first_round_images = len(images)
        self.tracker.pass_done()
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
        self._warm_up(images)
        load = MachineLoad()
        load.start()
        interleave(
            self.contenders,
            lambda contender, number: self._one_round(contender, number, images),
            rounds=asked.rounds,
            most=max(MOST_ROUNDS, asked.rounds) if record.mode == "compare" else None,
            enough=lambda: enough({c.technique.name: c.walls for c in self.contenders}, (asked.rounds, *LOOKS)),
            budget=asked.budget - (time.perf_counter() - begin),
            seed=asked.seed,
        )
        busy = load.stop()
        record.environment["cores_used_by_others"] = busy
        conclude(self.contenders, images=len(images), megapixels=sum(image.megapixels for image in images))
        if self.main not in self.contenders:  # it failed later; its first pass was whole
            self.main.passes = [first]
            conclude([self.main], images=len(record.good_images), megapixels=record.megapixels)
        self._warn(busy, len(images))

    def _warn(self, busy: float | None, images: int) -> None:
        """What makes the figures doubtful: of the machine once for the run, of a technique with its own figures."""
        record = self.record
        for m in (contender.measurement for contender in self.contenders):
            for alarm in alarms(m, environment=record.environment, machine_busy=busy, tasks=images):
                if alarm.name in OF_THE_RUN:
                    record.warnings.append(str(alarm))
                else:
                    m.warnings.append(f"{m.label}: {alarm}")
        record.warnings = list(dict.fromkeys(record.warnings))

    def _sample(self, first: Pass) -> list[ImageRecord]:
        """The images to measure on: all, or as many as the budget allows, spread evenly over the sizes."""
        record, asked = self.record, self.record.settings
        images = record.good_images
        # What the workers were busy for in sum is about what one of them alone would take.
        alone = sum(span.end - span.start for result in first.results for span in result.spans)
        others = len(self.contenders) - 1
        per_round = first.round.wall_seconds * max(1, others) + (alone if others else 0)
        passes = asked.rounds + 2  # the warm-up and reading back what it wrote count as well
        share = asked.budget / (per_round * passes)
        count = max(int(len(images) * share), 2 * self.main.backend.workers)
        if count >= len(images):
            return images
        by_size = sorted(images, key=lambda image: (image.megapixels, image.index))
        chosen = [by_size[int((k + 0.5) * len(images) / count)] for k in range(count)]
        record.sample = sorted(image.index for image in chosen)
        return chosen

    def _warm_up(self, images: Sequence[ImageRecord]) -> None:
        """An uncounted pass of everybody who has had none, and the proof that all make the baseline's pixels."""
        results: Hashes = {i.index: {o.operation: o.pixels_sha256 for o in i.outputs} for i in images}
        made = {self.main: results}
        for contender in self.contenders[1:]:
            folder = self.places.work / "warm-up"
            try:
                self._start(contender)
                warm = self._whole(self._pass(contender, images, folder, "warm-up"))
                made[contender] = self._read_back(contender, images, folder, previews=False)
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
        folder = self.places.work / contender.technique.name
        try:
            done = self._whole(self._pass(contender, images, folder, "rounds", number))
        except BackendError as problem:
            self._give_up(contender, str(problem))
            return None
        finally:
            # Each round writes new files, as a real run does; removing the old ones is not part of its time.
            shutil.rmtree(folder, ignore_errors=True)
        if any(result.attempts > 1 for result in done.results):
            where = f"{contender.technique.label}, round {number}"
            self.record.warnings.append(f"{where}: a worker died or hung and was replaced, which its time includes.")
        self.tracker.pass_done()
        return done

    def _check_results(self, images: Sequence[ImageRecord]) -> None:
        hashes = self._read_back(self.main, images, self.places.outputs, previews=True)
        for image in images:
            for output in image.outputs:
                output.pixels_sha256 = hashes[image.index].get(output.operation)

    def _read_back(
        self, contender: Contender, images: Sequence[ImageRecord], folder: Path, *, previews: bool
    ) -> Hashes:
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
        hashes: Hashes = {}
        for result in contender.backend.run(tasks, deadline=self.settings.TASK_SECONDS):
            self._told(result)
            if result.value is None:
                raise BackendError(f"what it wrote could not be read back: {result.error}")
            hashes[result.index] = result.value
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


def _name_outputs(record: Record, taken: Iterable[str]) -> None:
    """Give every good image its output files, named after it, unique in the run, and none of the ``taken`` names."""
    names = OutputNames(FORMATS[record.settings.format].extension, taken)
    for image in record.good_images:
        files = names.of(image.name, record.settings.operations)
        image.outputs = [OutputRecord(operation, file) for operation, file in files.items()]
