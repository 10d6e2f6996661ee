"""The roofline of a machine, and where operations lie below it.

An operation that does so many operations of arithmetic for each byte that it moves can at most do as many a second as
memory brings bytes for, and no more than the cores can do at all. (Williams, Waterman and Patterson, Roofline: an
insightful visual performance model for multicore architectures, CACM 52(4), 2009.)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from imgproc.measure.bounds import MemoryUse
from imgproc.measure.results import TechniqueMeasurement

#: Rows and columns of the matrices: three of them lie in a core's second cache, 192 kB.
_SIDE = 128
#: Products of each thread at a time, about a hundred million operations, and how often.
_PRODUCTS, _REPEATS = 25, 5
#: The peak is of numbers with 32 bits. A vector holds so many times as many with 8 bits, so what works on these may do
#: so many times as much.
NARROW = 4

#: What an operation can be bounded by; ``either`` is where that hangs on how wide its numbers are.
Bound = Literal["memory", "arithmetic", "either"]


@dataclass(frozen=True)
class Roof:
    """Of so many threads together: ``copied`` bytes and ``peak`` operations a second."""

    threads: int
    copied: float
    peak: float

    @property
    def ridge(self) -> float:
        """Operations for each byte from which on arithmetic is the lower roof."""
        return self.peak / self.copied

    def at(self, intensity: float) -> float:
        """Operations a second at most, with so many for each byte."""
        return min(self.peak, intensity * self.copied)


@dataclass(frozen=True)
class Spot:
    """An operation as it was measured with a technique: ``intensity`` in operations for each byte, ``rate`` in
    operations a second, below the roof of as many threads."""

    operation: str
    technique: str
    intensity: float
    rate: float
    roof: Roof

    @property
    def bound(self) -> Bound:
        """Which roof is above it, however wide its numbers are."""
        if self.intensity < self.roof.ridge:
            return "memory"
        return "arithmetic" if self.intensity >= NARROW * self.roof.ridge else "either"

    @property
    def reached(self) -> float:
        """Its share of the roof."""
        return self.rate / self.roof.at(self.intensity)


def peak_arithmetic(threads: int) -> float:
    """Additions and multiplications of 32-bit floating-point numbers a second that so many threads do in products of
    small matrices (NumPy's BLAS, one thread each), which lie in the cache: the median of some times."""
    made = np.random.default_rng(1).random((threads, 2, _SIDE, _SIDE), np.float32)
    out = np.empty((threads, _SIDE, _SIDE), np.float32)

    def products(thread: int) -> None:
        for _ in range(_PRODUCTS):
            np.matmul(made[thread, 0], made[thread, 1], out=out[thread])  # which lets go of the GIL

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        rates = []
        for _ in range(_REPEATS + 1):
            start = time.perf_counter()
            list(pool.map(products, range(threads)))
            rates.append(2 * _SIDE**3 * _PRODUCTS * threads / (time.perf_counter() - start))
    return statistics.median(rates[1:])


def roofs(environment: Mapping[str, Any], cores: int) -> tuple[Roof, Roof] | None:
    """That of one thread and that of all cores; None where a run did not measure them."""
    known = [
        environment.get(f"{name}{of}")
        for of in ("_of_one", "")
        for name in ("copy_bytes_per_second", "arithmetic_per_second")
    ]
    values = [float(value) for value in known if isinstance(value, int | float) and value > 0]
    if len(values) < len(known):
        return None
    return Roof(1, *values[:2]), Roof(cores, *values[2:])


def spots(
    memory: Sequence[MemoryUse], one: Roof, every: Roof, technique: TechniqueMeasurement | None = None
) -> list[Spot]:
    """Each counted operation of the baseline below the roof of one thread, and that of ``technique``, whose workers
    share the stage, below the roof of all cores.

    Args:
        technique: one on the CPU, whose workers are at work at the same time; None: the baseline alone.
    """
    found = []
    for use in memory:
        if use.counted <= 0 or use.seconds <= 0:
            continue
        intensity = use.counted / use.bytes
        found.append(Spot(use.operation, "sequential", intensity, use.counted / use.seconds, one))
        stage = technique.stages.get(use.operation, 0.0) if technique else 0.0
        if technique and stage > 0:
            rate = use.counted * technique.workers / stage
            found.append(Spot(use.operation, technique.label, intensity, rate, every))
    return found
