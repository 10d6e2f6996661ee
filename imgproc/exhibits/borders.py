"""A blur whose strips do not borrow rows from each other: other pixels along each cut. Shown, never offered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Operation, Phase, Strips
from imgproc.operations.rows import Rows
from imgproc.parameters import Parameters

Image = npt.NDArray[np.uint8]

#: Wide enough for the cuts to be seen; each row of its result depends on this many rows on either side.
KERNEL = 61
BORDER = KERNEL // 2


def blur(image: Image, _: Parameters) -> Image:
    """The Gaussian blur of this package with this kernel."""
    return OPERATIONS["gaussian"].whole(image, {"kernel": KERNEL, "sigma": 0.0})


def blur_alone(source: Image, out: Image, rows: Rows, p: Parameters, _: None) -> None:
    """What is wrong here: the strip is blurred as if the picture ended where it does."""
    out[:] = blur(source[rows.start : rows.stop], p)


def nothing(*_: object) -> None:
    """A merge of its own, so that each strip is blurred at once, not block by block."""


WITHOUT_BORDERS = Operation(
    "blur_without_borders",
    "Blur without borders",
    "blur without borders",
    "A blur whose strips know nothing of each other.",
    (),
    blur,
    strips=Strips((Phase(blur_alone, nothing),)),
)
