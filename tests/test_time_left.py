"""The time left of a run: by programmed times, and of real runs, believable from a third of the run on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import jpeg

from imgproc.measure.results import Progress
from imgproc.measure.statistics import LOOKS, enough
from imgproc.operations import parse_parameters
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.passes import RunFolders
from imgproc.runs.progress import Tracker, time_for_rounds
from imgproc.runs.record import Record, RunSettings
from imgproc.settings import Settings

IMAGES = 4


class Played:
    """A run by a clock that does not run by itself. ``found``: when somebody was told what, and how much was left."""

    def __init__(self, passes: dict[str, float], *, rounds: int, budget: float, looks: Sequence[int] = ()) -> None:
        self.now, self.passes, self.asked, self.budget, self.looks = 0.0, passes, rounds, budget, looks
        self.found: list[tuple[float, str, float | None]] = []
        self.tracker = Tracker(
            self._note, rounds=rounds, budget=budget, contenders=len(passes), looks=looks, clock=lambda: self.now
        )
        self.walls: dict[str, list[float]] = {name: [] for name in passes}

    def _note(self, progress: Progress) -> None:
        self.found.append((self.now, progress.phase, progress.seconds_left))

    def _pass(self, name: str, phase: str, seconds: float, number: int = 0) -> None:
        one: Any = SimpleNamespace(measurement=SimpleNamespace(label=name), technique=SimpleNamespace(name=name))
        self.tracker.phase(phase, one, images=IMAGES, round=number)
        for _ in range(IMAGES):
            self.now += seconds / IMAGES
            self.tracker.image_done()

    def play(self, noise: Callable[[], float] = lambda: 1.0, starting: float = 0.3) -> None:
        """Results, warm-ups, then rounds by the rules of ``interleave``."""
        first, *others = self.passes
        self._pass(first, "starting", starting)
        self._pass(first, "results", 1.5 * self.passes[first])
        self.tracker.pass_done()
        began = self.now
        self._pass(first, "checking", 0.1)
        for name in others:
            self._pass(name, "starting", starting)
            self._pass(name, "warm-up", 1.2 * self.passes[name])
            self._pass(name, "checking", 0.1)
        longest, begin = 0.0, self.now
        room = time_for_rounds(self.budget, begin - began)
        for number in range(1, max(self.looks, default=self.asked) + 1):
            start = self.now
            if number > 1 and start - begin + longest > room:
                return
            if number > self.asked and enough(self.walls, self.looks or [self.asked]):
                return
            for name in self.passes:
                took = self.passes[name] * noise()
                self._pass(name, "rounds", took, number)
                self.walls[name].append(took)
                self.tracker.pass_done(took)
            longest = max(longest, self.now - start)


def believable(found: Sequence[tuple[float, str, float | None]], end: float, within: float = 0.3) -> float:
    """Of what was told from a third of the run on, the share that is within so much of what was left, or of a twentieth
    of the run near its end."""
    told = [(end - now, left) for now, _, left in found if now >= end / 3]
    assert len(told) > 10 and all(left is not None for _, left in told)
    return sum(abs(left - true) <= max(within * true, end / 20) for true, left in told if left is not None) / len(told)


@pytest.mark.parametrize("budget", [1000.0, 9.0, 16.0])
@pytest.mark.parametrize("many", [2, 9])
def test_it_is_right_where_times_are_steady(budget: float, many: int) -> None:
    """Whether the rounds end by their number or by the budget, with passes of very different lengths."""
    played = Played({f"t{k}": 0.1 + 0.15 * (4 * k % 9) for k in range(many)}, rounds=6, budget=budget)
    played.play()
    assert believable(played.found, played.now) > 0.97


def test_it_counts_the_rounds_that_scatter_asks_for() -> None:
    draw = random.Random(2)
    played = Played({"a": 1.0, "b": 0.5}, rounds=6, budget=1000.0, looks=(6, *LOOKS[1:]))
    played.play(lambda: draw.gauss(1, 0.09))
    assert len(played.walls["a"]) >= 11
    assert believable(played.found, played.now) > 0.7
    steady = Played({"a": 1.0, "b": 0.5}, rounds=6, budget=1000.0, looks=(6, *LOOKS[1:]))
    steady.play()
    assert len(steady.walls["a"]) == 6 and believable(steady.found, steady.now) > 0.97


def test_the_warm_ups_tell_what_the_rounds_will_take() -> None:
    played = Played({"a": 1.0, "b": 0.5, "c": 0.25}, rounds=6, budget=1000.0)
    played.play()
    at, _, left = next(one for one in played.found if one[1] == "rounds")
    assert left == pytest.approx(played.now - at, rel=0.4)
    warming = [(at, left) for at, phase, left in played.found if phase in ("warm-up", "checking")]
    assert warming and all(left is not None and left > 0.4 * (played.now - at) for at, left in warming)


def test_warm_ups_leave_the_rounds_half_of_the_budget() -> None:
    assert [time_for_rounds(60.0, gone) for gone in (0.0, 20.0, 45.0, 500.0)] == [60.0, 40.0, 30.0, 30.0]
    played = Played({"a": 1.0, "b": 1.0}, rounds=6, budget=8.0)
    played.play(starting=6.0)
    assert len(played.walls["a"]) == 2
    at, _, left = next(one for one in played.found if one[1] == "starting" and one[0] > played.now / 3)
    assert left == pytest.approx(played.now - at, rel=0.3)


def test_one_that_failed_is_not_waited_for() -> None:
    played = Played({"a": 1.0, "b": 1.0}, rounds=10, budget=1000.0)
    played._pass("a", "results", 1.0)
    played.tracker.pass_done()
    played._pass("b", "warm-up", 1.0)
    for number in range(1, 4):
        played._pass("a", "rounds", 1.0, number)
        played.tracker.pass_done(1.0)
    assert played.found[-1][2] == pytest.approx(7.0, abs=0.01)


def test_it_is_believable_in_a_real_run(tmp_path: Path) -> None:
    files = []
    for index in range(6):
        files.append(tmp_path / f"{index}.jpg")
        files[-1].write_bytes(jpeg(seed=index, width=900, height=700))
    asked = RunSettings(["canny", "gaussian", "equalize"], parse_parameters({}), workers=2, budget=60, rounds=12)
    asked.techniques = ["sequential", "threading", "multiprocessing"]
    record = Record("0" * 32, "compare", asked, look_at(files, Settings()))
    told: list[tuple[float, str, float | None]] = []
    begin = time.perf_counter()

    def show(progress: Progress) -> None:
        told.append((time.perf_counter() - begin, progress.phase, progress.seconds_left))

    folders = RunFolders(dict(enumerate(files)), tmp_path / "out", None, tmp_path / "work")
    process(record, folders, Settings(CACHE_DIR=tmp_path / "cache"), progress=show)
    end = told[-1][0]
    assert believable(told, end) > 0.6, [(round(at / end, 2), left and round(left, 2)) for at, _, left in told]
