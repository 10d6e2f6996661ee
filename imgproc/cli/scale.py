"""scale: one technique with more and more workers."""

from __future__ import annotations

import argparse

from imgproc.cli import measuring
from imgproc.cli.parser import Parser
from imgproc.report.text import scale_table


def add_arguments(parser: Parser) -> None:
    measuring.add_arguments(parser, "scale", "scale")


def run(arguments: argparse.Namespace) -> int:
    return measuring.measure("scale", arguments, scale_table)
