"""What measuring costs beside what is measured: where the time of whole comparisons goes.

    python benchmarks/protocol_cost.py [--runs 3] [--budget 60] [--rounds 6] [--images 12] [--megapixels 3]
        [--workers N] [--technique NAME ...] [--previews] [--profile]

Each run is a whole comparison of all techniques (or of those named) on drawn pictures, as the command line makes
it. Its total, from the first start of workers to the finished record, is split by what the run itself reports:

    rounds     the timed passes
    warm-up    everybody's first pass, timed like a round but not counted: it makes the results, or the files that
               prove the pixels
    start-up   making the workers, a figure of its own for every technique
    hashes     reading the results back once, for the pixels_sha256 in the record
    proof      reading back what all others wrote, and comparing it with the results
    between    what surrounds each pass: watching memory and CPU time, making and removing folders, telling progress
    rest       everything else: the environment, choosing images, statistics, the record

The first three are measurements, each shown in the record. Overhead is all the others: hashes, proof, between and
rest. It must be under 3 % of every run that takes over 10 s, else the exit status is 1. With ``--previews`` the runs
make the small pictures for the pages as well, as the web app does; they are made with the hashes and count as such.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.comparisons import compare
from imgproc.backends import TECHNIQUES
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.lock import machine_lock
from imgproc.measure.results import Progress
from imgproc.runs.record import Record

MOST, LEAST_SECONDS = 0.03, 10.0
PARTS = ("rounds", "warm-up", "start-up", "hashes", "proof", "between", "rest")
OVERHEAD = PARTS[3:]
#: The phases of a run that hold timed passes and nothing else but what surrounds them.
PASSES = ("results", "warm-up", "rounds")


class Phases:
    """Seconds of a run by phase, from what it tells of its progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._now, self._since, self._passes = "before", 0.0, 0
        self._checked = "hashes"  # what is read back before anybody warms up are the results

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "warm-up":
            self._checked = "proof"
        self.end(self._checked if progress.phase == "checking" else progress.phase)
        if progress.passes_done > self._passes:  # what follows is no part of a pass, until the next phase begins
            self._passes, self._now = progress.passes_done, "passed"

    def end(self, phase: str = "after") -> None:
        now = time.perf_counter()
        self.seconds[self._now] += now - (self._since or now)
        self._now, self._since = phase, now


def measure(files: list[Path], chosen: argparse.Namespace) -> tuple[Record, dict[str, float]]:
    """One comparison of the files, and the seconds of its parts."""
    phases = Phases()
    record = compare(
        files,
        techniques=chosen.technique,
        workers=chosen.workers,
        rounds=chosen.rounds,
        budget=chosen.budget,
        previews=chosen.previews,
        progress=phases,
    )
    json.dumps(record.to_dict())
    phases.end()
    return record, split(record, phases.seconds)


def split(record: Record, phases: dict[str, float]) -> dict[str, float]:
    """The run's seconds by ``PARTS``."""
    rounds = sum(r.wall_seconds for m in record.techniques for r in m.rounds)
    warm_up = sum(m.first_round_seconds or 0.0 for m in record.techniques)
    start_up = sum(m.startup_seconds or 0.0 for m in record.techniques)
    between = sum(phases[name] for name in PASSES) - rounds - warm_up
    known = (rounds, warm_up, start_up, phases["hashes"], phases["proof"], between)
    return dict(zip(PARTS, (*known, sum(phases.values()) - sum(known)), strict=True))


def show(name: str, parts: dict[str, float]) -> float:
    """One row of the table; returns the overhead's share of the total."""
    total = sum(parts.values())
    overhead = sum(parts[part] for part in OVERHEAD) / total
    shares = "".join(f"{100 * parts[part] / total:>8.2f} %" for part in PARTS)
    print(f"{name:<18}{total:>8.2f} s{shares}{100 * overhead:>10.2f} %", flush=True)
    return overhead


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--megapixels", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--technique", action="append", default=[], help="one to compare, repeated for more")
    parser.add_argument("--previews", action="store_true", help="make the pictures for the pages, as the web app does")
    parser.add_argument("--profile", action="store_true", help="show which functions of this process took longest")
    chosen = parser.parse_args()
    if unknown := set(chosen.technique) - set(TECHNIQUES):
        parser.error(f"no such technique: {', '.join(unknown)}")
    profile = cProfile.Profile() if chosen.profile else None
    overheads, too_dear = [], 0
    with tempfile.TemporaryDirectory(prefix="protocol-cost-") as folder, machine_lock(lambda _: None):
        files = sorted(draw_many(Path(folder), chosen.images, chosen.megapixels, 0, chosen.workers))
        facts = environment()
        print(f"{len(files)} images; {facts['cpu']}, {facts['cores_usable']} cores; {chosen.workers} workers")
        print(f"{'':<18}{'total':>10}{''.join(f'{part:>10}' for part in PARTS)}{'overhead':>12}")
        for number in range(1, chosen.runs + 1):
            with profile or nullcontext():
                record, parts = measure(files, chosen)
            rounds = sum(len(m.rounds) for m in record.techniques)
            overhead = show(f"run {number}, {rounds} passes", parts)
            if sum(parts.values()) > LEAST_SECONDS:
                overheads.append(overhead)
                too_dear += overhead > MOST
            for warning in record.warnings:
                print(f"    {warning}")
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
    if not overheads:
        print(f"\nNo run took over {LEAST_SECONDS:g} s: nothing is proved. Give more images or rounds.")
        return 1
    print(
        f"\nOverhead of {len(overheads)} runs over {LEAST_SECONDS:g} s: {100 * statistics.median(overheads):.2f} % in "
        f"the middle, {100 * max(overheads):.2f} % at most; {too_dear} of them over {100 * MOST:g} %."
    )
    return 1 if too_dear else 0


if __name__ == "__main__":
    sys.exit(main())
