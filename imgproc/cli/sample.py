"""sample: pictures to try things on, drawn into a folder."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from tqdm import tqdm

from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.cli.places import make_folder, path_named
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import usable_cores
from imgproc.parameters import Parameter

_COUNT = Parameter("--count", "The number of pictures", "integer", 12, "How many pictures.", 1, 10_000)
_SIZE = Parameter("--megapixels", "The size", "number", 3.0, "Their size on average.", 0.01, 50)
_SEED = Parameter("--seed", "The seed", "integer", 0, "Other pictures with another seed.", 0, 2**31 - 1)


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", type=path_named, metavar="DIR", help="folder for the pictures")
    for p in (_COUNT, _SIZE, _SEED):
        parser.add_argument(p.name, default=p.default, metavar="N", help=f"{p.help} {p.range} (default: {p.default:g})")


def run(arguments: argparse.Namespace) -> int:
    count, size = int(_COUNT.parse(arguments.count)), float(_SIZE.parse(arguments.megapixels))
    seed = int(_SEED.parse(arguments.seed))
    make_folder(arguments.folder)
    drawn = draw_many(arguments.folder, count, size, seed, usable_cores())
    with closing(drawn), tqdm(total=count, unit="picture", leave=False, disable=not sys.stderr.isatty()) as bar:
        for _ in drawn:
            bar.update()
    print(f"{count} pictures in {arguments.folder}")
    return DONE
