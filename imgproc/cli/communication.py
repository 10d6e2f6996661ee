"""communication: what it takes to hand data to a worker and back, for each way that techniques do so."""

from __future__ import annotations

import argparse
import sys

from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.cli.streams import as_json
from imgproc.errors import UserError
from imgproc.settings import Settings


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--transports", metavar="NAMES", help="only these, with commas: memory, pickled, shared, mpi, dask"
    )
    parser.add_argument(
        "--no-wait", dest="wait", action="store_false", help="measure at once where another measurement goes on"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, raw times included")


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.terminal import ProgressBar  # all that measures, which --help and typos do without
    from imgproc.measure.lock import NOT_ALONE, machine_lock
    from imgproc.report.communication import as_dict, text
    from imgproc.runs.communication import WAYS, measure

    settings = Settings.from_environment()
    names = [name.strip() for name in (arguments.transports or ",".join(WAYS)).split(",") if name.strip()]
    for name in names:
        if name not in WAYS:
            raise UserError(
                f"Transports (--transports) are {', '.join(WAYS)}, not “{name}”.",
                field="--transports",
                limit=", ".join(WAYS),
            )
    with ProgressBar(False) as bar, machine_lock(bar.waiting, wait=arguments.wait) as alone:
        found = measure(settings, names)
    print(as_json(as_dict(found)) + "\n" if arguments.json else text(found), end="")
    if not arguments.transports:
        found.save(settings.cache_dir)
    if not alone:
        print(f"imgproc: {NOT_ALONE}", file=sys.stderr)
    return DONE
