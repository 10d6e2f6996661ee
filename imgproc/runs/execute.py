"""The life of a run, from its images to its record: results, proof of their pixels, measuring, findings."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from itertools import count as count_from
from pathlib import Path

from imgproc.backends import AUTO, BASELINE, TECHNIQUES, Technique
from imgproc.backends.base import FORK_WARNING, BackendError
from imgproc.backends.schedules import USUAL
from imgproc.errors import UserError
from imgproc.exhibits import with_operations
from imgproc.files import sha256_of
from imgproc.intake.samples.kept import draw_once
from imgproc.measure import energy
from imgproc.measure.bounds import copy_bandwidth, memory_use
from imgproc.measure.curves import scaling
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.granularity import granularity
from imgproc.measure.protocol import Contender, Pass, conclude
from imgproc.measure.results import IMAGES, MOST_OWNED, RESULTS, Progress
from imgproc.measure.roofline import peak_arithmetic
from imgproc.operations import OPERATIONS, parse_operations, remarks
from imgproc.pixels.png_encoders import Choice, choose
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.choice import ALIKE, batch_of, pick, predictions, why
from imgproc.runs.advisor.learning import learn_and_keep
from imgproc.runs.advisor.pace import pace_seconds
from imgproc.runs.advisor.prediction import Batch, Prediction, predict, predicted_costs
from imgproc.runs.amounts import is_over_work, too_large, without_core
from imgproc.runs.contenders import Contenders, asks_for_auto, find_contenders, most_workers
from imgproc.runs.measuring import Measured, looks_of, measure
from imgproc.runs.passes import Passes, RunFolders, file_systems_of
from imgproc.runs.progress import Cancel, Cancelled, OnProgress, Tracker
from imgproc.runs.record import ImageRecord, Record, Untried, png_megapixels
from imgproc.runs.tasks.exhibits import measure_exhibit
from imgproc.runs.uploads import inspect_files
from imgproc.settings import Settings

#: Said of a durable run whose rounds write into memory.
NO_DISK = (
    "The rounds write to a file system in memory (tmpfs), which has no disk to wait for, so durable makes no "
    "difference to their times. The command line writes them below TMPDIR."
)


def process(
    record: Record,
    folders: RunFolders,
    settings: Settings,
    *,
    progress: OnProgress = lambda _: None,
    cancelled: Cancel = lambda: False,
    results_ready: Callable[[], None] = lambda: None,
) -> None:
    """Make the results, then measure the speedup within the budget of the record's settings; fill the record.

    The chosen technique goes once over all good images: these are the results. Then, unless the budget is 0,
    it and the baseline take turns on the same images, or on a sample where all would take too long.

    Args:
        results_ready: called when the results are there to stay, while measuring goes on: every output is written and
            has its preview, and where something is measured, its pixels were found to be the baseline's.

    Raises:
        UserError: the technique cannot run here, or no image could be processed.
        BackendError: a technique failed as a whole.
        Cancelled: ``cancelled`` said so.
    """
    asked = record.settings
    parse_operations(asked.operations)  # a record of another version may name others
    calibration = Calibration.load(settings.cache_dir)
    # The time of one pass alone says little of a machine, and a small job is not to wait.
    pace = pace_seconds() if asked.budget > 0 else None
    contenders = find_contenders(record, settings.TASK_SECONDS, settings, _auto(record, calibration, pace))
    tracker = Tracker(
        progress,
        cancelled,
        rounds=asked.starts * asked.rounds_of_start,
        budget=asked.budget,
        contenders=len(contenders.all),
        looks=looks_of(record),
        images=[image.index for image in record.good_images[:MOST_OWNED]] if folders.previews else (),
    )
    passes = Passes(record, folders, tracker)
    _begin(passes, contenders, pace)
    passes.limit_memory(contenders.all, settings)
    passes.name_outputs()
    try:
        first = _make_results(passes, contenders.main)

        def ready() -> None:
            results_ready()
            tracker.can_be_seen(RESULTS)

        measured = measure(passes, contenders, first, ready) if asked.budget > 0 else None
    finally:
        for contender in contenders.all:
            # Not by kill: a thread still inside OpenCV when Python ends would abort the program.
            contender.close()
        passes.clean()
    if measured:
        _hash_inputs(record, folders)
    _conclude(record, contenders.main, first, measured)
    _predict(record, calibration)
    if measured and not record.exhibit:  # what it does is none of what is predicted
        learn_and_keep(record, settings.cache_dir)


def execute(
    record: Record, uploads: Path, results: Path, settings: Settings, *, progress: OnProgress, cancelled: Cancel
) -> None:
    """A run of the web app, in its two folders: draw the samples if it asks for some, then ``process``; or measure the
    function of an exhibit.

    Fills the record and its state; saves it when samples are drawn and once the results are there to stay, so that
    they can be looked at while the speedup is measured.

    Raises:
        UserError: as ``process``, or a technique failed as a whole.
    """
    previews = results / "previews"
    try:
        if record.task:
            return measure_exhibit(record, settings, progress, cancelled)
        if record.settings.samples and not record.images:
            _draw_samples(record, uploads, previews, settings, progress, cancelled)
            record.save(results)
            progress(Progress("starting", ready=IMAGES))
        sources = {image.index: uploads / image.stored for image in record.images}
        folders = RunFolders(sources, results / "images", previews, results / "work")

        def save() -> None:
            record.save(results)

        with with_operations(record.exhibit) if record.exhibit else nullcontext():
            process(record, folders, settings, progress=progress, cancelled=cancelled, results_ready=save)
        record.state = "done"
    except Cancelled:
        record.state = "cancelled"
    except BackendError as problem:
        raise UserError(str(problem), code="unavailable") from problem


def _draw_samples(
    record: Record, uploads: Path, previews: Path, settings: Settings, on_progress: OnProgress, cancelled: Cancel
) -> None:
    """Draw the sample pictures that the settings ask for and make them the record's images, vetted like any upload."""
    count, cores, folder = record.settings.samples, usable_cores(), uploads / "samples"
    on_progress(Progress("drawing", images_total=count))
    size = record.settings.sample_megapixels
    with closing(draw_once(folder, count, size, 0, cores, settings.cache_dir)) as drawn:
        for done, _ in enumerate(drawn, 1):
            if cancelled():
                raise Cancelled
            on_progress(Progress("drawing", images_done=done, images_total=count))
    files = [(file.name, file) for file in sorted(folder.iterdir())]
    inspected = count_from(1)

    def tell() -> None:
        on_progress(Progress("inspecting", images_done=next(inspected), images_total=count))

    record.images = inspect_files(files, uploads, previews, settings, processes=cores, inspected=tell)
    folder.rmdir()


