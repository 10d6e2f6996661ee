"""From calls of which length does a technique pay? What a comparison of 50 µs calls says, beside a measured sweep.

    python benchmarks/short_calls.py [--technique NAME ...] [--workers N] [--call-us 50] [--items 400] [--budget 6]

First one comparison of calls of 50 µs each, as ``imgproc.compare`` makes it: what handing over a task takes, and from
calls of which length on each technique is said to pay. Then, for each technique, comparisons of calls around that
length; where the speedup of these passes 1 is what was measured. Both are printed, and the difference: it
should be within 20 %, else the exit status is 1. That holds on a quiet machine with more than one core; a call keeps a
core busy for its time, so processes and interpreters can gain, and threads with a GIL cannot.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc import compare
from imgproc.measure.environment import usable_cores

#: Calls of the sweep, as shares of the length that was said.
SWEEP = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.5)
ALLOWED = 0.2


def busy(seconds: float) -> None:
    """Keep a core busy for so long; in Python, which holds the GIL."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def crossing(lengths: Sequence[float], speedups: Sequence[float]) -> float | None:
    """The length at which the speedup passes 1, between the last two points around it, by the logarithms of both; None
    where it does not, or is above from the first on."""
    points = list(zip(lengths, speedups, strict=True))
    for (before, slower), (after, faster) in reversed(list(pairwise(points))):
        if slower < 1 <= faster:
            share = -math.log(slower) / (math.log(faster) - math.log(slower))
            return before * (after / before) ** share
    return None


def sweep(said: float, speedup: Callable[[float], float]) -> tuple[list[float], list[float]]:
    """Lengths around the one that was said, and the speedup of calls of each."""
    lengths = [share * said for share in SWEEP]
    return lengths, [speedup(length) for length in lengths]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--technique", action="append", help="several; two kinds of processes where not given")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--call-us", type=float, default=50)
    parser.add_argument("--items", type=int, default=400, help="calls in a round")
    parser.add_argument("--budget", type=float, default=6, help="seconds of measuring for each comparison")
    asked = parser.parse_args()
    names = asked.technique or ["multiprocessing", "futures-processes"]

    def measured(seconds: float, names: Sequence[str]):
        items = [seconds] * asked.items
        return compare(busy, items, techniques=names, workers=asked.workers, budget=asked.budget, progress=False)

    found = measured(asked.call_us / 1e6, names)
    print(found.table())
    worst = 0.0
    for name in names:
        said = found[name].pays_from_task_seconds
        if not said:
            print(f"{name}: nothing is said ({found.reason(name) or 'its calls do not run at the same time'})")
            continue
        lengths, speedups = sweep(said, lambda seconds, name=name: measured(seconds, [name]).speedup(name) or 0.01)
        passed = crossing(lengths, speedups)
        print(", ".join(f"{1e6 * at:.0f} µs {gain:.2f}x" for at, gain in zip(lengths, speedups, strict=True)))
        differs = abs(passed / said - 1) if passed else math.inf
        worst = max(worst, differs)
        where = f"{1e6 * passed:.0f} µs" if passed else "none of these"
        print(f"{name}: said {1e6 * said:.0f} µs, measured {where}, {100 * differs:.0f} % apart")
    return int(worst > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
