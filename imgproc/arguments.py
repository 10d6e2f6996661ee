"""The commands of the command line and what each can be told."""

from __future__ import annotations

import argparse
from pathlib import Path

from imgproc import __version__
from imgproc.backends import TECHNIQUES
from imgproc.backends.sharing.transport import TRANSFERS
from imgproc.operations import OPERATIONS, PARAMETERS
from imgproc.pixels.codecs import FORMATS
from imgproc.runs.options import scale_counts, scale_threads, start_methods
from imgproc.runs.splitting import SPLITS


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m imgproc",
        description="Canny edges, Gaussian blur and histogram equalization of many images, in parallel.",
    )
    made.add_argument("--version", action="version", version=__version__)
    commands = made.add_subparsers(metavar="COMMAND", dest="command", required=True)
    _add_process(commands)
    _add_compare(commands)
    _add_scale(commands)
    check = commands.add_parser("verify", help="compute every statistic of a run.json again from its raw samples")
    check.add_argument("record", type=Path, metavar="RUN.JSON", help="the record of a run")
    sample = commands.add_parser("sample", help="draw sample pictures into a folder")
    sample.add_argument("folder", type=Path, metavar="DIR", help="folder for the pictures")
    sample.add_argument("--count", type=int, default=12, metavar="N", help="how many (default: %(default)s)")
    sample.add_argument(
        "--megapixels", type=float, default=3.0, metavar="M", help="their size on average (default: %(default)g)"
    )
    sample.add_argument("--seed", type=int, default=0, metavar="S", help="other pictures with another seed")
    commands.add_parser("techniques", help="what can run here, and what is missing")
    serve = commands.add_parser("serve", help="start the web app")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    return made


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
    _add_measuring(command)


def _add_scale(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("scale", help="measure one technique with more and more workers; keeps no images")
    _add_image_options(command, f"with commas (default: {scale_counts(64)})")
    command.add_argument("--technique", default="auto", metavar="NAME", help=f"auto (default), {', '.join(TECHNIQUES)}")
    command.add_argument(
        "--cv2-threads",
        default=scale_threads(),
        metavar="N,...",
        help="OpenCV's own threads in each worker, for the grid of both (default: %(default)s; 1: no grid)",
    )
    _add_measuring(command)


def _add_measuring(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--budget", type=float, default=60.0, metavar="SECONDS", help="measure at most so long (default: %(default)g)"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the record of the run into a file")


def _add_image_options(command: argparse.ArgumentParser, workers: str = "(default: the cores there are)") -> None:
    command.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders (with all below), or globs")
    command.add_argument("--workers", metavar="N", default="", help=f"workers {workers}")
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
    command.add_argument(
        "--split",
        default="auto",
        metavar="NAME",
        help=f"cut images into strips that workers share: {', '.join(SPLITS)} (default: auto, where it is faster)",
    )
    command.add_argument(
        "--max-megapixels", type=float, metavar="M", help="largest image (default: MAX_MEGAPIXELS, up to 1070)"
    )
    command.add_argument(
        "--transfer",
        action="append",
        default=[],
        metavar="NAME",
        help=f"how pixels reach worker processes: {', '.join(TRANSFERS)} (default: paths)",
    )
    command.add_argument(
        "--start-method", default="", metavar="NAME", help=f"of worker processes: {', '.join(start_methods())}"
    )
    command.add_argument(
        "--chunk-size", type=int, default=1, metavar="N", help="images that a worker process is handed at once"
    )
