"""process: images into results in a folder, then the speedup."""

from __future__ import annotations

import argparse
from pathlib import Path

from imgproc.backends import BASELINE
from imgproc.cli import measuring
from imgproc.cli.parser import Parser
from imgproc.files import own_folder
from imgproc.report.text import summary
from imgproc.runs.options import Mode
from imgproc.runs.passes import Places


def add_arguments(parser: Parser) -> None:
    measuring.add_arguments(parser, "process", "sequential", "parallel")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")


def run(arguments: argparse.Namespace) -> int:
    settings = measuring.app_settings(arguments)
    mode: Mode = "sequential" if arguments.technique == BASELINE else "parallel"
    record = measuring.new_record(mode, arguments, settings)
    measuring.check_record_file(arguments.json)
    files = measuring.look_at_all(record, arguments.paths, arguments.out, settings)
    measuring.make_folder(arguments.out)
    with own_folder(arguments.out, measuring.WORK) as work:
        measuring.execute(record, Places(files, arguments.out, None, work), settings, arguments.json)
    return measuring.tell(record, arguments.json, summary)
