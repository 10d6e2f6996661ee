"""The command line: python -m imgproc process | compare | scale | verify | sample | techniques | serve."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from imgproc.arguments import parser
from imgproc.backends import TECHNIQUES, technique
from imgproc.backends.base import BackendError
from imgproc.errors import UserError
from imgproc.files import own_folder, write_whole
from imgproc.intake.checks import Limits, check_header
from imgproc.intake.paths import find_images
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import usable_cores
from imgproc.measure.lock import NOT_ALONE, machine_lock
from imgproc.operations import OPERATIONS, PARAMETERS, parse_operations, parse_parameters
from imgproc.pixels.codecs import parse_format
from imgproc.report.text import comparison, scale_table, summary
from imgproc.runs.execute import process
from imgproc.runs.options import (
    MOST_IN_CHUNK,
    check_options,
    parse_counts,
    parse_start_method,
    parse_transfers,
    scale_counts,
)
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Mode, Record, RunSettings
from imgproc.runs.splitting import parse_split
from imgproc.runs.verify import verify
from imgproc.settings import PROJECT, Settings
from imgproc.terminal import Bar, quiet_libraries

#: What OpenCV decodes at most, unless told otherwise before it is imported: 2^30 pixels.
MOST_MEGAPIXELS = 1070.0
#: A folder in which measured rounds write.
WORK = ".imgproc"
DONE, SOME_FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    chosen = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        status = COMMANDS[chosen.command](chosen)
        sys.stdout.flush()
    except UserError as problem:
        print(f"imgproc: {problem.message}", file=sys.stderr)
        return SOME_FAILED if problem.code in ("refused_image", "disk_full") else WRONG_USE
    except BackendError as problem:
        print(f"imgproc: {problem}", file=sys.stderr)
        return SOME_FAILED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return SOME_FAILED
    except OSError as problem:
        print(
            f"imgproc: {problem.strerror or 'a file cannot be used'}: {problem.filename or 'output'}", file=sys.stderr
        )
        return SOME_FAILED
    except KeyboardInterrupt:
        print("imgproc: interrupted; files written so far are whole.", file=sys.stderr)
        return INTERRUPTED
    return status


def _end(*_: object) -> None:
    """SIGTERM unwinds like Ctrl-C, so that scratch files go."""
    raise SystemExit(TERMINATED)


def _process(chosen: argparse.Namespace) -> int:
    settings = _limits(chosen)
    mode: Mode = "sequential" if chosen.technique == "sequential" else "parallel"
    asked = _settings(chosen, settings)
    asked.technique, asked.budget = chosen.technique, _in_range("budget", chosen.budget, 0.0, 86_400.0)
    check_options(mode, asked)
    record = Record(secrets.token_hex(6), mode, asked)
    files = _look_at_all(record, chosen, chosen.out, settings)
    _make_folder(chosen.out)
    with own_folder(chosen.out, WORK) as work:
        _run(record, RunFolders(files, chosen.out, None, work), settings, quiet=chosen.json)
    print(_json(record) if chosen.json else summary(record), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _compare(chosen: argparse.Namespace) -> int:
    settings = _limits(chosen)
    asked = _settings(chosen, settings)
    asked.techniques = [technique(name).name for name in chosen.techniques]
    record = _measured("compare", asked, chosen, settings)
    print(comparison(record), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _scale(chosen: argparse.Namespace) -> int:
    settings = _limits(chosen)
    most = settings.MAX_WORKERS
    counts = parse_counts(chosen.workers or scale_counts(most), "workers", most)
    chosen.workers = str(max(counts))
    asked = _settings(chosen, settings)
    asked.technique, asked.worker_counts = technique(chosen.technique).name, counts
    asked.cv2_threads = parse_counts(chosen.cv2_threads, "cv2-threads", most)
    record = _measured("scale", asked, chosen, settings)
    print(scale_table(record), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _measured(mode: Mode, asked: RunSettings, chosen: argparse.Namespace, settings: Settings) -> Record:
    """A run of which only the record is kept."""
    asked.budget = _in_range("budget", chosen.budget, 1.0, 86_400.0)
    check_options(mode, asked)
    record = Record(secrets.token_hex(6), mode, asked)
    with own_folder(Path(tempfile.gettempdir()), WORK) as folder:
        files = _look_at_all(record, chosen, folder, settings)
        _run(record, RunFolders(files, folder / "results", None, folder / "work"), settings, quiet=False)
    if chosen.json:
        write_whole(chosen.json, _json(record).encode())
    return record


def _settings(chosen: argparse.Namespace, settings: Settings) -> RunSettings:
    """What all modes can be told.

    Raises:
        UserError: a value is not allowed.
    """
    given = {name: getattr(chosen, name) for name in PARAMETERS if getattr(chosen, name) is not None}
    return RunSettings(
        operations=list(parse_operations(chosen.operations or OPERATIONS)),
        parameters=parse_parameters(given),
        workers=_workers(chosen.workers, settings.MAX_WORKERS),
        format=parse_format(chosen.format),
        color=chosen.color,
        rounds=_in_range("rounds", chosen.rounds, 1, 100),
        transfers=parse_transfers(chosen.transfer),
        split=parse_split(chosen.split),
        start_method=parse_start_method(chosen.start_method),
        chunk_size=_in_range("chunk-size", chosen.chunk_size, 1, MOST_IN_CHUNK),
    )


def _limits(chosen: argparse.Namespace) -> Settings:
    """The settings, with the largest image as the command says."""
    settings = Settings.from_environment()
    if chosen.max_megapixels is None:
        return settings
    return replace(settings, MAX_MEGAPIXELS=_in_range("max-megapixels", chosen.max_megapixels, 0.001, MOST_MEGAPIXELS))


def _workers(value: str, most: int) -> int:
    try:
        count = int(value) if value else usable_cores()
    except ValueError:
        raise UserError(f"--workers must be a whole number, not “{value}”.", field="workers", limit=most) from None
    return _in_range("workers", count, 1, most)


def _look_at_all(record: Record, chosen: argparse.Namespace, out: Path, settings: Settings) -> dict[int, Path]:
    """Make the paths the record's images; returns the files by index.

    Raises:
        UserError: there is no image that could be processed.
    """
    files = find_images(chosen.paths, out)
    limits = Limits(settings.max_pixels, settings.MAX_SIDE)
    record.images = [_look_at(index, path, limits) for index, path in enumerate(files)]
    if not record.good_images:
        raise _none_good(record)
    return dict(enumerate(files))


def _none_good(record: Record) -> UserError:
    reasons = "".join(f"\nimgproc: {image.name}: {image.error}" for image in record.images)
    return UserError(f"None of the files could be processed.{reasons}", code="refused_image")


def _run(record: Record, places: RunFolders, settings: Settings, *, quiet: bool) -> None:
    with Bar(quiet) as bar, machine_lock(bar.waiting) as alone, quiet_libraries():
        if not alone:
            record.warnings.append(NOT_ALONE)
        try:
            process(record, places, settings, progress=bar.show)
        except UserError:
            if record.good_images:
                raise
            raise _none_good(record) from None
    record.state = "done"


def _json(record: Record) -> str:
    return json.dumps(record.to_dict(), ensure_ascii=False, indent=1) + "\n"


def _look_at(index: int, path: Path, limits: Limits) -> ImageRecord:
    """An image as far as its header tells; it is decoded only once, by the worker that processes it."""
    look = check_header(path, limits)
    size = path.stat().st_size
    # A name need not be text on every system; what is shown must be.
    name = os.fsencode(path).decode(errors="replace")
    return ImageRecord(index, name, look.width, look.height, look.format, size, look.error, look.code)


Number = TypeVar("Number", int, float)


def _in_range(name: str, value: Number, low: Number, high: Number) -> Number:
    if not low <= value <= high:
        raise UserError(f"--{name} must be from {low} to {high}, not {value}.", field=name, limit=high)
    return value


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"The folder {folder} cannot be made: {problem.strerror}.", field="out") from None


def _verify(chosen: argparse.Namespace) -> int:
    try:
        data = json.loads(chosen.record.read_bytes())
    except OSError as problem:
        raise UserError(f"{chosen.record} cannot be read: {problem.strerror}.", file=str(chosen.record)) from None
    except ValueError:
        raise UserError(f"{chosen.record} is not JSON.", file=str(chosen.record)) from None
    record = Record.from_dict(data)
    wrong = verify(record)
    for sentence in wrong:
        print(sentence)
    if wrong:
        print(f"{len(wrong)} figures do not follow from the raw samples.")
        return SOME_FAILED
    every = [*record.techniques, *record.weak]
    rounds = sum(len(m.rounds) for m in every)
    print(f"Every figure follows from the raw samples: {len(every)} techniques, {rounds} rounds.")
    return DONE


def _sample(chosen: argparse.Namespace) -> int:
    count = _in_range("count", chosen.count, 1, 10_000)
    _make_folder(chosen.folder)
    about = _in_range("megapixels", chosen.megapixels, 0.01, 50.0)
    drawn = draw_many(chosen.folder, count, about, chosen.seed, usable_cores())
    with closing(drawn), tqdm(total=count, unit="picture", leave=False, disable=not sys.stderr.isatty()) as bar:
        for _ in drawn:
            bar.update()
    print(f"{count} pictures in {chosen.folder}")
    return DONE


def _serve(chosen: argparse.Namespace) -> int:
    # app.py stands above this package and beside it; only this command needs it.
    sys.path.insert(0, str(PROJECT))
    status: int = importlib.import_module("app").serve(chosen.host, chosen.port)
    return status


def _techniques(_: argparse.Namespace) -> int:
    width = max(map(len, TECHNIQUES))
    for row in TECHNIQUES.values():
        available = row.availability()
        sign = "yes" if available.ok else "no "
        why = row.what if available.ok else f"{available.reason} {available.command}".strip()
        print(f"{sign}  {row.name:<{width}}  {why}")
    return DONE


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "process": _process,
    "compare": _compare,
    "scale": _scale,
    "verify": _verify,
    "sample": _sample,
    "techniques": _techniques,
    "serve": _serve,
}
