"""process: images into results in a folder, then the speedup."""

from __future__ import annotations

import argparse

from imgproc.cli.arguments import add_run_arguments
from imgproc.cli.parser import Parser
from imgproc.cli.places import path_named


def add_arguments(parser: Parser) -> None:
    add_run_arguments(parser, "process", "sequential", "parallel")
    parser.add_argument("--out", required=True, type=path_named, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--no-overwrite", action="store_true", help="do nothing where a result would take the place of an earlier file"
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.measuring import process_into  # all that processes, which --help and typos do without

    return process_into(arguments.out, arguments)
