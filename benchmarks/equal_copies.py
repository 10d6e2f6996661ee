"""Whether equal techniques are told apart (A/A): comparisons of copies of one technique, each a real run.

    python benchmarks/equal_copies.py [--comparisons 40] [--copies 6] [--technique threading] [--rounds 6] [--budget 30]
                                      [--images 12] [--megapixels 3] [--workers N]

All copies are the same code under other names, so every "faster" or "slower" of one over another is a false alarm. The
intervals of a comparison hold all at once, in 95 % of comparisons; of 40 at most 2 may have any such verdict, else the
exit status is 1. A machine that others use as well shows what that costs: the cores they used stand in each line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.comparisons import compare
from imgproc.backends import TECHNIQUES
from imgproc.intake.samples import draw_many
from imgproc.measure.derive import comparisons_of
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.lock import machine_lock
from imgproc.measure.results import LEVEL
from imgproc.measure.statistics import SMALLEST, paired_speedup, verdict
from imgproc.runs.record import Record

#: Of so many comparisons one may tell equals apart.
ONE_IN = 20


def copies_of(name: str, count: int) -> list[str]:
    """The names of so many copies of a technique, which are then in the table."""
    copies = [f"{name}-{number}" for number in range(1, count + 1)]
    for number, copy in enumerate(copies, 1):
        label = f"{TECHNIQUES[name].label}, copy {number}"
        TECHNIQUES[copy] = replace(TECHNIQUES[name], name=copy, label=label)
    return copies


def told_apart(record: Record, copies: Sequence[str]) -> list[str]:
    """Which copies a comparison tells apart, of all pairs, in words.

    Raises:
        SystemExit: one was not measured, or there are too few rounds for intervals.
    """
    of_name = {t.name: t for t in record.techniques}
    found = []
    for one, other in combinations((of_name[name] for name in copies), 2):
        if not (one.rounds and other.rounds and one.identical and other.identical):
            raise SystemExit(f"A copy was not measured: {one.reason or other.reason}")
        walls = [[r.wall_seconds for r in t.rounds] for t in (other, one)]
        _, interval = paired_speedup(*walls, comparisons_of(record.techniques))
        said = verdict(interval, SMALLEST)
        if said is None:
            raise SystemExit("Too few rounds for intervals; give them more time by --budget.")
        if said not in LEVEL:
            found.append(f"{one.name} {said} than {other.name}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=40)
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--technique", choices=list(TECHNIQUES), default="threading")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for each (default: %(default)g)")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--megapixels", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=usable_cores())
    chosen = parser.parse_args()
    copies, wrong = copies_of(chosen.technique, chosen.copies), 0
    with tempfile.TemporaryDirectory(prefix="equal-copies-") as folder:
        files = sorted(draw_many(Path(folder), chosen.images, chosen.megapixels, 0, chosen.workers))
        facts = environment()
        print(f"{len(files)} images; {facts['cpu']}, {facts['cores_usable']} cores; {chosen.workers} workers")
        print(f"{'comparison':>10}{'rounds':>8}{'others':>8}  told apart")
        for number in range(1, chosen.comparisons + 1):
            with machine_lock(lambda _: None):
                record = compare(
                    files, techniques=copies, workers=chosen.workers, rounds=chosen.rounds, budget=chosen.budget
                )
            said = told_apart(record, copies)
            wrong += bool(said)
            others = record.environment.get("cores_used_by_others")
            rounds = len(record.techniques[0].rounds)
            shown = f"{number:>10}{rounds:>8}{'?' if others is None else f'{others:.2f}':>8}"
            print(f"{shown}  {'; '.join(said) or 'none'}", flush=True)
    pairs, most = len(copies) * (len(copies) - 1) // 2, max(1, chosen.comparisons // ONE_IN)
    print(f"\n{wrong} of {chosen.comparisons} comparisons told any of {pairs} pairs apart; at most {most} may.")
    return 0 if wrong <= most else 1


if __name__ == "__main__":
    sys.exit(main())
