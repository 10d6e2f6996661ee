"""Programs take turns on the files of one workload, in shuffled rounds."""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.whole_jobs.children import Answer, ChildFailed, Team
from benchmarks.whole_jobs.memory import TreeMemory
from benchmarks.whole_jobs.pixels import Check
from benchmarks.whole_jobs.programs import PROGRAMS, TEXTBOOK
from benchmarks.whole_jobs.workloads import Files
from imgproc.measure.load import MachineLoad

#: Share of the files that a warm-up goes over, twice; the second tells how long a pass will take.
WARM_UP = 0.1
#: Fewest files that a program works on, for pictures differ.
FEWEST = 4
#: Fewest rounds, whatever the time is.
LEAST_ROUNDS = 2
#: A program that takes so many times the time that a pass should take, even for a few files, takes part once.
FAR_TOO_LONG = 2.0
#: Kinds of entries; ``SHORT``: ours with the PNG encoder of a job of these files and no more.
OURS, OLDER, SHORT, BOUND = "ours", "older", "short", "bound"


@dataclass
class Entry:
    """A program that takes part, and what was measured of it.

    ``start`` makes its children. ``seconds`` by round and ``output_bytes`` are for all files: where it worked on a
    part of them, in proportion to plain OpenCV's. ``once``: it takes part in one round only. ``wrong``: pixels by
    operation, of so many ``pixels`` of a gray picture; None where they are not looked at.
    """

    name: str
    label: str
    start: Callable[[], Team]
    missing: str = ""
    l2: bool = False
    files: Files | None = None
    once: bool = False
    seconds: dict[int, float] = field(default_factory=dict)
    output_bytes: float = 0.0
    memory_bytes: int = 0
    wrong: dict[str, int] | None = None
    pixels: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds.values())

    def times_as_fast_as(self, other: Entry) -> float:
        """The median of the ratios of the rounds that both took part in."""
        return statistics.median(other.seconds[n] / self.seconds[n] for n in self.seconds if n in other.seconds)

    @property
    def kind(self) -> str:
        """``OURS``, ``OLDER``, ``SHORT``, ``BOUND``, or ``peer``."""
        return "peer" if self.name in PROGRAMS else self.name.partition(":")[0]


@dataclass
class Measured:
    """All that was measured of a workload; ``others``: cores that other programs used meanwhile, where known."""

    files: Files
    entries: list[Entry]
    rounds: int = 0
    others: float | None = None

    def entry(self, name: str) -> Entry | None:
        """The program of that name, if it was measured."""
        return next((entry for entry in self.entries if entry.name == name and entry.seconds), None)

    def fastest(self, kind: str) -> Entry | None:
        """Of the textbook's programs and the other peers, of ours or of the older build's techniques."""
        return min((e for e in self.entries if e.kind == kind and e.seconds), key=lambda e: e.median, default=None)


@dataclass(frozen=True)
class Limits:
    """``rounds``: at most so many, and fewer once ``seconds`` are over. ``pass_seconds``: a program that would take
    longer for all files works on a part of them."""

    rounds: int
    seconds: float
    pass_seconds: float
    workers: int


def measure(entries: Sequence[Entry], files: Files, limits: Limits, scratch: Path, note: str) -> Measured:
    """Start the programs, warm them up, and have them take turns; ends them all.

    A program that fails is left out from then on, and its ``missing`` says why.
    """
    measured = Measured(files, list(entries))
    teams: dict[str, Team] = {}
    watches: dict[str, TreeMemory] = {}
    try:
        for entry in entries:
            if not entry.missing:
                teams[entry.name] = team = entry.start()
                watches[entry.name] = TreeMemory(team.pids)
        _tell(f"{note}: {len(teams)} programs start")
        for entry in entries:  # all of them, for what still starts would slow down those that warm up
            if entry.name in teams:
                _wait(entry, teams[entry.name])
        for entry in entries:
            if not entry.missing:
                _tell(f"{note}: warm-up, {entry.label}")
                _warm_up(entry, teams[entry.name], files, limits, scratch / "out")
        _rounds(measured, teams, watches, limits, scratch / "out", note)
    finally:
        for team in teams.values():
            team.close()
    return measured


