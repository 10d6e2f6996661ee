"""What ``process``, ``compare`` and ``scale`` have in common: images and settings in, a record out."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from imgproc.backends import AUTO, BASELINE, technique
from imgproc.backends.base import BackendError
from imgproc.cli import DONE, SOME_FAILED, TechniqueFailed
from imgproc.cli.output import check_outputs, is_printed, printed_table, show, write_tables
from imgproc.cli.parser import STDOUT
from imgproc.cli.places import make_folder, read_record
from imgproc.cli.streams import as_json
from imgproc.cli.terminal import ProgressBar, quiet_libraries
from imgproc.errors import UserError
from imgproc.files import own_folder, write_whole
from imgproc.functions.loading import load, named
from imgproc.installation import called
from imgproc.intake.checks import HIGHER_LIMIT
from imgproc.intake.paths import find_images
from imgproc.intake.samples.kept import draw_once
from imgproc.measure.environment import usable_cores
from imgproc.measure.lock import NOT_ALONE, machine_lock
from imgproc.numbers import counted
from imgproc.parameters import Parameter
from imgproc.report.blocks import Block, Paragraph
from imgproc.report.longer import earlier
from imgproc.report.predictions import advice_table, plan
from imgproc.report.repetition import told
from imgproc.report.tables import Table, of_dicts, techniques
from imgproc.report.text import comparison_blocks, process_blocks, scale_blocks
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.choice import batch_of, pick, predictions, why
from imgproc.runs.advisor.pace import pace_seconds
from imgproc.runs.contenders import find_contenders
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.longer import measured_on, same_sample
from imgproc.runs.options import Mode, flag_of, options
from imgproc.runs.parsing import parse_settings
from imgproc.runs.passes import RunFolders, output_names
from imgproc.runs.record import Record, new_id
from imgproc.runs.repetition import check_repeatable, compare, find_inputs, settings_again
from imgproc.runs.tasks.repeating import of_exhibit, repeat_tasks
from imgproc.settings import Settings
from imgproc.temporary import temporary_folder

#: A folder in which measured rounds write.
WORK = ".imgproc"
#: Up to so many workers every number is predicted for.
_EVERY = 16
#: What OpenCV decodes at most, unless told otherwise before it is imported: 2^30 pixels.
_SIZE = Parameter("--max-megapixels", "Largest image", "number", 50.0, "", 0.001, 1070)


def new_record(mode: Mode, arguments: argparse.Namespace, settings: Settings) -> Record:
    """A record with the settings that the command was given.

    Raises:
        UserError: a value is not allowed.
    """
    given: dict[str, list[str]] = {}
    for option in options().values():
        value = getattr(arguments, option.name, None)
        if value is None:
            value = option.commands.get(arguments.command)
        if value is not None:
            given[option.names[-1]] = value if isinstance(value, list) else [value]
    return Record(new_id(), mode, parse_settings(mode, given, settings, flag_of), command=typed())


def typed() -> str:
    """The command, as it can be typed again."""
    return f"{called()} {shlex.join(sys.argv[1:])}"


def app_settings(arguments: argparse.Namespace) -> Settings:
    """The app's settings, with the largest image as the command says."""
    settings = Settings.from_environment()
    if arguments.max_megapixels is None:
        return settings
    return replace(settings, MAX_MEGAPIXELS=float(_SIZE.parse(arguments.max_megapixels)))


def measure(
    mode: Mode,
    arguments: argparse.Namespace,
    told: Callable[[Record], Iterable[Block]],
    keep: Callable[[Record], int] | None = None,
) -> int:
    """A run of which only the record is kept, and what ``keep`` makes of it, which returns an exit status too."""
    settings = app_settings(arguments)
    record = new_record(mode, arguments, settings)
    check_outputs(arguments)
    with own_folder(temporary_folder(), WORK) as folder:
        files = look_at_all(record, arguments.paths, folder, settings)
        if arguments.dry_run:
            return say_plan(record, settings)
        execute(record, RunFolders(files, folder / "results", None, folder / "work"), settings, arguments)
    try:
        status = tell(record, arguments, told)
    finally:  # also where nobody reads what is told
        kept = keep(record) if keep else DONE
    return max(status, kept)


def process_into(out: Path, arguments: argparse.Namespace) -> int:
    """A run whose results are kept in a folder."""
    settings = app_settings(arguments)
    record = new_record("sequential" if arguments.technique == BASELINE else "parallel", arguments, settings)
    check_outputs(arguments)
    files = look_at_all(record, arguments.paths, out, settings)
    before = earlier_files(record, RunFolders(files, out, None, out), stop=arguments.no_overwrite)
    if arguments.dry_run:
        return say_plan(record, settings, out)
    make_folder(out)
    with own_folder(out, WORK) as work:
        execute(record, RunFolders(files, out, None, work), settings, arguments)
    status = tell(record, arguments, process_blocks)
    say_where(record, out, before, arguments)
    return status


