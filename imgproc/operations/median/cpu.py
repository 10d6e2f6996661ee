"""Median filter on the CPU."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.parameters import Parameter, Parameters

PARAMETERS = (
    Parameter(
        "median_size",
        "Size",
        "integer",
        5,
        minimum=3,
        maximum=255,
        step=2,
        odd=True,
        help="Width and height of the window in pixels. Above 5 it takes some twenty times as long, whatever the size.",
    ),
)


def median(image: Image, p: Parameters) -> Image:
    """The median of the square around each pixel, each channel by itself; beyond the image its outermost pixels are
    repeated. A new image of the same shape: ``cv2.medianBlur``."""
    return np.asarray(cv2.medianBlur(image, int(p["median_size"])), np.uint8)


def border(p: Parameters) -> int:
    """Rows that a filtered row depends on, on either side."""
    return int(p["median_size"]) // 2


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    return f"return cv2.medianBlur(image, {p['median_size']})"
