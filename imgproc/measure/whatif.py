"""What a law of scaling would say of more workers, for a serial share that somebody chooses, beside the measured points
that it is laid over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from imgproc.measure.curves import Point, Scaling, measured_point
from imgproc.measure.laws import Fit, amdahl, gustafson, karp_flatt
from imgproc.measure.results import TechniqueMeasurement

AMDAHL, GUSTAFSON = "amdahl", "gustafson"
LAWS: dict[str, Callable[[float, float], float]] = {AMDAHL: amdahl, GUSTAFSON: gustafson}
#: The serial share to begin with where the points suggest none.
UNKNOWN = 0.05


@dataclass(frozen=True)
class Basis:
    """Measured points of the technique, the fewest workers first, all with a speedup, and the law that was fitted to
    them, if one could be."""

    law: str
    technique: str
    cores: int | None
    points: list[Point]
    fit: Fit | None = None

    @property
    def most(self) -> int:
        """The most workers measured."""
        return max(point.workers for point in self.points)

    @property
    def compared(self) -> list[Point]:
        """The points that the law can be held against: those within the cores, as it knows none; else all."""
        return [point for point in self.points if not point.oversubscribed] or self.points

    @property
    def fitted(self) -> bool:
        """Whether ``start`` is a fit's: one whose share explains the points, and that had no need of more workers than
        cores, which takes the missing ones for serial work."""
        return self.fit is not None and self.fit.serial_ci95 is not None and not self.fit.oversubscribed

    @property
    def start(self) -> float:
        """The serial share to begin with: the fitted one, else the one that explains the most workers by itself (for
        Gustafson, the share of that round's time), else ``UNKNOWN``."""
        if self.fit and self.fitted:
            return self.fit.serial
        most = self.compared[-1]
        if most.workers < 2:
            return UNKNOWN
        speedup = most.speedup or 1.0
        if self.law == GUSTAFSON:
            share = (most.workers - speedup) / (most.workers - 1)
        else:
            share = karp_flatt(speedup, most.workers) or 0.0
        return min(1.0, max(0.0, share))

    @property
    def height(self) -> float:
        """The speedup over sequential of one worker, by which the law's own speedup is multiplied: the fit's, else as
        measured, else 1."""
        if self.fit and self.fitted:
            return self.fit.scale
        return next((point.speedup or 1.0 for point in self.points if point.workers == 1), 1.0)


class Miss(NamedTuple):
    """A measured point and the speedup that the law gives there."""

    point: Point
    predicted: float

    @property
    def off(self) -> float:
        """By which share the measured speedup is above the law's."""
        return (self.point.speedup or 0.0) / self.predicted - 1

    @property
    def inside(self) -> bool | None:
        """Whether the law passes through the point's interval; None where it has none."""
        ends = self.point.speedup_ci95
        return ends[0] <= self.predicted <= ends[1] if ends else None


@dataclass(frozen=True)
class WhatIf:
    """``basis.law`` with the share ``serial``, 0 to 1, and what it says of ``workers``."""

    basis: Basis
    serial: float
    workers: int

    def predicted(self, workers: float) -> float:
        """The speedup over sequential; for Gustafson the scaled one."""
        return self.basis.height * LAWS[self.basis.law](workers, self.serial)

    @property
    def speedup(self) -> float:
        return self.predicted(self.workers)

    @property
    def efficiency(self) -> float:
        return self.speedup / self.workers

    @property
    def limit(self) -> float | None:
        """The speedup that no number of workers exceeds; None where there is none."""
        return self.basis.height / self.serial if self.basis.law == AMDAHL and self.serial else None

    @property
    def extrapolated(self) -> bool:
        return self.workers > self.basis.most

    @property
    def misses(self) -> list[Miss]:
        """One for each point that the law can be held against."""
        return [Miss(point, self.predicted(point.workers)) for point in self.basis.compared]

    @property
    def farthest(self) -> Miss:
        return max(self.misses, key=lambda miss: abs(miss.off))


def of_scaling(found: Scaling) -> dict[str, Basis]:
    """By law, what a scale run measured for it: the same work for Amdahl, work that grows for Gustafson; a law is not
    there where nothing above one worker was measured for it."""
    series: tuple[tuple[str, Sequence[Point], Fit | None], ...] = (
        (AMDAHL, found.strong, found.amdahl),
        (GUSTAFSON, found.weak, found.gustafson),
    )
    made = {}
    for law, points, fit in series:
        known = [point for point in points if point.speedup is not None]
        if any(point.workers > 1 for point in known):
            made[law] = Basis(law, found.technique, found.cores, known, fit)
    return made


def of_one(measured: TechniqueMeasurement, cores: int | None) -> dict[str, Basis]:
    """Of a technique that was measured with one number of workers: one point, and Amdahl's law."""
    if measured.speedup is None or measured.threads < 2:
        return {}
    return {AMDAHL: Basis(AMDAHL, measured.name, cores, [measured_point(measured, cores)])}
