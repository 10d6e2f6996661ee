"""``compare``, ``process``, ``scale`` and ``techniques``: what the command line does, for one's own functions too."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import BackendError
from imgproc.backends.schedules import OF_ITEMS, USUAL
from imgproc.errors import UserError
from imgproc.files import own_folder
from imgproc.functions.operations import operation_of, registered, values_of
from imgproc.intake.paths import find_images
from imgproc.library.comparison import Comparison
from imgproc.measure.lock import NOT_ALONE, machine_lock
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Operation
from imgproc.runs.execute import process as process_images
from imgproc.runs.headers import look_at
from imgproc.runs.options import Mode, RunSettings, names, options
from imgproc.runs.parsing import parse_settings
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Record
from imgproc.runs.tasks.calls import Returned, size_of
from imgproc.runs.tasks.measuring import TaskRun, can_call, do_tasks, measure_tasks, new_run
from imgproc.runs.tasks.repeating import repeat_tasks
from imgproc.runs.tasks.sameness import Sameness, sameness
from imgproc.settings import Settings
from imgproc.temporary import temporary_folder

#: A function of an image or of an item, the name of an operation of this package, or a declared one.
Work = Callable[..., Any] | str | Operation
_WORK = ".imgproc"


@dataclass(frozen=True)
class TechniqueInfo:
    """A technique on this machine: ``available``, or why not and the command that mends it; ``calls``: whether it can
    at least call functions over items. An ``antipattern`` takes part only where it is named."""

    name: str
    label: str
    available: bool
    reason: str = ""
    command: str = ""
    antipattern: bool = False
    calls: bool = False


@dataclass(frozen=True)
class Processed:
    """What became of images: the files made of each, by operation; ``error`` says why there are none of one."""

    record: Record
    folder: Path

    @property
    def files(self) -> list[dict[str, Path]]:
        """For each image in order, the file of each operation."""
        return [{output.operation: self.folder / output.file for output in image.outputs} for image in self.images]

    @property
    def images(self) -> list[ImageRecord]:
        """The images in order, those that failed included."""
        return self.record.images


class ItemError(RuntimeError):
    """The function raised for an item, or ended or outlasted its worker; ``traceback`` is the function's own."""

    def __init__(self, index: int, message: str, trace: str = "") -> None:
        super().__init__(f"item {index}: {message}")
        self.index, self.traceback = index, trace


