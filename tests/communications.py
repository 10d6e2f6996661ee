"""What communication costs on a machine whose truth is known: times by a latency and a bandwidth, with noise."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from imgproc.measure.communication import Size, fit
from imgproc.runs.communication import SIZES, Communication, Transport

#: Latency in seconds, and bytes a second there and back (0: a byte costs nothing), of each transport.
TRUE = {"memory": (4e-5, 0.0), "pickled": (3.5e-4, 1.2e9), "shared": (6e-4, 2.5e9), "mpi": (2.5e-4, 8e8)}


def line(latency: float, bandwidth: float) -> Callable[[int], float]:
    """Seconds by bytes handed over, each moved twice."""
    return lambda count: latency + (2 * count / bandwidth if bandwidth else 0.0)


def sizes(
    seconds: Callable[[int], float],
    counts: Sequence[int] = SIZES,
    *,
    rounds: int = 15,
    noise: float = 0.05,
    seed: int = 7,
) -> list[Size]:
    """Rounds of all sizes, of which one in eight is disturbed and takes up to three times as long."""
    chance = random.Random(seed)

    def once(count: int) -> float:
        disturbed = chance.uniform(1, 3) if chance.random() < 0.125 and noise else 1.0
        return seconds(count) * chance.lognormvariate(0, noise) * disturbed

    return [Size(count, [once(count) for _ in range(rounds)]) for count in counts]


def communication() -> Communication:
    """Of a machine with all transports but Dask; MPI is slower beyond 64 kB than one line says."""
    found = Communication("2026-03-20T10:00:00+00:00", 0.02)
    for number, (name, truth) in enumerate(TRUE.items()):
        by = line(*truth)
        if name == "mpi":
            by = lambda count: 2e-5 + 2 * count / 5e9 if count <= 65536 else 6e-4 + 2 * count / 8e8  # noqa: E731
        measured = sizes(by, seed=number)
        found.transports.append(Transport(name, measured, fit(measured)))
    found.transports.append(Transport("dask", reason="The Python package dask is not installed."))
    return found
