"""A run that is still going: its rounds as a grid, who has done which and how long it took; who does which image."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from imgproc.backends import BASELINE, TECHNIQUES, technique
from imgproc.measure.environment import usable_cores
from imgproc.measure.results import Progress
from imgproc.numbers import counted, times
from imgproc.report.owners import tone
from imgproc.report.pictures import Micro, micro
from imgproc.runs.record import Mode


@dataclass(frozen=True)
class LiveCell:
    """One pass; ``kind`` is done, now or todo, ``share`` how much of it is done now."""

    kind: str
    text: str = ""
    share: float = 0.0


@dataclass(frozen=True)
class LiveRow:
    """One technique; ``so_far`` is its speedup until now."""

    label: str
    cells: list[LiveCell]
    so_far: str = ""
    micro: Micro | None = None


@dataclass(frozen=True)
class LiveGrid:
    """``speedups``: whether there are any to be shown, now or later."""

    rounds: list[int]
    rows: list[LiveRow]
    speedups: bool


@dataclass(frozen=True)
class LiveOwners:
    """Who does which image: ``whose`` says in which pass, ``workers`` what each has done so far, with its colour;
    ``images`` have by their index the words and the colour, of those that somebody has done."""

    whose: str
    workers: list[tuple[str, int]]
    images: dict[int, tuple[str, int]]


def owners(progress: Progress) -> LiveOwners | None:
    """Of the pass with several workers that goes on, or was the last; None before there is one."""
    owned = progress.owned
    if owned is None or not owned.done:
        return None
    unit = TECHNIQUES[owned.technique].unit if owned.technique in TECHNIQUES else "worker"
    done = [*owned.done]
    names = [f"{unit} {number}" for number in range(1, len(done) + 1)]
    pass_of = f"round {owned.round}" if owned.round else "before the rounds"
    return LiveOwners(
        f"{owned.label}, {pass_of}",
        [(f"{names[k]}: {counted(many, 'task')}", tone(k + 1)) for k, many in enumerate(done)],
        {int(image): (names[worker - 1], tone(worker)) for image, worker in owned.images.items() if worker},
    )


def rounds(progress: Progress, mode: Mode) -> LiveGrid | None:
    """The counted rounds so far and those to come; None before the first one."""
    if not progress.round or not progress.walls:
        return None
    count = max(progress.rounds, progress.round)
    baseline = technique(BASELINE).label
    # In scale mode some do more work than the baseline.
    base = progress.walls.get(baseline, []) if mode in ("parallel", "compare") else []
    order = sorted(progress.walls, key=lambda label: label == baseline)
    rows = []
    for label in order:
        walls = progress.walls[label]
        so_far = _speedup(base, walls) if label != baseline else None
        rows.append(
            LiveRow(
                label,
                list(_cells(progress, label, count)),
                "baseline" if label == baseline and base else times(so_far) if so_far else "",
                _provisional(so_far),
            )
        )
    return LiveGrid(list(range(1, count + 1)), rows, mode in ("parallel", "compare"))


def _cells(progress: Progress, label: str, count: int) -> Iterator[LiveCell]:
    walls = progress.walls[label]
    places = 3 if min((wall for of in progress.walls.values() for wall in of), default=1.0) < 0.1 else 2
    for number in range(1, count + 1):
        if number <= len(walls):
            yield LiveCell("done", f"{walls[number - 1]:.{places}f}")
        elif number == progress.round and label == progress.label:
            yield LiveCell("now", share=progress.images_done / max(1, progress.images_total))
        else:
            yield LiveCell("todo")


def _speedup(base: list[float], walls: list[float]) -> float | None:
    """Of the rounds that both have done."""
    both = min(len(base), len(walls))
    return statistics.geometric_mean(base[:both]) / statistics.geometric_mean(walls[:both]) if both else None


def _provisional(speedup: float | None) -> Micro | None:
    """Without an interval nothing is sure, so it is marked as no verdict."""
    cores = usable_cores()
    sign = micro(speedup, None, cores, width=110, top=1.25 * cores)
    return replace(sign, kind=f"{sign.kind} is-provisional") if sign else None