def _wait(entry: Entry, team: Team) -> None:
    try:
        team.wait_until_ready()
        team.suspend()
    except ChildFailed as problem:
        entry.missing = f"failed: {problem}"


def _warm_up(entry: Entry, team: Team, files: Files, limits: Limits, out: Path) -> None:
    """Two passes over a part of the files, one where that takes long; decides how many the program works on."""
    few = files.first(max(FEWEST, 2 * limits.workers, round(WARM_UP * len(files.paths))))
    try:
        team.resume()
        seconds = _one_pass(team, few, out).seconds
        if seconds < limits.pass_seconds:
            seconds = min(seconds, _one_pass(team, few, out).seconds)
        team.suspend()
    except ChildFailed as problem:
        entry.missing = f"failed: {problem}"
        return
    share = limits.pass_seconds / (seconds * sum(files.work) / sum(few.work))
    entry.files = files if share >= 1 else files.first(max(FEWEST, limits.workers, int(share * len(files.paths))))


def tiny_files(folder: Path, count: int) -> Files:
    """So many pictures that take next to no time."""
    paths = [folder / f"tiny-{number}.jpg" for number in range(count)]
    for path in paths:
        cv2.imwrite(str(path), np.full((48, 64, 3), 128, np.uint8))
    return Files.of(paths)


def _one_pass(team: Team, files: Files, out: Path) -> Answer:
    """One that leaves nothing."""
    answer = team.one_pass(files, out)
    shutil.rmtree(out)
    return answer


def _rounds(
    measured: Measured,
    teams: dict[str, Team],
    watches: dict[str, TreeMemory],
    limits: Limits,
    out: Path,
    note: str,
) -> None:
    check, load = Check(limits.workers), MachineLoad()
    # After they were suspended some have to look at the time first, or replace workers that were silent for long.
    wake = tiny_files(out.parent, limits.workers)
    ready = [entry for entry in measured.entries if entry.files]
    start, order = time.monotonic(), random.Random(0)
    load.start()
    for number in range(1, limits.rounds + 1):
        if number > LEAST_ROUNDS and time.monotonic() - start > limits.seconds * (number - 1) / number:
            break  # another round would end too late
        for entry in order.sample(ready, len(ready)):
            if entry.missing or not entry.files or (entry.once and number > 1):
                continue
            _tell(f"{note}: round {number}, {entry.label}")
            scale = sum(measured.files.work) / sum(entry.files.work)
            team = teams[entry.name]
            try:
                team.resume()
                _one_pass(team, wake, out)
                with watches[entry.name] as memory:
                    answer = team.one_pass(entry.files, out)
                team.suspend()
            except ChildFailed as problem:
                entry.missing, entry.seconds = f"failed: {problem}", {}
                continue
            entry.seconds[number] = answer.seconds * scale
            entry.once = answer.seconds > FAR_TOO_LONG * limits.pass_seconds
            entry.memory_bytes = max(entry.memory_bytes, memory.bytes + answer.memory)
            if number == 1:
                scale = sum(measured.files.png_bytes) / sum(entry.files.png_bytes)
                entry.output_bytes = scale * sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
                if entry.kind != BOUND:
                    entry.wrong = check.wrong_pixels(entry.files.paths, str(out), l2=entry.l2)
                    entry.pixels = round(1e6 * entry.files.total)
            shutil.rmtree(out)
        measured.rounds = number
    measured.others = load.stop()
    _tell("")


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text[:100]:<100}", end="\r", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def base_of(measured: Measured) -> Entry | None:
    """What all are compared with: the textbook loop, or the first that was measured where it does not take part."""
    return measured.entry(TEXTBOOK) or next((entry for entry in measured.entries if entry.seconds), None)
