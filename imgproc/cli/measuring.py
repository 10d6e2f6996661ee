"""What ``process``, ``compare`` and ``scale`` have in common: images and settings in, a record out."""

from __future__ import annotations

import argparse
import json
import secrets
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from imgproc.backends import BASELINE
from imgproc.backends.base import BackendError
from imgproc.cli import DONE, SOME_FAILED, TechniqueFailed
from imgproc.cli.parser import STDOUT
from imgproc.cli.places import check_record_file, make_folder
from imgproc.cli.streams import as_json
from imgproc.cli.terminal import ProgressBar, quiet_libraries
from imgproc.errors import UserError
from imgproc.files import own_folder, write_whole
from imgproc.intake.paths import find_images
from imgproc.measure.lock import NOT_ALONE, machine_lock
from imgproc.parameters import Parameter
from imgproc.report.predictions import advice_table
from imgproc.report.text import summary
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.choice import batch_of, pick, predictions, why
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.options import Mode, flag_of, options
from imgproc.runs.parsing import parse_settings
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import Record
from imgproc.settings import Settings

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
    return Record(secrets.token_hex(6), mode, parse_settings(mode, given, settings, flag_of))


def app_settings(arguments: argparse.Namespace) -> Settings:
    """The app's settings, with the largest image as the command says."""
    settings = Settings.from_environment()
    if arguments.max_megapixels is None:
        return settings
    return replace(settings, MAX_MEGAPIXELS=float(_SIZE.parse(arguments.max_megapixels)))


def measure(
    mode: Mode,
    arguments: argparse.Namespace,
    table: Callable[[Record], str],
    keep: Callable[[Record], int] | None = None,
) -> int:
    """A run of which only the record is kept, and what ``keep`` makes of it, which returns an exit status too."""
    settings = app_settings(arguments)
    record = new_record(mode, arguments, settings)
    check_record_file(arguments.json)
    with own_folder(Path(tempfile.gettempdir()), WORK) as folder:
        files = look_at_all(record, arguments.paths, folder, settings)
        execute(record, RunFolders(files, folder / "results", None, folder / "work"), settings, arguments)
    try:
        status = tell(record, arguments.json, table)
    finally:  # also where nobody reads what is told
        kept = keep(record) if keep else DONE
    return max(status, kept)


def process_into(out: Path, arguments: argparse.Namespace) -> int:
    """A run whose results are kept in a folder."""
    settings = app_settings(arguments)
    record = new_record("sequential" if arguments.technique == BASELINE else "parallel", arguments, settings)
    check_record_file(arguments.json)
    files = look_at_all(record, arguments.paths, out, settings)
    make_folder(out)
    with own_folder(out, WORK) as work:
        execute(record, RunFolders(files, out, None, work), settings, arguments)
    return tell(record, arguments.json, summary)


def predict_all(arguments: argparse.Namespace) -> int:
    """Print how long every technique would take with one worker and more, and which to take; or the same as data."""
    settings = app_settings(arguments)
    record = new_record("parallel", arguments, settings)
    check_record_file(arguments.json)
    with own_folder(Path(tempfile.gettempdir()), WORK) as folder:
        look_at_all(record, arguments.paths, folder, settings)
    batch = batch_of(record.good_images, record.settings)
    calibration = Calibration.load(settings.cache_dir)
    counts = sorted({*range(1, min(record.settings.workers, _EVERY) + 1), record.settings.workers})
    every = dict.fromkeys(one for count in counts for one in predictions(calibration, batch, count))
    found = sorted(every, key=lambda one: one.job_seconds)
    taken = pick(found, baseline=True)
    assert taken is not None  # of the baseline something is always known
    data = as_json([asdict(one) | {"job_seconds": one.job_seconds} for one in found])
    if arguments.json == STDOUT:
        print(data)
        return DONE
    print(advice_table(found, taken, batch, why(taken, found, batch)))
    if arguments.json is not None:
        write_whole(arguments.json, f"{data}\n".encode())
    return DONE


def look_at_all(record: Record, paths: list[str], out: Path, settings: Settings) -> dict[int, Path]:
    """Make the paths the record's images; returns the files by index.

    Raises:
        UserError: there is no image that could be processed.
    """
    found = find_images(paths, out)
    if found.left_out:
        record.warnings.append(found.left_out)
    record.images = look_at(found.files, settings, record.settings.depth)
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
        ProgressBar(arguments.json == STDOUT) as bar,
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


def tell(record: Record, json_file: str | None, table: Callable[[Record], str]) -> int:
    """Print what was found, or the record, and write the record where it is to go; returns the exit status."""
    try:
        print(as_json(record.to_dict()) + "\n" if json_file == STDOUT else table(record), end="")
    finally:
        if json_file not in (None, STDOUT):
            _write_record(record, Path(json_file))
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _write_record(record: Record, file: Path) -> None:
    """Raises: OSError: it cannot be written; names the file that the person named."""
    try:
        write_whole(file, f"{json.dumps(record.to_dict(), ensure_ascii=False, indent=1)}\n".encode())
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(file)) from None
