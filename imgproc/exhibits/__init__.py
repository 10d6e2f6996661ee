"""Exhibits: functions of this package that, measured side by side on this machine, answer a question about techniques.

Only what is declared here can be measured by the web app: a request gives a name, never code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imgproc.errors import UserError
from imgproc.functions.operations import registered
from imgproc.operations.contract import Operation

Image = npt.NDArray[np.uint8]
#: What an exhibit is about: which technique is fastest for what, whether the pixels are right, what a speedup is over,
#: who gets which image, how many threads there are.
Lesson = Literal["techniques", "pixels", "baseline", "schedules", "pinning"]


@dataclass(frozen=True)
class Pictures:
    """A run over drawn pictures: its settings, as a form has them, and where an operation (module:name) is declared
    that it does, where that is none that everybody may choose."""

    fields: Mapping[str, str]
    operation: str = ""


@dataclass(frozen=True)
class Part:
    """One function, ``where`` it is (module:function) and what it does, in words; ``side`` is that of its images in
    pixels, such that a call takes some milliseconds, and ``fields`` are settings of its run. Or, instead of a function,
    ``pictures``."""

    name: str
    label: str
    what: str
    where: str = ""
    side: int = 0
    pictures: Pictures | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, str]:
        """Those of its run that are its own, as a form has them."""
        return self.pictures.fields if self.pictures else self.fields

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
    seconds each. ``over`` says of what; ``asks`` is what a link to it says. ``sides``: of its images in pixels, where
    they are of several sizes."""

    name: str
    title: str
    asks: str
    question: str
    techniques: tuple[str, ...]
    parts: tuple[Part, ...]
    items: int = 24
    budget: float = 8.0
    lesson: Lesson = "techniques"
    sides: tuple[int, ...] = ()
    over: str = (
        "24 gray images of random pixels for each function, as large as it takes for a call to last some milliseconds."
    )

    def part(self, name: str) -> Part:
        """Raises: UserError: there is none of that name."""
        for part in self.parts:
            if part.name == name:
                return part
        raise UserError(f"The exhibit “{self.name}” has no function “{name}”.", code="not_found")

    def images(self, part: Part) -> list[Image]:
        """The same random gray images each time."""
        rng = np.random.default_rng(0)
        sides = self.sides or (part.side,) * self.items
        return [rng.integers(0, 256, (side, side), np.uint8) for side in sides]


#: The same drawn picture for both ways of cutting it.
_PICTURE = {"samples": "1", "sample_megapixels": "6", "split": "always"}

#: From small to large, each with 15 % more pixels than the one before it: the worst order in which to begin.
_SIDES = tuple(round(180 * 1.15 ** (step / 2)) for step in range(24))


def _shared_out(schedule: str, label: str, what: str) -> Part:
    """The same images and operation by a schedule of that name."""
    return Part(schedule, label, what, "imgproc.exhibits.mixed:smooth", fields={"schedule": schedule})


#: A Pool with pickled pixels, as tutorials have it, and an operation that OpenCV shares among its threads.
_PICKLED = {"transfer": "arrays", "operations": "bilateral", "format": "png"}

