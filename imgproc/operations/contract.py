"""The contract of an operation: array in, array out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgproc.parameters import Parameter, Parameters

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """How pages and figures show an operation: the colour of its stage on a light and on a dark ground, as
    ``#rrggbb``, and the file in ``static/img`` that the form shows, None for none."""

    light: str
    dark: str
    picture: str | None = None


@dataclass(frozen=True)
class Operation:
    """One entry of the table ``OPERATIONS``.

    ``apply`` takes an image, (height, width) gray or (height, width, 3) BGR of uint8, and the parameters;
    it returns a new image of uint8. ``bilevel`` says that the result is only 0 and 255, so that a PNG of
    it needs one bit per pixel.
    """

    name: str
    label: str
    result: str
    help: str
    parameters: tuple[Parameter, ...]
    apply: Callable[[Image, Parameters], Image]
    bilevel: bool = False
    look: Look = Look("#7b68a6", "#ab9bd6")
