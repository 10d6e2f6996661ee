"""compare: techniques against each other, in shuffled rounds."""

from __future__ import annotations

import argparse

from imgproc.cli import measuring
from imgproc.cli.parser import Parser
from imgproc.report.text import comparison


def add_arguments(parser: Parser) -> None:
    measuring.add_arguments(parser, "compare", "compare")


def run(arguments: argparse.Namespace) -> int:
    return measuring.measure("compare", arguments, comparison)
