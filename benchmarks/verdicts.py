"""Whether the verdicts can be trusted: techniques whose difference is known, in whole comparisons.

    python benchmarks/verdicts.py [--runs 20] [--budget 30] [--rounds 6] [--images 12] [--megapixels 3] [--workers N]

Each run compares, on drawn pictures and beside the baseline, ``threading``, the same code under a second name, and
the same code with tasks that take 10 % longer. Verdicts are those of the rounds pair by pair. Of 20 runs, at least 19
must say “no measurable difference” of the copy, or one that does not matter, and at least 18 “slower” of the other,
else the exit status is 1.

Only an idle machine tells: the cores that other programs used are shown for each run. By the level of the intervals
(see ``statistics.T_LEVEL``) equal techniques are told apart in 3 to 4 runs of 100, so that of twenty runs two or more
do so one time in seven; with more runs chance has less say.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.comparisons import compare
from imgproc.backends import TECHNIQUES
from imgproc.backends.pools.threads import Threads
from imgproc.backends.task import Task, TaskResult
from imgproc.intake.samples import draw_many
from imgproc.measure.derive import comparisons_of
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.lock import machine_lock
from imgproc.measure.results import LEVEL, Verdict
from imgproc.measure.statistics import SMALLEST, paired_speedup, verdict
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.runs.record import Record

ORIGINAL = "threading"
#: How much longer the tasks of ``Slower`` take.
SLOWER = 0.10
BLOCK = bytes(1 << 17)


class Slower(Threads):
    """Threads whose tasks each keep their worker at work for 10 % longer."""

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        return super().run([replace(task, work=slowed, payload=task) for task in tasks], deadline=deadline)


def slowed(task: Task, stopwatch: Stopwatch) -> Any:
    start = time.perf_counter()
    value = task.work(task.payload, stopwatch)
    end = time.perf_counter()
    # Work that lets go of the GIL, so that it costs this worker 10 % and the others nothing.
    while time.perf_counter() < end + SLOWER * (end - start):
        sha256(BLOCK)
    return value


@dataclass
class Question:
    """A technique whose difference from the original is known, and what was said of it."""

    name: str
    label: str
    path: str
    right: tuple[Verdict, ...]
    share: float  # of the runs that must be right
    verdicts: Counter[Verdict | None] = field(default_factory=Counter)
    widths: list[float] = field(default_factory=list)

    def answer(self, record: Record) -> str:
        """Take the verdict of one comparison, and say it."""
        walls = {m.name: [r.wall_seconds for r in m.rounds] for m in record.techniques}
        for m in record.techniques:
            if not m.rounds or m.identical is False:
                raise SystemExit(f"{m.label}: {m.reason}")
        speedup, interval = paired_speedup(walls[ORIGINAL], walls[self.name], comparisons_of(record.techniques))
        said = verdict(interval, SMALLEST)
        self.verdicts[said] += 1
        if interval is None:
            return f"{speedup:>7.3f}x {'too few rounds':<41}"
        self.widths.append((interval[1] - interval[0]) / 2 / speedup)
        return f"{speedup:>7.3f}x [{interval[0]:.3f}, {interval[1]:.3f}] {said:<26}"

    def needed(self, runs: int) -> int:
        return math.ceil(self.share * runs)


QUESTIONS = (
    Question("threading-copy", "an identical copy", TECHNIQUES[ORIGINAL].path, LEVEL, 19 / 20),
    Question("threading-slower", f"{100 * SLOWER:.0f} % slower", f"{__name__}:Slower", ("slower",), 18 / 20),
)


def show(runs: int) -> bool:
    """Print the counts; returns whether all is as demanded."""
    kinds: tuple[Verdict, ...] = (*LEVEL, "slower", "faster")
    print(f"\n{'':<20}{''.join(f'{kind:>26}' for kind in kinds)}{'no interval':>13}{'half width':>24}")
    for asked in QUESTIONS:
        counts = "".join(f"{asked.verdicts[kind]:>26}" for kind in kinds)
        widths = [100 * width for width in asked.widths]
        width = f"{statistics.median(widths):.1f} %, at most {max(widths):.1f} %" if widths else "-"
        print(f"{asked.label:<20}{counts}{asked.verdicts[None]:>13}{width:>24}")
    print()
    good = True
    for asked in QUESTIONS:
        right, needed = sum(asked.verdicts[kind] for kind in asked.right), asked.needed(runs)
        enough = "enough" if right >= needed else "TOO FEW"
        said = " or ".join(f"“{kind}”" for kind in asked.right)
        print(f"{asked.label}: {said} in {right} of {runs} runs, where {needed} are demanded: {enough}")
        good = good and right >= needed
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for each run (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--megapixels", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=usable_cores())
    chosen = parser.parse_args()
    for asked in QUESTIONS:
        TECHNIQUES[asked.name] = replace(TECHNIQUES[ORIGINAL], name=asked.name, label=asked.label, path=asked.path)
    with tempfile.TemporaryDirectory(prefix="verdicts-") as folder:
        files = sorted(draw_many(Path(folder), chosen.images, chosen.megapixels, 0, chosen.workers))
        facts = environment()
        print(f"{len(files)} images; {facts['cpu']}, {facts['cores_usable']} cores; {chosen.workers} workers")
        print(f"{'run':>4}{'rounds':>8}{'others':>8}  {''.join(f'{asked.label:<50}' for asked in QUESTIONS)}")
        for number in range(1, chosen.runs + 1):
            with machine_lock(lambda _: None):
                record = compare(
                    files,
                    techniques=[ORIGINAL, *(asked.name for asked in QUESTIONS)],
                    workers=chosen.workers,
                    rounds=chosen.rounds,
                    budget=chosen.budget,
                )
            answers = "".join(f"{asked.answer(record):<50}" for asked in QUESTIONS)
            others = record.environment.get("cores_used_by_others")
            rounds = len(record.techniques[0].rounds)
            print(f"{number:>4}{rounds:>8}{'?' if others is None else f'{others:.2f}':>8}  {answers}", flush=True)
    return 0 if show(chosen.runs) else 1


if __name__ == "__main__":
    sys.exit(main())
