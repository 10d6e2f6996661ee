"""advise: how long every technique will take for images, without running any."""

from __future__ import annotations

import argparse

from imgproc.cli.arguments import add_run_arguments
from imgproc.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    add_run_arguments(parser, "advise", "parallel")


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.measuring import predict_all  # all that reads images, which --help and typos do without

    return predict_all(arguments)
