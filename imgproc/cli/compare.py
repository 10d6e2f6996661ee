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
from imgproc.parameters import Parameter

if TYPE_CHECKING:
    from imgproc.runs.record import Record

#: The exit status where the speedup is below what ``--fail-below`` asks for.
TOO_SLOW = 3
# More images than this are not all named in the command that the comparison ends with.
_FEW_PATHS = 3
_LEAST = Parameter("--fail-below", "The least speedup", "number", 1.0, "", 0.001, 100_000)


def add_arguments(parser: Parser) -> None:
    add_run_arguments(parser, "compare", "compare")
    parser.add_argument(
        "--program",
        type=path_named,
        metavar="FILE",
        help="write a short Python program into FILE that does what is advised, by public libraries",
    )
    parser.add_argument(
        "--fail-below",
        metavar="X",
        help=f"exit with status {TOO_SLOW} unless the fastest technique is at least X times as fast as sequential; "
        "also where too few rounds tell who that is",
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.measuring import measure  # all that measures, which --help and typos do without
    from imgproc.report.commands import ANY_PATHS
    from imgproc.report.text import comparison_blocks

    file: Path | None = arguments.program
    if file is not None:
        if file.is_dir():
            raise UserError(f"{file} is a folder; --program takes a file.", field="program")
        check_folder(file.parent, str(file))
    least = None if arguments.fail_below is None else float(_LEAST.parse(arguments.fail_below))
    paths = arguments.paths if len(arguments.paths) <= _FEW_PATHS else ANY_PATHS

    def keep(record: Record) -> int:
        kept = DONE if file is None else _write_program(record, file)
        return max(kept, DONE if least is None else _judge(record, least))

    return measure("compare", arguments, lambda record: comparison_blocks(record, paths), keep)


def _judge(record: Record, least: float) -> int:
    """Whether the speedup found is at least so much; where not, standard error says so, and the exit status it."""
    main = record.technique
    speedup = main.speedup if main and record.found.outcome != "undecided" else None
    if speedup is not None and speedup >= least:
        return DONE
    found = "no speedup was found" if speedup is None or main is None else f"{main.label}: {speedup:.3g}x"
    print(f"imgproc: {found}, which is not at least {least:g}x (--fail-below).", file=sys.stderr)
    return TOO_SLOW


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