#: THE table of exhibits.
EXHIBITS = {
    "gil": Exhibit(
        "gil",
        "Threads and the GIL",
        "Does the GIL make threads useless?",
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
    ),
    "borders": Exhibit(
        "borders",
        "Fast and wrong",
        "Strips of one picture, each blurred by itself: what can go wrong?",
        "One picture is to be blurred by all cores, so it is cut into strips of rows, and each is blurred by itself. "
        "That is as fast as it can be, and looks right at first sight. Is it? Here it is done twice: as told, and with "
        "strips that borrow rows from their neighbours. What does each gain over the whole picture on one core?",
        ("threading",),
        (
            Part(
                "without", "Strips by themselves", "blurs each strip as if the picture ended at its cuts",
                pictures=Pictures(_PICTURE, "imgproc.exhibits.borders:WITHOUT_BORDERS"),
            ),
            Part(
                "with", "Strips that borrow rows", "blurs each strip with 30 rows of its neighbours on either side",
                pictures=Pictures({**_PICTURE, "operations": "gaussian", "kernel": "61", "sigma": "0"}),
            ),
        ),
        items=1,
        lesson="pixels",
        over="One drawn picture of 6 megapixels, cut into strips; a Gaussian blur with a kernel of 61 × 61 pixels.",
    ),
    "baseline": Exhibit(
        "baseline",
        "More than 100\u00a0% efficient",
        "Two workers, more than twice as fast: how can that be?",
        "A program is made parallel, and while somebody is at it, a needless copy of each image goes. The report "
        "divides the time of the old program by that of the new one, and finds an efficiency of more than 100 %. Are "
        "its workers better than perfect? Here both programs are measured, each with one call after the other and "
        "with threads.",
        ("threading",),
        (
            Part("with_copy", "The old program", "copies each image before it blurs it",
                 "imgproc.exhibits.copying:with_copy", 2000),
            Part("without_copy", "The new program", "blurs the same images without the copy",
                 "imgproc.exhibits.copying:without_copy", 2000),
        ),
        lesson="baseline",
        over="24 gray images of random pixels, 2,000 × 2,000 each, blurred by OpenCV.",
    ),
    "schedules": Exhibit(
        "schedules",
        "Who gets which image",
        "Does it matter who gets which image?",
        "A batch has small images and large ones, and the small ones come first. There are as many threads as cores. "
        "Each can be given its share of the images beforehand, or whoever is free can take the next one. All do the "
        "same work; which way is done first, and why?",
        ("threading",),
        (
            _shared_out("static", "Static", "gives each thread a block of them, in order, beforehand"),
            _shared_out("cyclic", "Cyclic", "deals them out beforehand, one to each thread in turn"),
            _shared_out("guided", "Guided", "gives whoever is free a part of what is left, ever smaller ones"),
            _shared_out("dynamic", "Dynamic", "gives whoever is free the next one"),
            _shared_out("longest-first", "Longest first", "gives whoever is free the largest that is left"),
        ),
        budget=7.0,
        lesson="schedules",
        sides=_SIDES,
        over=f"24 gray images of random pixels, from {_SIDES[0]} × {_SIDES[0]} to {_SIDES[-1]} × {_SIDES[-1]}, the "
        "small ones first; a bilateral filter, whose time follows the number of pixels.",
    ),
    "unpinned": Exhibit(
        "unpinned",
        "Threads inside of workers",
        "A pool with a process for each core: how many threads is that?",
        "A program gets a pool with a process for each core, as tutorials write it. But OpenCV has threads of its own, "
        "as many as there are cores, and now each process has them: on 8 cores these are 64. Is that any harm? Here "
        "the same pool is measured as in the textbook, and with one thread of OpenCV in each process (pinned); nothing "
        "else differs.",
        ("textbook", "multiprocessing"),
        (
            Part(
                "large", "Large pictures", "has few calls, which take long",
                pictures=Pictures({**_PICKLED, "samples": "4", "sample_megapixels": "1"}),
            ),
            Part(
                "small", "Small pictures", "has many calls, which are short",
                pictures=Pictures({**_PICKLED, "samples": "24", "sample_megapixels": "0.1"}),
            ),
        ),
        budget=16.0,
        lesson="pinning",
        over="4 drawn pictures of 1 megapixel, and 24 of 0.1 megapixels; a bilateral filter. Pixels are pickled to the "
        "processes and back both times.",
    ),
}  # fmt: skip

#: The parts over pictures, as ``exhibit/part``.
OF_PICTURES = {f"{one.name}/{part.name}" for one in EXHIBITS.values() for part in one.parts if part.pictures}


@contextmanager
def with_operations(name: str) -> Iterator[None]:
    """With the operation of a part, ``exhibit/part``, in the table of operations, if it has one of its own.

    Raises:
        UserError: there is no such exhibit, or it has no such part.
    """
    shown, _, part = name.partition("/")
    found = own_operation(exhibit(shown).part(part))
    with ExitStack() as stack:
        if found:
            stack.enter_context(registered(found))
        yield


def own_operation(part: Part) -> Operation | None:
    """The operation that it does, where that is none that everybody may choose."""
    if part.pictures is None or not part.pictures.operation:
        return None
    module, _, name = part.pictures.operation.partition(":")
    found: Operation = getattr(import_module(module), name)
    return found


def exhibit(name: str) -> Exhibit:
    """Raises: UserError: there is none of that name."""
    if name not in EXHIBITS:
        raise UserError(f"There is no exhibit “{name}”. There are: {', '.join(EXHIBITS)}.", code="not_found")
    return EXHIBITS[name]
