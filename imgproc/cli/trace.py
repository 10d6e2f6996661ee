"""trace: the recorded stages of a run.json, for a viewer of traces."""

from __future__ import annotations

import argparse

from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.cli.places import check_folder, path_named, read_record
from imgproc.errors import UserError

#: Also the keys of ``report.traces.TRACES``, which a test compares: all that draws is not loaded for --help.
FORMATS = ("perfetto", "speedscope")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("record", type=path_named, metavar="RUN.JSON", help="the record of a run")
    parser.add_argument(
        "-o", "--out", required=True, type=path_named, metavar="FILE.json", help="where the trace is written"
    )
    parser.add_argument(
        "--for",
        dest="viewer",
        choices=FORMATS,
        default=FORMATS[0],
        help="perfetto: Chrome’s trace events, for ui.perfetto.dev (the default); speedscope: for speedscope.app",
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.files import write_whole
    from imgproc.report.traces import has_trace, trace_text

    record, out = read_record(arguments.record), arguments.out
    if out.is_dir():
        raise UserError(f"{out} is a folder; --out takes a file.", field="out")
    if not has_trace(record):
        raise UserError(f"{arguments.record} has no recorded stages: nothing was measured.", field="record")
    check_folder(out.parent, str(out))
    write_whole(out, trace_text(record, arguments.viewer).encode())
    return DONE
