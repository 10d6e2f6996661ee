"""How long the operations alone take, on an image that lies where they work: in memory, or on a GPU."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from imgproc.backends.gpu.on_device import accelerator
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.parameters import Parameters
from imgproc.pixels.job import ImageJob, read_image
from imgproc.pixels.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class Timing:
    """The job of an image, of which nothing is written; each operation is timed ``repeats`` times after a first."""

    job: ImageJob
    repeats: int

    @property
    def operations(self) -> list[str]:
        return [name for name, _ in self.job.outputs]


def on_cpu(timing: Timing, stopwatch: Stopwatch) -> dict[str, float]:
    """Seconds of each operation, medians."""
    image = read_image(timing.job, stopwatch).image
    return {name: median(_times(name, image, timing.job.parameters, timing.repeats)) for name in timing.operations}


def on_device(timing: Timing, stopwatch: Stopwatch) -> dict[str, float]:
    """As ``on_cpu``, by the GPU's own clock."""
    image = read_image(timing.job, stopwatch).image
    return accelerator().time_alone(image, timing.operations, timing.job.parameters, timing.repeats)


def _times(name: str, image: Image, p: Parameters, repeats: int) -> list[float]:
    found = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        OPERATIONS[name].apply(image, p)
        found.append(time.perf_counter() - start)
    return found[1:]
