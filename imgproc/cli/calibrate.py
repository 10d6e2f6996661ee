"""calibrate: what this machine is like, from which ``auto`` and ``advise`` predict."""

from __future__ import annotations

import argparse
import sys

from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.measure.environment import usable_cores
from imgproc.parameters import Parameter
from imgproc.settings import Settings


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--workers", metavar="N", help="workers of each technique (default: the cores there are)")
    parser.add_argument(
        "--no-wait", dest="wait", action="store_false", help="measure at once where another measurement goes on"
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.cli.terminal import ProgressBar  # all that measures, which --help and typos do without
    from imgproc.measure.lock import NOT_ALONE, machine_lock
    from imgproc.report.predictions import calibration_table
    from imgproc.runs.advisor.calibrate import calibrate
    from imgproc.runs.advisor.learning import OTHERS

    settings = Settings.from_environment()
    limit = Parameter("--workers", "Workers", "integer", usable_cores(), "", 1, settings.MAX_WORKERS)
    workers = int(limit.parse(arguments.workers or str(min(usable_cores(), settings.MAX_WORKERS))))
    with ProgressBar(False) as bar, machine_lock(bar.waiting, wait=arguments.wait) as alone:
        calibration, busy = calibrate(settings, workers, bar.show)
    print(calibration_table(calibration, workers))
    calibration.save(settings.cache_dir)
    if not alone:
        print(f"imgproc: {NOT_ALONE}", file=sys.stderr)
    if (busy or 0.0) > OTHERS:
        print(
            f"imgproc: other programs used {busy:.1f} cores meanwhile, so predictions will be wrong; calibrate again "
            "when the machine is quiet.",
            file=sys.stderr,
        )
    return DONE