def earlier_files(record: Record, folders: RunFolders, *, stop: bool) -> set[str]:
    """The results whose place a file has.

    Raises:
        UserError: there is one, and that is to ``stop`` the command.
    """
    names = [name for files in output_names(record, folders) for name in files.values()]
    there = [name for name in names if os.path.lexists(folders.outputs / name)]
    if there and stop:
        raise UserError(
            f"{counted(len(there), 'result')} of {len(names):,} would take the place of an earlier file in "
            f"{folders.outputs}, the first {there[0]}. Choose another --out, or leave out --no-overwrite.",
            code="conflict",
            field="out",
            file=there[0],
        )
    return set(there)


def say_where(record: Record, out: Path, before: set[str], arguments: argparse.Namespace) -> None:
    """Say on standard error where the results are, on a terminal and wherever they took the place of others; ``before``
    are those of whose names there were files."""
    made = [output.file for image in record.good_images for output in image.outputs]
    replaced = len(before.intersection(made))
    if arguments.quiet or not (replaced or sys.stderr.isatty()):
        return
    folders = {name.rpartition("/")[0] for name in made}
    among = f", in {counted(len(folders), 'folder')} there" if len(folders) > 1 else ""
    instead = f", {replaced:,} of them in place of earlier ones of the same name" if replaced else ""
    print(f"imgproc: {counted(len(made), 'result')} in {out}{among}{instead}.", file=sys.stderr)