def _begin(passes: Passes, contenders: Contenders, pace: float | None) -> None:
    """Note what is known before any work is done."""
    record, tracker = passes.record, passes.tracker
    png = _png_encoder(record, contenders, tracker)
    files = {"file_systems": file_systems_of(passes.folders)}
    record.environment = {**environment(), **files, "png_encoder": png.encoder, "pace_seconds": pace}
    if record.settings.budget > 0:
        record.environment["energy"] = energy.facts()
    if record.settings.durable and "tmpfs" in files["file_systems"]["rounds"]:
        record.warnings.append(NO_DISK)
    if png.note:
        record.warnings.append(png.note)
    record.techniques = [*(c.measurement for c in contenders.same_work), *contenders.missing]
    record.weak = [c.measurement for c in contenders.weak]
    record.points = [c.measurement for c in contenders.points]
    record.warnings += filter(None, [too_large(record), without_core(record)])
    record.settings.seed = record.settings.seed or random.SystemRandom().randrange(1, 2**31)
    record.warnings += remarks(record.settings.operations, record.settings.parameters)
    if any(m.start_method == "fork" for m in record.techniques):
        record.warnings.append(FORK_WARNING)


def _auto(record: Record, calibration: Calibration, pace: float | None) -> Technique:
    """What ``auto`` stands for in this run; the record's advice says why."""
    if not asks_for_auto(record) or not record.good_images:
        return TECHNIQUES[AUTO]
    batch = batch_of(record.good_images, record.settings)
    found = predictions(calibration, batch, most_workers(record), pace)
    chosen = pick(found, baseline=False)
    if chosen is None:
        return TECHNIQUES[AUTO]
    if record.mode != "compare":
        record.advice = f"auto took {why(chosen, found, batch)}"
    return TECHNIQUES[chosen.technique]


def _predict(record: Record, calibration: Calibration) -> None:
    """Put beside what was measured what was to be expected before."""
    if record.settings.durable:  # what the disk takes is not known
        return
    batch = Batch(record.measured_images, record.settings, record.environment.get("png_encoder") or "")
    costs = predicted_costs(calibration, batch)
    pace = record.environment.get("pace_seconds")
    slower = calibration.slower(pace)
    for m in record.techniques:
        if m.median_seconds is None or m.schedule not in (None, USUAL):
            continue
        if predicted := predict(calibration, batch, costs, TECHNIQUES[m.name], m.threads, slower=slower):
            m.predicted_seconds = predicted.pass_seconds
            m.predicted_startup_seconds = predicted.start_seconds
    if record.mode == "parallel" and not record.exhibit:
        record.untried = _untried(record, predictions(calibration, batch, most_workers(record), pace))


