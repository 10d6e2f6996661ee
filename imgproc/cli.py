"""The command line: python -m imgproc process | compare | verify | sample | techniques | serve."""

from __future__ import annotations

import argparse
import glob
import importlib
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from imgproc import __version__
from imgproc.backends import TECHNIQUES, technique
from imgproc.backends.base import BackendError
from imgproc.errors import UserError
from imgproc.image.codecs import FORMATS, parse_format
from imgproc.image.operations import OPERATIONS, PARAMETERS, parse_operations, parse_parameters
from imgproc.image.samples import draw_many
from imgproc.image.task import write_whole
from imgproc.image.vetting import Vetter
from imgproc.measure.environment import usable_cores
from imgproc.measure.lock import NOT_ALONE, machine_lock
from imgproc.measure.results import Progress
from imgproc.runs.execute import Places, process
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.verify import verify
from imgproc.runs.words import comparison, summary
from imgproc.settings import PROJECT, Settings

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        status: int = chosen.run(chosen)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m imgproc",
        description="Canny edges, Gaussian blur and histogram equalization of many images, in parallel.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_process(commands)
    _add_compare(commands)
    check = commands.add_parser("verify", help="compute every statistic of a run.json again from its raw samples")
    check.add_argument("record", type=Path, metavar="RUN.JSON", help="the record of a run")
    check.set_defaults(run=_verify)
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
    _add_image_options(command)
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    command.add_argument("--technique", default="auto", metavar="NAME", help=f"auto (default), {', '.join(TECHNIQUES)}")
    command.add_argument(
        "--budget",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long the speedup may be measured after the results are written; 0: not at all (default: %(default)g)",
    )
    command.add_argument("--json", action="store_true", help="print the record of the run, and nothing else")
    command.set_defaults(run=_process)


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("compare", help="measure techniques against each other; keeps no images")
    _add_image_options(command)
    command.add_argument(
        "--technique",
        action="append",
        default=[],
        metavar="NAME",
        dest="techniques",
        help=f"one to compare, repeated for more (default: all): {', '.join(TECHNIQUES)}",
    )
    command.add_argument(
        "--budget", type=float, default=60.0, metavar="SECONDS", help="measure at most so long (default: %(default)g)"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the record of the run into a file")
    command.set_defaults(run=_compare)


def _add_image_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders (with all below), or globs")
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
    command.add_argument("--rounds", type=int, default=6, metavar="N", help="measured rounds (default: %(default)s)")


def _process(chosen: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    asked = _settings(chosen, settings)
    asked.technique, asked.budget = chosen.technique, _in_range("budget", chosen.budget, 0.0, 86_400.0)
    record = Record(secrets.token_hex(6), "sequential" if chosen.technique == "sequential" else "parallel", asked)
    files = _look_at_all(record, chosen, chosen.out, settings)
    _make_folder(chosen.out)
    with tempfile.TemporaryDirectory(prefix=".imgproc-", dir=chosen.out) as work:
        _run(record, Places(files, chosen.out, None, Path(work)), settings, quiet=chosen.json)
    print(_json(record) if chosen.json else summary(record), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _compare(chosen: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    asked = _settings(chosen, settings)
    asked.techniques = [technique(name).name for name in chosen.techniques]
    asked.budget = _in_range("budget", chosen.budget, 1.0, 86_400.0)
    record = Record(secrets.token_hex(6), "compare", asked)
    with tempfile.TemporaryDirectory(prefix="imgproc-") as folder:
        files = _look_at_all(record, chosen, Path(folder), settings)
        _run(record, Places(files, Path(folder, "results"), None, Path(folder, "work")), settings, quiet=False)
    if chosen.json:
        write_whole(chosen.json, _json(record).encode())
    print(comparison(record), end="")
    return SOME_FAILED if any(image.error for image in record.images) else DONE


def _settings(chosen: argparse.Namespace, settings: Settings) -> RunSettings:
    """What both ``process`` and ``compare`` can be told.

    Raises:
        UserError: a value is not allowed.
    """
    given = {name: getattr(chosen, name) for name in PARAMETERS if getattr(chosen, name) is not None}
    return RunSettings(
        operations=list(parse_operations(chosen.operations or OPERATIONS)),
        parameters=parse_parameters(given),
        workers=_in_range("workers", chosen.workers or usable_cores(), 1, settings.MAX_WORKERS),
        format=parse_format(chosen.format),
        color=chosen.color,
        rounds=_in_range("rounds", chosen.rounds, 1, 100),
    )


def _look_at_all(record: Record, chosen: argparse.Namespace, out: Path, settings: Settings) -> dict[int, Path]:
    """Make the paths the record's images; returns the files by index.

    Raises:
        UserError: there is no image that could be processed.
    """
    files = find_images(chosen.paths, out)
    vetter = Vetter(settings.max_pixels, settings.MAX_SIDE)
    record.images = [_look_at(index, path, vetter) for index, path in enumerate(files)]
    if not record.good_images:
        raise _none_good(record)
    return dict(enumerate(files))


def _none_good(record: Record) -> UserError:
    reasons = "".join(f"\nimgproc: {image.name}: {image.error}" for image in record.images)
    return UserError(f"None of the files could be processed.{reasons}", code="refused_image")


def _run(record: Record, places: Places, settings: Settings, *, quiet: bool) -> None:
    with _Bar(quiet) as bar, machine_lock(bar.waiting) as alone, _quiet_libraries():
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


def _look_at(index: int, path: Path, vetter: Vetter) -> ImageRecord:
    """An image as far as its header tells; it is decoded only once, by the worker that processes it."""
    look = vetter.look(path)
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


def find_images(patterns: Sequence[str], out: Path) -> list[Path]:
    """The files that paths, folders and globs stand for, each once; of folders all image files below them,
    except what lies in the folder for the results. Links to one file count as one.

    Raises:
        UserError: a path does not exist, or a folder or glob holds no image.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        files = list(_expand(pattern, out))
        if not files:
            inside = " outside the folder for the results" if _is_below(Path(pattern), out) else ""
            raise UserError(f"There is no image in {pattern}{inside}.", field="paths", file=pattern)
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _is_below(path: Path, folder: Path) -> bool:
    return folder.resolve() in (path.resolve(), *path.resolve().parents)


_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"}


def _expand(pattern: str, out: Path) -> Iterator[Path]:
    path = Path(pattern)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in _EXTENSIONS and file.is_file() and not _is_below(file, out):
                yield file
    elif path.is_file():
        yield path
    elif path.exists():
        raise UserError(f"{pattern} is neither a file nor a folder.", field="paths", file=pattern)
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
    if ours is None:  # closed by whoever started us
        yield
        return
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
        self._off = quiet or sys.stderr is None or not sys.stderr.isatty()
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
    rounds = sum(len(m.rounds) for m in record.techniques)
    print(f"Every figure follows from the raw samples: {len(record.techniques)} techniques, {rounds} rounds.")
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
