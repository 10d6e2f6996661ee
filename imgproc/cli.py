"""The command line: python -m imgproc process | sample | techniques | serve."""

from __future__ import annotations

import argparse
import glob
import importlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from imgproc import __version__
from imgproc.backends import TECHNIQUES
from imgproc.backends.base import BackendError
from imgproc.errors import UserError
from imgproc.image.codecs import FORMATS, parse_format
from imgproc.image.operations import OPERATIONS, PARAMETERS, parse_operations, parse_parameters
from imgproc.image.samples import draw_many
from imgproc.image.vetting import Vetter
from imgproc.measure.environment import usable_cores
from imgproc.measure.lock import machine_lock
from imgproc.measure.results import Progress
from imgproc.runs.execute import Places, process
from imgproc.runs.record import ImageRecord, Record, RunSettings, summary
from imgproc.settings import PROJECT, Settings

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except UserError as problem:
        print(f"imgproc: {problem.message}", file=sys.stderr)
        return SOME_FAILED if problem.code in ("refused_image", "disk_full") else WRONG_USE
    except BackendError as problem:
        print(f"imgproc: {problem}", file=sys.stderr)
        return SOME_FAILED
    except KeyboardInterrupt:
        print("imgproc: interrupted; files written so far are whole.", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m imgproc",
        description="Canny edges, Gaussian blur and histogram equalization of many images, in parallel.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_process(commands)
    sample = commands.add_parser("sample", help="draw sample pictures into a folder")
    sample.add_argument("folder", type=Path, metavar="DIR", help="folder for the pictures")
    sample.add_argument("--count", type=int, default=12, metavar="N", help="how many (default: %(default)s)")
    sample.add_argument(
        "--megapixels", type=float, default=3.0, metavar="M", help="their size on average (default: %(default)g)"
    )
    sample.add_argument("--seed", type=int, default=0, metavar="S", help="other pictures with another seed")
    sample.set_defaults(run=_sample)
    listing = commands.add_parser("techniques", help="what can run here, and what is missing")
    listing.set_defaults(run=_techniques)
    serve = commands.add_parser("serve", help="start the web app")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    serve.set_defaults(run=_serve)
    return parser


def _add_process(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("process", help="process images into a folder")
    command.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders (with all below), or globs")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    command.add_argument("--technique", default="auto", metavar="NAME", help=f"auto (default), {', '.join(TECHNIQUES)}")
    command.add_argument("--workers", type=int, metavar="N", help="workers (default: the cores this machine has)")
    command.add_argument(
        "--operations", action="append", metavar="NAME", help=f"default: {','.join(OPERATIONS)}; commas or repeated"
    )
    for p in PARAMETERS.values():
        option = f"--{p.name.replace('_', '-')}"
        text = f"{p.help} {p.range.capitalize()}; default {p.default}."
        if p.kind == "flag":
            command.add_argument(option, dest=p.name, action="store_const", const=True, help=p.help)
        else:
            command.add_argument(option, dest=p.name, metavar="X", help=text)
    command.add_argument("--format", default="png", metavar="NAME", help=f"{', '.join(FORMATS)} (default: png)")
    command.add_argument("--color", action="store_true", help="keep colours; otherwise images are read as gray")
    command.add_argument(
        "--budget",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long the speedup may be measured after the results are written; 0: not at all (default: %(default)g)",
    )
    command.add_argument("--rounds", type=int, default=6, metavar="N", help="measured rounds (default: %(default)s)")
    command.add_argument("--json", action="store_true", help="print the record of the run, and nothing else")
    command.set_defaults(run=_process)


def _process(chosen: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    record = Record(
        secrets.token_hex(6),
        "sequential" if chosen.technique == "sequential" else "parallel",
        RunSettings(
            operations=list(parse_operations(chosen.operations or OPERATIONS)),
            parameters=parse_parameters(
                {name: getattr(chosen, name) for name in PARAMETERS if getattr(chosen, name) is not None}
            ),
            technique=chosen.technique,
            workers=_in_range("workers", chosen.workers or usable_cores(), 1, settings.MAX_WORKERS),
            format=parse_format(chosen.format),
            color=chosen.color,
            rounds=_in_range("rounds", chosen.rounds, 1, 100),
            budget=max(0.0, chosen.budget),
        ),
    )
    files = find_images(chosen.paths, chosen.out)
    vetter = Vetter(settings.max_pixels, settings.MAX_SIDE)
    record.images = [_look_at(index, path, vetter) for index, path in enumerate(files)]
    if not record.good_images:
        for image in record.images:
            print(f"imgproc: {image.name}: {image.error}", file=sys.stderr)
        raise UserError("None of the files could be processed.", code="refused_image")
    _make_folder(chosen.out)
    sources = dict(enumerate(files))
    with (
        tempfile.TemporaryDirectory(prefix=".imgproc-", dir=chosen.out) as work,
        _Bar(chosen.json) as bar,
        machine_lock(bar.waiting),
        _quiet_libraries(),
    ):
        process(record, Places(sources, chosen.out, None, Path(work)), settings, progress=bar.show)
    record.state = "done"
    print(json.dumps(record.to_dict(), ensure_ascii=False, indent=1) + "\n" if chosen.json else summary(record), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


Number = TypeVar("Number", int, float)


def _look_at(index: int, path: Path, vetter: Vetter) -> ImageRecord:
    """An image as far as its header tells; it is decoded only once, by the worker that processes it."""
    look = vetter.look(path)
    size = path.stat().st_size
    # A name need not be text on every system; what is shown must be.
    name = os.fsencode(path).decode(errors="replace")
    return ImageRecord(index, name, look.width, look.height, look.format, size, look.error, look.code)


def _in_range(name: str, value: Number, low: Number, high: Number) -> Number:
    if not low <= value <= high:
        raise UserError(f"--{name} must be from {low} to {high}, not {value}.", field=name, limit=high)
    return value


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"The folder {folder} cannot be made: {problem.strerror}.", field="out") from None


def find_images(patterns: Sequence[str], out: Path) -> list[Path]:
    """The files that paths, folders and globs stand for, each once; of folders all image files below them,
    except what lies in the folder for the results.

    Raises:
        UserError: a path does not exist, or a folder or glob holds no image.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = list(_expand(pattern, out))
        if not files:
            raise UserError(f"There is no image in {pattern}.", field="paths", file=pattern)
        found.update(dict.fromkeys(files))
    return list(found)


_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"}


def _expand(pattern: str, out: Path) -> Iterator[Path]:
    path = Path(pattern)
    if path.is_dir():
        results = out.resolve()
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in _EXTENSIONS and file.is_file() and results not in file.resolve().parents:
                yield file
    elif path.exists():
        yield path
    elif glob.has_magic(pattern):
        for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            if Path(match).is_file():
                yield Path(match)
    else:
        raise UserError(f"There is no file or folder {pattern}.", field="paths", file=pattern)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What decoders print about damaged files goes nowhere: each such file has its reason in our own words.

    They write to the descriptor of standard error, so that is what is moved away; ``sys.stderr`` goes on.
    """
    ours = sys.stderr
    ours.flush()
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    with open(os.dup(terminal), "w", encoding=ours.encoding, errors="replace", buffering=1) as kept:
        os.dup2(nowhere, 2)
        sys.stderr = kept
        try:
            yield
        finally:
            sys.stderr = ours
            os.dup2(terminal, 2)
            os.close(terminal)
            os.close(nowhere)


class _Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._bar: tqdm[None] | None = None
        self._off = quiet or not sys.stderr.isatty()
        self._waited = False

    def __enter__(self) -> _Bar:
        return self

    def show(self, progress: Progress) -> None:
        if self._off:
            return
        if self._bar is None:
            self._bar = tqdm(total=100, file=sys.stderr, bar_format="{desc} |{bar}| {n:.0f} % [{elapsed}]", leave=False)
        where = {"results": "images", "rounds": f"round {progress.round} of {progress.rounds}"}
        self._bar.set_description(f"{where.get(progress.phase, progress.phase)} {progress.label}", refresh=False)
        self._bar.n = round(100 * progress.share)
        self._bar.update(0)

    def waiting(self, seconds: float) -> None:
        """Somebody else is measuring; said once."""
        if not self._waited:
            self._waited = True
            print("imgproc: waiting until another measurement on this machine has ended", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


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
    for technique in TECHNIQUES.values():
        available = technique.availability()
        sign = "yes" if available.ok else "no "
        why = technique.what if available.ok else f"{available.reason} {available.command}".strip()
        print(f"{sign}  {technique.name:<{width}}  {why}")
    return DONE