def _untried(record: Record, found: Sequence[Prediction]) -> list[Untried] | None:
    """The techniques that take part in nothing here and were expected to be done noticeably before the run's own."""
    main = record.technique
    if main is None or main.predicted_seconds is None:
        return None
    own = main.predicted_seconds + (main.predicted_startup_seconds or 0.0)
    others = [one for one in found if one.technique not in {m.name for m in record.techniques}]
    if not others:
        return None
    sooner = [one for one in others if one.start_seconds + one.pass_seconds < own * (1 - ALIKE)]
    untried = (
        Untried(one.technique, one.workers, round(one.start_seconds + one.pass_seconds, 6), one.measured)
        for one in sooner
    )
    return sorted(untried, key=lambda one: one.seconds)


def _png_encoder(record: Record, contenders: Contenders, tracker: Tracker) -> Choice:
    """The PNG encoder of all contenders: chosen here, for a difference between them would be no speedup."""
    backends = [contender.backend for contender in contenders.all]
    return choose(
        png_megapixels(record.good_images, record.settings),
        max(backend.workers for backend in backends),
        elsewhere=any(backend.may_be_elsewhere for backend in backends),
        loading=tracker.loading_encoder,
    )


def _counted(record: Record, images: Sequence[ImageRecord]) -> dict[str, float]:
    """Operations of arithmetic that each operation takes by its definition, where they are known for all images."""
    settings, found = record.settings, {}
    for name in settings.operations:
        shapes = [(i.height, i.width, 3) if settings.color else (i.height, i.width) for i in images]
        each = [OPERATIONS[name].counted(shape, settings.parameters) for shape in shapes]
        found[name] = sum(each) if all(each) else 0.0
    return found


def _moved(record: Record, images: Sequence[ImageRecord]) -> dict[str, int]:
    """Bytes that each operation must move at least: the image in, the result out."""
    settings, found = record.settings, {}
    for name in settings.operations:
        shapes = [(i.height, i.width, 3) if settings.color else (i.height, i.width) for i in images]
        results = (OPERATIONS[name].result_shape(shape, settings.parameters) for shape in shapes)
        found[name] = sum(math.prod(shape) for shape in (*shapes, *results))
    return found


def _hash_inputs(record: Record, folders: RunFolders) -> None:
    """Note what the files hold that were measured on, after it was done, so that it takes no measured time."""
    images = record.good_images
    with ThreadPoolExecutor(usable_cores()) as pool:
        for image, found in zip(images, pool.map(sha256_of, (folders.sources[i.index] for i in images)), strict=True):
            image.sha256 = found


def _make_results(passes: Passes, main: Contender) -> Pass:
    """The pass over all images that makes the results; each image's part in the record says what became of it."""
    record, outputs = passes.record, passes.folders.outputs
    images = record.good_images
    with passes.ready(main):
        first = passes.run_pass(main, images, outputs, "results")
        main.measurement.first_round_seconds = first.round.wall_seconds
        main.measurement.first_round_images = len(images)
        passes.note_replacements(first, f"{main.measurement.label}, making the results")
        passes.tracker.pass_done()
        passes.note_outputs(first, images)
        if not record.good_images:
            raise UserError(_none(record.images), code="refused_image")
        if passes.folders.previews:
            passes.hash_results(main, record.good_images)
    return first


def _megapixels(images: Sequence[ImageRecord]) -> float:
    return sum(image.megapixels for image in images)


def _none(images: Sequence[ImageRecord]) -> str:
    """That none of the images could be processed; and why, where that is the same of all."""
    why = {image.error or "" for image in images}
    return " ".join(["None of the images could be processed.", *(why if len(why) == 1 else ())])


def _conclude(record: Record, main: Contender, first: Pass, measured: Measured | None) -> None:
    """Put into the record what was measured and what follows from it."""
    if measured:
        record.environment["cores_used_by_others"] = measured.busy
        record.environment["copy_bytes_per_second"] = copied = copy_bandwidth(usable_cores())
        record.environment |= {
            "copy_bytes_per_second_of_one": copy_bandwidth(1),
            "arithmetic_per_second": peak_arithmetic(usable_cores()),
            "arithmetic_per_second_of_one": peak_arithmetic(1),
        }
        images = measured.images
        megapixels = _megapixels(images)
        conclude(measured.contenders, images=len(images), megapixels=megapixels, rules=record.rules)
        record.warn()
        baseline = next((m for m in record.techniques if m.name == BASELINE), None)
        done = baseline.stages if baseline else {}
        record.memory = memory_use(done, _moved(record, images), copied, _counted(record, images))
    if not measured or main not in measured.contenders:  # where it failed later, its first pass was whole
        main.passes = [first]
        conclude([main], images=len(record.good_images), megapixels=record.megapixels, rules=record.rules)
    if is_over_work(record):
        record.granularity = granularity(
            record.settings.over, main.technique.name, record.techniques, record.points, images=record.count,
            megapixels=_megapixels(record.measured_images), unit=record.unit, rules=record.rules,
        )  # fmt: skip
    elif record.mode == "scale":
        cores = record.environment.get("cores_usable")
        record.scaling = scaling(main.technique.name, record.techniques, record.weak, cores=cores)
    record.conclude()
