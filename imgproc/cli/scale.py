"""scale: one technique with more and more workers."""

from __future__ import annotations

import argparse

from imgproc.cli.arguments import add_run_arguments
from imgproc.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    add_run_arguments(parser, "scale", "scale")


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.measuring import measure  # all that measures, which --help and typos do without
    from imgproc.report.text import scale_blocks

    return measure("scale", arguments, scale_blocks)
