"""repeat: a run again, from its record, and whether it reproduces."""

from __future__ import annotations

import argparse

from imgproc.cli.output import add_formats
from imgproc.cli.parser import Parser
from imgproc.cli.places import path_named


def add_arguments(parser: Parser) -> None:
    parser.add_argument("record", type=path_named, metavar="RUN.JSON", help="the record of a run")
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="PATH",
        help="its images, told by their content: files, folders (with all below), or globs (default: where they were, "
        "from here or from beside the record; samples are drawn again)",
    )
    parser.add_argument(
        "--measure-on",
        action="store_true",
        help="instead, measure the same for longer: with as many rounds, and the time for them, as by their scatter so "
        "far make every interval of a speedup narrow; only the new rounds count",
    )
    parser.add_argument(
        "--operation",
        action="append",
        metavar="FILE.py:FUNCTION",
        help="a function of your own that the run did, as it was named then; its record holds only the name",
    )
    parser.add_argument(
        "--function",
        metavar="FILE.py:FUNCTION",
        help="of a run over items: the function, as its record holds only a hash of it",
    )
    parser.add_argument(
        "--items",
        metavar="FILE.py:ITEMS",
        help="of such a run: the items, or a function without arguments that gives them",
    )
    parser.add_argument(
        "--operations", help=argparse.SUPPRESS
    )  # what --operation becomes, which the record says as well
    parser.add_argument("--max-megapixels", metavar="X", help="Largest image (default: MAX_MEGAPIXELS, up to 1070)")
    parser.add_argument(
        "--no-wait", dest="wait", action="store_false", help="measure at once where another measurement goes on"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors, and no progress")
    add_formats(parser, "the record of the new run")


def run(arguments: argparse.Namespace) -> int:
    """Status 0: it reproduces, or was measured on; 1: it does not, or its images are not here; 2: wrong use."""
    from imgproc.cli.measuring import repeat  # all that measures, which --help and typos do without

    return repeat(arguments.record, arguments)
