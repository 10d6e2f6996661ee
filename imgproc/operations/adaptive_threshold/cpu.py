"""Adaptive threshold on the CPU."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.parameters import Parameter, Parameters

METHODS = {"mean": "cv2.ADAPTIVE_THRESH_MEAN_C", "gaussian": "cv2.ADAPTIVE_THRESH_GAUSSIAN_C"}
_WEIGHTS = {"mean": cv2.ADAPTIVE_THRESH_MEAN_C, "gaussian": cv2.ADAPTIVE_THRESH_GAUSSIAN_C}

PARAMETERS = (
    Parameter(
        "adaptive_method",
        "Method",
        "choice",
        "mean",
        choices=tuple(METHODS),
        help="What a pixel is compared with: the mean of the block around it, or one weighted by a Gaussian.",
    ),
    Parameter(
        "block_size",
        "Block size",
        "integer",
        31,
        minimum=3,
        maximum=301,
        step=2,
        odd=True,
        help="Width and height of the block in pixels.",
    ),
    Parameter(
        "threshold_offset",
        "Offset",
        "number",
        5.0,
        minimum=-255,
        maximum=255,
        step=0.5,
        help="What is taken from the mean. Above 0 even surfaces are white, below 0 black.",
    ),
)


def adaptive_threshold(image: Image, p: Parameters) -> Image:
    """255 where a pixel is above the mean of the block around it less the offset, else 0, of shape (height, width);
    beyond the image its outermost pixels are repeated. ``cv2.adaptiveThreshold``; of a colour image its gray."""
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    method, size, offset = _WEIGHTS[str(p["adaptive_method"])], int(p["block_size"]), float(p["threshold_offset"])
    return np.asarray(cv2.adaptiveThreshold(gray, 255, method, cv2.THRESH_BINARY, size, offset), np.uint8)


def border(p: Parameters) -> int:
    """Rows that a row of the result depends on, on either side."""
    return int(p["block_size"]) // 2


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: the gray of a colour (three products and their sum), the mean of the block, by sums
    that run across and down, or by a kernel, and the comparison with it less the offset."""
    gray = 5 if channels > 1 else 0
    mean = 5 if p["adaptive_method"] == "mean" else 2 * (2 * int(p["block_size"]) - 1)
    return float(gray + mean + 2)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    method, offset = METHODS[str(p["adaptive_method"])], f"{float(p['threshold_offset']):.15g}"
    lines = ["image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)"] if color else []
    call = f"return cv2.adaptiveThreshold(image, 255, {method}, cv2.THRESH_BINARY, {p['block_size']}, {offset})"
    return "\n".join([*lines, call])
