"""report: what a run.json says, as one HTML file to print, to hand in and to open anywhere."""

from __future__ import annotations

import argparse

from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.cli.places import check_folder, path_named, read_record
from imgproc.errors import UserError


def add_arguments(parser: Parser) -> None:
    parser.add_argument("record", type=path_named, metavar="RUN.JSON", help="the record of a run")
    parser.add_argument(
        "-o", "--out", required=True, type=path_named, metavar="FILE.html", help="where the report is written"
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.files import write_whole
    from imgproc.report.document import document  # all that draws, which --help and typos do without

    record, out = read_record(arguments.record), arguments.out
    if out.is_dir():
        raise UserError(f"{out} is a folder; --out takes a file.", field="out")
    check_folder(out.parent, str(out))
    write_whole(out, document(record, arguments.record.parent).encode())
    return DONE
