"""Resizing on the CPU.

It is not done on strips: where a row of the result lies in the image OpenCV counts from the top, in floating point,
and would round otherwise in a strip.
"""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.ipp import without_ipp
from imgproc.parameters import Parameter, Parameters

INTERPOLATIONS = {
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
_NAMES = {name: f"cv2.INTER_{name.upper()}{'4' if name == 'lanczos' else ''}" for name in INTERPOLATIONS}

PARAMETERS = (
    Parameter(
        "resize_factor",
        "Factor",
        "number",
        0.5,
        minimum=0.01,
        maximum=2,
        step=0.01,
        help="What width and height are multiplied by. At 2 a result takes four times the memory of its image.",
    ),
    Parameter(
        "longest_side",
        "Longest side",
        "integer",
        0,
        maximum=65_500,
        help="In pixels, instead of the factor; pictures that are smaller stay as they are. 0: the factor.",
    ),
    Parameter(
        "interpolation",
        "Interpolation",
        "choice",
        "area",
        choices=tuple(INTERPOLATIONS),
        help="area averages all pixels, the best to make pictures smaller; cubic and lanczos are sharper to enlarge.",
    ),
)


def size(height: int, width: int, p: Parameters) -> tuple[int, int]:
    """Height and width of the result, at least 1, halves rounded to the even number."""
    longest, most = max(height, width), int(p["longest_side"])
    factor = float(p["resize_factor"]) if most == 0 else min(1.0, most / longest)
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize(image: Image, p: Parameters) -> Image:
    """A new image of ``size``, as many channels: ``cv2.resize`` without IPP, whose cubic interpolation differs."""
    height, width = size(image.shape[0], image.shape[1], p)
    with without_ipp():
        made = cv2.resize(image, (width, height), interpolation=INTERPOLATIONS[str(p["interpolation"])])
    return np.asarray(made, np.uint8)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    most, factor = int(p["longest_side"]), f"{float(p['resize_factor']):.15g}"
    lines = ["height, width = image.shape[:2]"]
    if most:
        factor = "factor"
        lines.append(f"factor = min(1.0, {most} / max(height, width))")
    lines.append(f"size = max(1, round(width * {factor})), max(1, round(height * {factor}))")
    if p["interpolation"] == "cubic":
        lines.append("cv2.ipp.setUseIPP(False)  # IPP makes other pixels than OpenCV's own code")
    return "\n".join([*lines, f"return cv2.resize(image, size, interpolation={_NAMES[str(p['interpolation'])]})"])