def say_plan(record: Record, settings: Settings, out: Path | None = None) -> int:
    """Print what a command would do, without doing it; the status is that of the images that could not take part."""
    batch = batch_of(record.good_images, record.settings)
    known = predictions(Calibration.load(settings.cache_dir), batch, record.settings.workers, pace_seconds())
    auto = pick(known, baseline=record.mode == "parallel")
    found = find_contenders(record, settings.TASK_SECONDS, settings, technique(auto.technique if auto else AUTO))
    print(plan(record, [one.measurement for one in found.all], found.missing, known, out), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def repeat(file: Path, arguments: argparse.Namespace) -> int:
    """The run of a record again, of which only the record is kept; tells what is the same. Or one that measures on, and
    tells what comes out."""
    before = read_record(file)
    check_repeatable(before)
    check_outputs(arguments)
    settings = app_settings(arguments)
    if before.task:
        return _repeat_tasks(before, settings, arguments)
    record = measured_on(before) if arguments.measure_on else settings_again(before)
    record.command = typed()
    with own_folder(temporary_folder(), WORK) as folder:
        given = (
            find_images(arguments.images, folder).files if arguments.images else drawn_again(before, folder, settings)
        )
        files = find_inputs(before, file.parent, Path(settings.UPLOADS_DIR), given)
        record.images = look_at(files, settings, record.settings.depth)
        if refused := [image for image in record.images if image.error]:
            raise UserError(f"{refused[0].name}: {refused[0].error}", code="refused_image")
        if record.measures_on:
            record.sample = same_sample(before, [image.index for image in before.good_images])
        sources = RunFolders(dict(enumerate(files)), folder / "results", None, folder / "work")
        execute(record, sources, settings, arguments)
    if record.measures_on:
        return tell(record, arguments, lambda _: measures_on(record, before))
    record.repetition = found = compare(before, record)
    tell(record, arguments, lambda _: told(found, before, record).removesuffix("\n").split("\n"))
    return DONE if found.reproduced else SOME_FAILED


def _repeat_tasks(before: Record, settings: Settings, arguments: argparse.Namespace) -> int:
    """The same of a run over items, whose function and items are named; those of an exhibit are here."""
    assert before.task is not None
    if arguments.measure_on:
        raise UserError("A run over items is measured on by imgproc.compare, with more rounds.", field="measure-on")
    known = of_exhibit(before)
    if known is None and not (arguments.function and arguments.items):
        where = f" (in {before.task.file})" if before.task.file else ""
        raise UserError(
            f"This run was over items of the function {before.task.function}{where}. Its record has hashes of both "
            "alone, so name them: --function FILE.py:FUNCTION --items FILE.py:ITEMS, or call imgproc.repeat.",
            field="function",
        )
    function, items = known or (load(arguments.function), _items(arguments.items))
    with (
        ProgressBar(arguments.quiet or is_printed(arguments), arguments.quiet) as bar,
        _turn(bar, before.settings.budget, arguments.wait) as alone,
        quiet_libraries(),
    ):
        try:
            record = repeat_tasks(
                before,
                function,
                items,
                None,
                settings,
                deadline=settings.TASK_SECONDS,
                progress=bar.show,
                typed=typed(),
            )
        except BackendError as problem:
            raise TechniqueFailed(str(problem)) from problem
    if not alone:
        record.warnings.append(NOT_ALONE)
    found = record.repetition
    assert found is not None
    tell(record, arguments, lambda _: told(found, before, record).removesuffix("\n").split("\n"))
    return DONE if found.reproduced else SOME_FAILED


def _items(reference: str) -> list[Any]:
    """Raises: UserError: it names nothing that items could be taken from."""
    there = named(reference)
    there = there() if callable(there) else there
    try:
        return list(there)
    except TypeError:
        raise UserError(
            f"“{reference}” names {type(there).__name__}, of which there are no items.", field="items"
        ) from None


def measures_on(record: Record, before: Record) -> Iterator[Block]:
    """What a run found that measures on, as its command tells it, after what it measured on."""
    yield Paragraph(earlier(before))
    yield ""
    yield from {"compare": comparison_blocks, "scale": scale_blocks}.get(record.mode, process_blocks)(record)


def drawn_again(before: Record, folder: Path, settings: Settings) -> list[Path]:
    """The sample pictures of a run once more; none of a run of other images."""
    asked = before.settings
    if not asked.samples:
        return []
    places = folder / "samples", asked.samples, asked.sample_megapixels, 0, usable_cores(), settings.cache_dir
    with closing(draw_once(*places)) as drawn:
        return sorted(drawn)


def predict_all(arguments: argparse.Namespace) -> int:
    """Print how long every technique would take with one worker and more, and which to take; or the same as data."""
    settings = app_settings(arguments)
    record = new_record("parallel", arguments, settings)
    check_outputs(arguments)
    with own_folder(temporary_folder(), WORK) as folder:
        look_at_all(record, arguments.paths, folder, settings)
    batch = batch_of(record.good_images, record.settings)
    calibration = Calibration.load(settings.cache_dir)
    pace = pace_seconds()
    counts = sorted({*range(1, min(record.settings.workers, _EVERY) + 1), record.settings.workers})
    every = dict.fromkeys(one for count in counts for one in predictions(calibration, batch, count, pace))
    found = sorted(every, key=lambda one: one.job_seconds)
    taken = pick(found, baseline=True)
    assert taken is not None  # of the baseline something is always known
    data = [asdict(one) | {"job_seconds": one.job_seconds} for one in found]
    if is_printed(arguments):
        print(printed_table(arguments, lambda: of_dicts(data)) or f"{as_json(data)}\n", end="")
    elif not arguments.quiet:
        print(advice_table(found, taken, batch, why(taken, found, batch)))
    if arguments.json not in (None, STDOUT):
        write_whole(arguments.json, f"{as_json(data)}\n".encode())
    write_tables(arguments, lambda: of_dicts(data))
    return DONE


def look_at_all(record: Record, paths: list[str], out: Path, settings: Settings) -> dict[int, Path]:
    """Make the paths the record's images; returns the files by index.

    Raises:
        UserError: there is no image that could be processed.
    """
    found = find_images(paths, out)
    if found.left_out:
        record.warnings.append(found.left_out)
    record.images = look_at(found.files, settings, record.settings.depth, found.folders)
    for image in record.images:
        if image.error:
            image.error = image.error.replace(HIGHER_LIMIT, f"let it in with {_SIZE.name}")
    if not record.good_images:
        raise _none_good(record)
    return dict(enumerate(found.files))


def _none_good(record: Record) -> UserError:
    reasons = "".join(f"\nimgproc: {image.name}: {image.error}" for image in record.images)
    return UserError(f"None of the files could be processed.{reasons}", code="refused_image")


def execute(record: Record, folders: RunFolders, settings: Settings, arguments: argparse.Namespace) -> None:
    """Fill the record, with a progress bar unless the record is all that may be printed.

    Raises:
        UserError: no image could be processed, or a technique failed as a whole.
    """
    with (
        ProgressBar(arguments.quiet or is_printed(arguments), arguments.quiet) as bar,
        _turn(bar, record.settings.budget, arguments.wait) as alone,
        quiet_libraries(),
    ):
        if not alone:
            record.warnings.append(NOT_ALONE)
        try:
            process(record, folders, settings, progress=bar.show)
        except BackendError as problem:
            raise TechniqueFailed(str(problem)) from problem
        except UserError:
            if record.good_images:
                raise
            raise _none_good(record) from None
    record.state = "done"


def _turn(bar: ProgressBar, budget: float, wait: bool) -> AbstractContextManager[bool]:
    """This run's turn to measure on this machine; one that measures nothing needs none."""
    return machine_lock(bar.waiting, wait=wait, budget=budget) if budget else nullcontext(True)


def tell(record: Record, arguments: argparse.Namespace, blocks: Callable[[Record], Iterable[Block]]) -> int:
    """Print what was found, as text or as asked for, and write the files that it is to go into; returns the exit
    status."""

    def table() -> Table:
        return techniques(record)

    try:
        said = printed_table(arguments, table)
        if arguments.json == STDOUT:
            said = as_json(record.to_dict()) + "\n"
        if said:
            print(said, end="")
        elif not arguments.quiet:
            show(blocks(record), plain=arguments.plain)
    finally:
        if arguments.json not in (None, STDOUT):
            _write_record(record, Path(arguments.json))
        write_tables(arguments, table)
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _write_record(record: Record, file: Path) -> None:
    """Raises: OSError: it cannot be written; names the file that the person named."""
    try:
        record.write(file)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(file)) from None