def compare(
    work: Work,
    inputs: str | Path | Iterable[Any],
    *,
    techniques: Sequence[str] | None = None,
    workers: int | None = None,
    rounds: int | None = None,
    starts: int | None = None,
    budget: float | None = None,
    seed: int = 0,
    same: str | float | Sameness | Callable[[Any, Any], Any] | None = None,
    deadline: float | None = None,
    start_method: str | None = None,
    chunk_size: int | None = None,
    schedule: str | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Comparison:
    """Measure techniques against each other on the same work, with proof that their results are the same.

    Args:
        work: a function of one item; with paths a function of an image (``uint8``, (height, width) gray or
            (height, width, 3) BGR) that returns one, or the name of an operation.
        inputs: the items; or one string or path, a file, a folder or a glob of images, which are decoded for ``work``
            and whose results are encoded and written.
        techniques: names; all that can run here where not given.
        workers: of each technique; the cores there are where not given.
        rounds: how many to measure at least, from 6 on with a 95 % interval.
        starts: how often workers are made anew, among which the rounds are shared out; of several, intervals from 4 on.
        budget: seconds of measuring.
        seed: of the order of the rounds; 0: random.
        same: what counts as the same result of items: "identical", "==", a relative tolerance, ``Close(rtol, atol)``,
            or a function of two results. Of images all pixels are compared.
        deadline: seconds that one call may take.
        start_method: of worker processes: forkserver, spawn or fork.
        chunk_size: how many items a process is handed at once.
        schedule: who gets which item: "dynamic" (the default of items: whoever is free takes the next), "guided",
            "static", "cyclic", or "longest-first" (the default of images; of items that are arrays by their size).
        progress: show a progress bar where standard error is a terminal.
        parameters: of the function or operation; with images also any setting of the command line, as ``color=True``.

    Raises:
        UserError: something that is asked for cannot be; the text says what to change.
    """
    asked: dict[str, Any] = {
        "techniques": list(techniques or ()),
        "workers": workers,
        "rounds": rounds,
        "starts": starts,
        "budget": budget,
        "seed": seed,
        "start_method": start_method,
        "chunk_size": chunk_size,
        "schedule": schedule,
    }
    return _compared("compare", work, inputs, asked, same, deadline, progress, parameters)


def scale(
    work: Work,
    inputs: str | Path | Iterable[Any],
    *,
    technique: str = "auto",
    workers: Sequence[int] | int | None = None,
    over: str = "workers",
    points: Sequence[float] | None = None,
    rounds: int | None = None,
    starts: int | None = None,
    budget: float | None = None,
    seed: int = 0,
    same: str | float | Sameness | Callable[[Any, Any], Any] | None = None,
    deadline: float | None = None,
    start_method: str | None = None,
    chunk_size: int | None = None,
    schedule: str | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Comparison:
    """Measure one technique with more and more workers, strong and weak, or over more and more work; arguments as of
    ``compare``.

    Args:
        workers: the numbers of workers; up to twice the cores where not given.
        over: what grows: "workers"; "task", how many items, or images, a worker process is handed at once; or, of image
            files, "images", the size of a batch, or "megapixels", that of each image. From how much on the technique
            pays is then ``record.granularity``.
        points: the batch sizes, image sizes in megapixels, or how many are handed over at once; doubling where not
            given.
    """
    if over not in ("workers", "task") and not isinstance(inputs, str | Path):
        raise UserError(
            f"scale over {over} is for image files: give their path, folder or glob; over items there is task.",
            field="over",
        )
    asked: dict[str, Any] = {
        "technique": technique,
        "worker_list": workers,
        "over": over,
        "points": points,
        "rounds": rounds,
        "starts": starts,
        "budget": budget,
        "seed": seed,
        "start_method": start_method,
        "chunk_size": chunk_size,
        "schedule": schedule,
    }
    return _compared("scale", work, inputs, asked, same, deadline, progress, parameters)


def repeat(
    record: str | Path | Record | Comparison,
    work: Callable[..., Any],
    items: Iterable[Any],
    *,
    same: str | float | Sameness | Callable[[Any, Any], Any] | None = None,
    deadline: float | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Comparison:
    """Measure again what a run over items is of, and say what of it is the same: ``record.repetition``, and in words
    ``reproduction``.

    Args:
        record: the run, or its run.json.
        work: the same function. Another source is measured as well, but does not reproduce.
        items: the same items, in the same order.
        same: what counts as the same result, where it was neither "identical" nor "==".
        deadline, progress, parameters: as of ``compare``.

    Raises:
        UserError: the run was over images, which ``python -m imgproc repeat`` repeats; or these are other items.
    """
    before = record.record if isinstance(record, Comparison) else record
    before = before if isinstance(before, Record) else load(before)
    if before.task is None:
        raise UserError("This run was over images: “python -m imgproc repeat run.json” repeats it.", field="record")
    app = Settings.from_environment()
    with _progress(progress) as show, _turn(before):
        again = repeat_tasks(
            before,
            _function(work, parameters),
            list(items),
            same,
            app,
            deadline=deadline or app.TASK_SECONDS,
            progress=show,
        )
    return Comparison(again, before)


def process(
    work: Work,
    inputs: str | Path | Iterable[Any],
    out: str | Path | None = None,
    *,
    technique: str = "auto",
    workers: int | None = None,
    deadline: float | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Any:
    """Do the work once, by one technique. Of items the results, in order; of images ``Processed``.

    Args:
        out: the folder for the results of images, which is made where it is not there.
        technique: its name; "auto" is what is predicted to be done first with images, and threads with items, of which
            nothing is known beforehand: ``compare`` finds out what suits them.
        workers, deadline, progress, parameters: as of ``compare``.

    Raises:
        ItemError: of items: the function raised for one, the first of them; or it ended or outlasted its worker.
        UserError: something that is asked for cannot be.
    """
    asked: dict[str, Any] = {"technique": technique, "workers": workers, "budget": 0}
    if not isinstance(inputs, str | Path):
        if out is not None:
            raise UserError("Results of items are returned; out is for those of images.", field="out")
        run = _task_run("parallel", work, inputs, asked, None, deadline, parameters)
        with _progress(progress) as show:
            run.on_progress = show
            found = do_tasks(run)
        return [_value(index, result) for index, result in enumerate(found)]
    if out is None:
        raise UserError("Say by out= in which folder the results are to be.", field="out")
    folder = Path(out)
    record = _image_run("parallel", work, inputs, asked, parameters, deadline, progress, folder)
    return Processed(record, folder)


def techniques() -> list[TechniqueInfo]:
    """All techniques, and which can run here."""
    found = []
    for one in TECHNIQUES.values():
        available = one.availability()
        found.append(
            TechniqueInfo(
                one.name, one.label, available.ok, available.reason, available.command, one.antipattern,
                calls=available.calls and can_call(one.name),
            )
        )  # fmt: skip
    return found


def load(file: str | Path) -> Record:
    """A run.json, or that in a folder.

    Raises:
        UserError: it cannot be read.
    """
    path = Path(file)
    if path.is_dir():
        return Record.load(path)
    try:
        return Record.from_dict(json.loads(path.read_bytes()))
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}.", code="not_found") from None
    except ValueError:
        raise UserError(f"{path} is not a run.json.") from None


def _compared(
    mode: Mode,
    work: Work,
    inputs: str | Path | Iterable[Any],
    asked: Mapping[str, Any],
    same: Any,
    deadline: float | None,
    progress: bool,
    parameters: Mapping[str, Any],
) -> Comparison:
    """A measured run, over images or over items."""
    if isinstance(inputs, str | Path):
        with own_folder(temporary_folder(), _WORK) as folder:
            out = folder / "results"
            return Comparison(_image_run(mode, work, inputs, asked, parameters, deadline, progress, out))
    return Comparison(_measured(_task_run(mode, work, inputs, asked, same, deadline, parameters), progress))


# ---------------------------------------------------------------- items


def _task_run(
    mode: Mode,
    work: Work,
    inputs: Iterable[Any],
    asked: Mapping[str, Any],
    same: Any,
    deadline: float | None,
    parameters: Mapping[str, Any],
) -> TaskRun:
    """Raises: UserError: a setting is not allowed, or ``work`` is no function."""
    function = _function(work, parameters)
    app, items = Settings.from_environment(), list(inputs)
    settings = _settings(mode, {**asked, "schedule": asked.get("schedule") or OF_ITEMS}, app)
    settings.operations = []
    if settings.schedule == USUAL and not any(map(size_of, items)):
        raise UserError(
            "Nothing is known of how long these items take, so none can come first for being the longest. The schedule "
            f"{USUAL} is for items that are arrays; put them in that order yourself and take {OF_ITEMS}.",
            field="schedule",
        )
    for name in settings.techniques or [settings.technique]:
        if name in TECHNIQUES and not can_call(name):
            able = ", ".join(filter(can_call, TECHNIQUES))
            raise UserError(f"“{name}” calls no functions, it does this package’s operations. Choose from {able}.")
    settings.cv2_threads = [1]
    try:
        how = sameness(same)
    except ValueError as problem:
        raise UserError(str(problem), field="same") from None
    return new_run(mode, function, items, settings, how, app, deadline=deadline or app.TASK_SECONDS)


def _function(work: Work, parameters: Mapping[str, Any]) -> Callable[[Any], Any]:
    """One function of an item."""
    if isinstance(work, str | Operation):
        raise UserError(
            "An operation works on image files: give their path, folder or glob instead of items.", field="work"
        )
    if not callable(work):
        raise UserError(f"Give a function, not {type(work).__name__}.", field="work")
    return With(work, dict(parameters)) if parameters else work


class With:
    """A function with some of its parameters bound, known by its name."""

    def __init__(self, function: Callable[..., Any], parameters: dict[str, Any]) -> None:
        self.func, self.parameters = function, parameters

    def __call__(self, item: Any) -> Any:
        return self.func(item, **self.parameters)


def _measured(run: TaskRun, progress: bool) -> Record:
    with _progress(progress) as show, _turn(run.record):
        run.on_progress = show
        try:
            return measure_tasks(run)
        except BackendError as problem:
            raise UserError(str(problem), code="unavailable") from problem


def _value(index: int, result: Returned) -> Any:
    if result.failure:
        raise ItemError(index, result.failure.text, result.failure.traceback)
    return result.value


# ---------------------------------------------------------------- images


def _image_run(
    mode: Mode,
    work: Work,
    inputs: Any,
    asked: Mapping[str, Any],
    parameters: Mapping[str, Any],
    deadline: float | None,
    progress: bool,
    out: Path,
) -> Record:
    """A run over image files, whose results are in ``out``."""
    app = Settings.from_environment()
    if deadline is not None:
        app = replace(app, TASK_SECONDS=deadline)
    with ExitStack() as stack:
        operation = _operation(work)
        if operation.name not in OPERATIONS:
            stack.enter_context(registered(operation))
        own = {name: value for name, value in parameters.items() if name not in names() or _is_own(operation, name)}
        more = {name: value for name, value in parameters.items() if name not in own}
        given = {**asked, **more, "operations": [operation.name], **values_of(operation, own)}
        record = Record("0" * 12, mode, _settings(mode, given, app))
        found = find_images([str(inputs)], out)
        files, record.warnings = found.files, [found.left_out] if found.left_out else []
        record.images = look_at(files, app, record.settings.depth, found.folders)
        if not record.good_images:
            reasons = "".join(f" {image.name}: {image.error}" for image in record.images[:3])
            raise UserError(f"None of the files could be processed.{reasons}", code="refused_image")
        out.mkdir(parents=True, exist_ok=True)
        show = stack.enter_context(_progress(progress))
        work_folder = stack.enter_context(own_folder(out, _WORK))
        stack.enter_context(_turn(record))
        try:
            process_images(record, RunFolders(dict(enumerate(files)), out, None, work_folder), app, progress=show)
        except BackendError as problem:
            raise UserError(str(problem), code="unavailable") from problem
        record.state = "done"
        return record


def _operation(work: Work) -> Operation:
    if isinstance(work, Operation):
        return work
    if isinstance(work, str):
        if work not in OPERATIONS:
            raise UserError(f"There is no operation “{work}”. There are: {', '.join(OPERATIONS)}.", field="work")
        return OPERATIONS[work]
    if not callable(work):
        raise UserError(f"Give a function of an image, not {type(work).__name__}.", field="work")
    return operation_of(work, taken=lambda name: name in names())


def _is_own(operation: Operation, name: str) -> bool:
    return operation.own is not None and name in operation.own.arguments.values()


# ---------------------------------------------------------------- what both have in common


def _settings(mode: Mode, asked: Mapping[str, Any], app: Settings) -> RunSettings:
    """As the command line reads them, from values of Python.

    Raises:
        UserError: one is not allowed.
    """
    given = {}
    for name, value in asked.items():
        if value is None or value == []:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if options().get(name) is not None and options()[name].kind in ("counts", "numbers"):
            values = [",".join(map(str, values))]
        given[name] = [_text(one) for one in values]
    return parse_settings(mode, given, app)


def _text(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


@contextmanager
def _progress(wanted: bool) -> Any:
    from imgproc.cli.terminal import ProgressBar

    with ProgressBar(not wanted) as bar:
        yield bar.show


@contextmanager
def _turn(record: Record) -> Any:
    """This run's turn to measure on this machine, where it measures."""
    if not record.settings.budget:
        yield
        return
    said: list[bool] = []

    def waiting(_: float) -> None:
        if not said:
            said.append(True)
            print("imgproc: waiting until another measurement on this machine has ended", file=sys.stderr)

    with machine_lock(waiting, budget=record.settings.budget) as alone:
        if not alone:
            record.warnings.append(NOT_ALONE)
        yield
