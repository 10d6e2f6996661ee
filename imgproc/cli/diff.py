"""diff: two records or more side by side, each against the first."""

from __future__ import annotations

import argparse
from pathlib import Path

from imgproc.cli import DONE, SOME_FAILED
from imgproc.cli.output import add_formats, check_outputs, printed_table, show, write_tables
from imgproc.cli.parser import STDOUT, Parser
from imgproc.cli.places import path_named
from imgproc.cli.streams import as_json
from imgproc.errors import UserError

#: The exit status where the runs did not do the same work, so that their times do not compare.
NOT_COMPARABLE = 3


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "records", nargs="+", type=path_named, metavar="RUN.JSON", help="records, that to compare with first"
    )
    add_formats(parser, "the table")
    parser.epilog = (
        "Exit status: 0 where nothing is measurably slower than in the first run, 1 where something is, 2 for wrong "
        "use, 3 where the runs did not do the same work, so that their times do not compare."
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.files import write_whole
    from imgproc.report.differences import Side, blocks, compared, short_names
    from imgproc.report.tables import sides
    from imgproc.runs.elsewhere import read_foreign

    if len(arguments.records) < 2:
        raise UserError("diff takes two records or more: RUN.JSON OTHER.JSON.", field="records")
    read = [read_foreign(_content(file), str(file)) for file in arguments.records]
    names = short_names([str(file) for file in arguments.records])
    check_outputs(arguments)
    found = compared([Side(name, one.record, True, one.wrong) for name, one in zip(names, read, strict=True)])
    data = as_json(sides(found).dicts())
    if arguments.json == STDOUT:
        print(data)
    else:
        said = printed_table(arguments, lambda: sides(found))
        if said:
            print(said, end="")
        else:
            show(blocks(found), plain=arguments.plain)
    if arguments.json not in (None, STDOUT):
        write_whole(arguments.json, f"{data}\n".encode())
    write_tables(arguments, lambda: sides(found))
    if not found.same_work:
        return NOT_COMPARABLE
    return SOME_FAILED if found.slower else DONE


def _content(file: Path) -> bytes:
    """Raises: UserError: the file cannot be read."""
    try:
        return file.read_bytes()
    except OSError as problem:
        raise UserError(f"{file} cannot be read: {problem.strerror}.", file=str(file)) from None
