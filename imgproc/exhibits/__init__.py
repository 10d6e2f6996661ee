"""Exhibits: functions of this package that, measured side by side on this machine, answer a question about techniques.

Only what is declared here can be measured by the web app: a request gives a name, never code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from imgproc.errors import UserError

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """One function, ``where`` it is (module:function) and what it does with the GIL, in words; ``side`` is that of its
    images in pixels, such that a call takes some milliseconds."""

    name: str
    label: str
    what: str
    where: str
    side: int

    def function(self) -> Callable[[Any], Any]:
        """Raises: UserError: what it needs is not installed, or has no folder for its machine code."""
        module, _, name = self.where.partition(":")
        try:
            found: Callable[[Any], Any] = getattr(import_module(module), name)
        except ImportError as problem:
            why = f"the Python package {problem.name or 'that it needs'} is not installed"
            raise UserError(f"{self.label} cannot run here: {why}.", code="unavailable") from problem
        except RuntimeError as problem:  # Numba's
            why = "no folder can be written to for its machine code; NUMBA_CACHE_DIR can name one"
            raise UserError(f"{self.label} cannot run here: {why}.", code="unavailable") from problem
        return found


@dataclass(frozen=True)
class Exhibit:
    """A question, asked of each of ``parts`` by comparing ``techniques`` over ``items`` images, for ``budget``
    seconds each."""

    name: str
    title: str
    question: str
    techniques: tuple[str, ...]
    parts: tuple[Part, ...]
    items: int = 24
    budget: float = 8.0

    def part(self, name: str) -> Part:
        """Raises: UserError: there is none of that name."""
        for part in self.parts:
            if part.name == name:
                return part
        raise UserError(f"The exhibit “{self.name}” has no function “{name}”.", code="not_found")

    def images(self, part: Part) -> list[Image]:
        """The same random gray images each time."""
        rng = np.random.default_rng(0)
        return [rng.integers(0, 256, (part.side, part.side), np.uint8) for _ in range(self.items)]


#: THE table of exhibits.
EXHIBITS = {
    "gil": Exhibit(
        "gil",
        "Threads and the GIL",
        "Python’s lock, the GIL, lets one thread at a time run Python code. Does that make threads useless? Here is "
        "the same blur, the mean of 3 × 3 pixels, written four times. Each is measured with as many threads and as "
        "many worker processes as there are cores, against one call after the other.",
        ("threading", "multiprocessing"),
        (
            Part("pure_python", "Pure Python", "holds the GIL all the time", "imgproc.exhibits.blur:pure_python", 160),
            Part(
                "in_numpy", "NumPy", "lets go of the GIL inside each of its array operations",
                "imgproc.exhibits.blur:in_numpy", 900,
            ),
            Part(
                "by_numba", "Numba", "is compiled with nogil, and lets go of the GIL for the whole call",
                "imgproc.exhibits.blur_numba:by_numba", 1800,
            ),
            Part(
                "by_opencv", "OpenCV", "is C++, and lets go of the GIL for the whole call",
                "imgproc.exhibits.blur:by_opencv", 1800,
            ),
        ),
    )
}  # fmt: skip


def exhibit(name: str) -> Exhibit:
    """Raises: UserError: there is none of that name."""
    if name not in EXHIBITS:
        raise UserError(f"There is no exhibit “{name}”. There are: {', '.join(EXHIBITS)}.", code="not_found")
    return EXHIBITS[name]
