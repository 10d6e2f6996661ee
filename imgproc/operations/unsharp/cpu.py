"""Unsharp mask on the CPU."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.parameters import Parameter, Parameters

# The amount is rounded to such parts of 1. Multiplied by a pixel it is then exact in float32, and so is the sum: OpenCV
# adds it up in one rounding or in two, depending on where in a row a pixel stands and on the processor.
_PARTS = 256

PARAMETERS = (
    Parameter(
        "unsharp_sigma",
        "Blur sigma",
        "number",
        2.0,
        minimum=0.1,
        maximum=20,
        step=0.1,
        help="Standard deviation of the Gaussian blur, in pixels.",
    ),
    Parameter(
        "unsharp_amount",
        "Amount",
        "number",
        1.0,
        maximum=10,
        step=0.1,
        help="How many times what the blur took away is added; rounded to 256ths.",
    ),
)


def unsharp(image: Image, p: Parameters) -> Image:
    """The image with what a blur takes away added to it, each channel by itself, a new image of the same shape:

    blurred = cv2.GaussianBlur of the size round(6 sigma + 1), odd, and of this sigma
    min(255, max(0, round(image + a (image - blurred)))) with a = round(256 amount) / 256, halves to the even number
    """
    size, amount = _size(p), _amount(p)
    blurred = cv2.GaussianBlur(image, (size, size), float(p["unsharp_sigma"]))
    return np.asarray(cv2.addWeighted(image, 1 + amount, blurred, -amount, 0, dst=blurred), np.uint8)


def _size(p: Parameters) -> int:
    """Of the kernel: what OpenCV takes for a sigma on 8 bits."""
    return round(6 * float(p["unsharp_sigma"]) + 1) | 1


def _amount(p: Parameters) -> float:
    return round(_PARTS * float(p["unsharp_amount"])) / _PARTS


def border(p: Parameters) -> int:
    """Rows that a row of the result depends on, on either side."""
    return _size(p) // 2


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: the blur, two products, their sum and its limit."""
    return channels * (2.0 * (2 * _size(p) - 1) + 4)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    size, amount = _size(p), _amount(p)
    return (
        f"blurred = cv2.GaussianBlur(image, ({size}, {size}), {float(p['unsharp_sigma']):.15g})\n"
        f"return cv2.addWeighted(image, {1 + amount:.15g}, blurred, {-amount:.15g}, 0)"
    )
