"""compare: techniques against each other, in shuffled rounds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imgproc.cli import DONE, SOME_FAILED
from imgproc.cli.arguments import add_run_arguments
from imgproc.cli.parser import Parser
from imgproc.cli.places import check_folder, path_named
from imgproc.errors import UserError

if TYPE_CHECKING:
    from imgproc.runs.record import Record

# More images than this are not all named in the command that the comparison ends with.
_FEW_PATHS = 3


def add_arguments(parser: Parser) -> None:
    add_run_arguments(parser, "compare", "compare")
    parser.add_argument(
        "--program",
        type=path_named,
        metavar="FILE",
        help="write a short Python program into FILE that does what is advised, by public libraries",
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.measuring import measure  # all that measures, which --help and typos do without
    from imgproc.report.advice import ANY_PATHS
    from imgproc.report.text import comparison

    file: Path | None = arguments.program
    if file is not None:
        if file.is_dir():
            raise UserError(f"{file} is a folder; --program takes a file.", field="program")
        check_folder(file.parent, str(file))
    paths = arguments.paths if len(arguments.paths) <= _FEW_PATHS else ANY_PATHS

    def keep(record: Record) -> int:
        return DONE if file is None else _write_program(record, file)

    return measure("compare", arguments, lambda record: comparison(record, paths), keep)


def _write_program(record: Record, file: Path) -> int:
    """The program that the run advises; where there is none, standard error says why, and the exit status it."""
    from imgproc.files import write_whole
    from imgproc.report.advice import advice

    told = advice(record)
    if told is not None and told.program:
        write_whole(file, told.program.encode())
        return DONE
    why = [told.use, *told.notes] if told else ["Nothing was measured."]
    print(f"imgproc: no program was written: {why[-1]}", file=sys.stderr)
    return SOME_FAILED
