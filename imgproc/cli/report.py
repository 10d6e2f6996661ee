"""report: what a run.json says, as one HTML file to print, to hand in and to open anywhere, or as a notebook."""

from __future__ import annotations

import argparse

from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.cli.places import check_folder, path_named, read_record
from imgproc.errors import UserError


def add_arguments(parser: Parser) -> None:
    parser.add_argument("record", type=path_named, metavar="RUN.JSON", help="the record of a run")
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        type=path_named,
        metavar="FILE",
        help="where the report is written: HTML; FILE.ipynb: a Jupyter notebook that computes it again",
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.files import write_whole
    from imgproc.report.document import document  # all that draws, which --help and typos do without
    from imgproc.report.notebook import SUFFIX, notebook
    from imgproc.runs.notes import Notes

    record, out = read_record(arguments.record), arguments.out
    if out.is_dir():
        raise UserError(f"{out} is a folder; --out takes a file.", field="out")
    check_folder(out.parent, str(out))
    folder = arguments.record.parent
    as_notebook = out.suffix.lower() == SUFFIX
    made = notebook(record, Notes.load(folder)) if as_notebook else document(record, folder)
    write_whole(out, made.encode())
    return DONE
