"""Where what a command found goes: printed for people, on a terminal or as plain text, or as JSON, CSV or Markdown,
printed or into files."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgproc.cli.parser import FILE_FLAGS, STDOUT, Parser
from imgproc.cli.places import check_output_file
from imgproc.cli.streams import as_json
from imgproc.errors import UserError
from imgproc.report.blocks import Block, Drawn, as_text

if TYPE_CHECKING:
    from imgproc.report.tables import Table


def add_plain(parser: Parser) -> None:
    """The switch for text without tables that fit the terminal."""
    parser.add_argument(
        "--plain", action="store_true", help="on a terminal too, print the text that files and pipes get"
    )


def show(blocks: Iterable[Block], *, plain: bool) -> None:
    """Print what was found: drawn where standard output is a terminal, else, or if ``plain``, as plain text."""
    found = list(blocks)
    if not plain and any(isinstance(block, Drawn) for block in found) and _can_draw():
        from imgproc.cli.screen import draw  # loads rich, which plain text does without

        draw(found)
    else:
        print(as_text(found), end="")


def _can_draw() -> bool:
    """Whether standard output is a terminal that takes styles and the signs of bars, and nobody asked for neither."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty() and codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"


def add_formats(parser: Parser, json: str) -> None:
    """The flags of all formats; ``json`` is what that one holds."""
    parser.add_argument(
        "--json",
        metavar="FILE",
        help=f"write {json} into FILE; without FILE print it, and nothing else. What follows is taken "
        "for an image, not for FILE, if it is a folder, a glob, an image or named like one; --json=FILE is always FILE",
    )
    parser.add_argument("--csv", metavar="FILE", help="the table as CSV, as --json: into FILE or printed")
    parser.add_argument("--markdown", metavar="FILE", help="the table as Markdown, as --json: into FILE or printed")
    add_plain(parser)


def check_outputs(arguments: argparse.Namespace) -> None:
    """Before anything is done: raises UserError, OSError where what is asked for could not be written."""
    formats = [flag.lstrip("-") for flag in FILE_FLAGS]
    printed = [f"--{name}" for name in formats if getattr(arguments, name) == STDOUT]
    if len(printed) > 1:
        raise UserError(f"{' and '.join(printed)} cannot both be printed; give one a FILE.", field=printed[1])
    for name in formats:
        check_output_file(name, getattr(arguments, name))


def is_printed(arguments: argparse.Namespace) -> bool:
    """Whether a format for programs is printed, so that nothing else may be."""
    return any(getattr(arguments, flag.lstrip("-"), None) == STDOUT for flag in FILE_FLAGS)


def write_tables(arguments: argparse.Namespace, made: Callable[[], Table]) -> None:
    """The table, as CSV and as Markdown, into the files that were named for them."""
    from imgproc.files import write_whole

    for name in ("csv", "markdown"):
        file = getattr(arguments, name)
        if file not in (None, STDOUT):
            write_whole(Path(file), table_text(made(), name).encode())


def printed_table(arguments: argparse.Namespace, made: Callable[[], Table]) -> str:
    """The table as it is to be printed; empty where it is not."""
    name = next((name for name in ("csv", "markdown") if getattr(arguments, name) == STDOUT), None)
    return table_text(made(), name) if name else ""


def table_text(table: Table, name: str) -> str:
    return table.csv() if name == "csv" else table.markdown()


def add_printed_formats(parser: Parser) -> None:
    """The formats as switches, for commands that only list what there is; one at a time."""
    group = parser.add_mutually_exclusive_group()
    for flag, name in zip(FILE_FLAGS, ("JSON", "CSV", "a table in Markdown"), strict=True):
        group.add_argument(flag, action="store_true", help=f"print it as {name}")
    add_plain(parser)


def printed_data(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> str:
    """The rows as the switch says; empty where there is none."""
    from imgproc.report.tables import of_dicts

    if arguments.json:
        return as_json(rows) + "\n"
    name = next((name for name in ("csv", "markdown") if getattr(arguments, name)), None)
    return table_text(of_dicts(rows), name) if name else ""
