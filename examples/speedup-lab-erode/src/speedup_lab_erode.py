"""An operation, which is a function of an image, and a technique, which is a class that spreads tasks over workers."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from imgproc.backends import Technique
from imgproc.backends.pools.sequential import Sequential
from imgproc.backends.task import Task, TaskResult


def erode(image: np.ndarray, size: int = 3) -> np.ndarray:
    """The darkest pixel of each square of so many pixels a side."""
    return cv2.erode(image, np.ones((size, size), np.uint8))


class Reversed(Sequential):
    """One after the other, the last one first."""

    name = "reversed"

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        yield from super().run(tasks[::-1], deadline=deadline)


REVERSED = Technique(
    "reversed",
    "Reversed",
    "speedup_lab_erode:Reversed",
    "",
    "As the baseline, from the last image to the first.",
    "Never: it shows how a package adds a technique.",
    "Everywhere.",
)
