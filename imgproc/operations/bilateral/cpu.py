"""Bilateral filter on the CPU."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.ipp import without_ipp
from imgproc.parameters import Parameter, Parameters

PARAMETERS = (
    Parameter(
        "diameter",
        "Diameter",
        "integer",
        9,
        minimum=3,
        maximum=25,
        step=2,
        odd=True,
        help="Of the circle of pixels that are averaged. The time grows with its square.",
    ),
    Parameter(
        "sigma_color",
        "Range sigma",
        "number",
        75.0,
        minimum=1,
        maximum=255,
        help="Pixels that differ by more gray levels than this count little; in colour the sum over the channels.",
    ),
    Parameter(
        "sigma_space",
        "Spatial sigma",
        "number",
        75.0,
        minimum=0.5,
        maximum=100,
        step=0.5,
        help="Pixels farther away than this, in pixels, count little.",
    ),
)


def bilateral(image: Image, p: Parameters) -> Image:
    """The mean of the circle around each pixel, weighted by distance and by how much a pixel differs; mirrored beyond
    the image. A new image of the same shape: ``cv2.bilateralFilter`` without IPP, whose pixels differ by 1.

    Source: C. Tomasi and R. Manduchi, "Bilateral filtering for gray and color images", ICCV 1998.
    """
    with without_ipp():
        made = cv2.bilateralFilter(image, int(p["diameter"]), float(p["sigma_color"]), float(p["sigma_space"]))
    return np.asarray(made, np.uint8)


def border(p: Parameters) -> int:
    """Rows that a filtered row depends on, on either side."""
    return int(p["diameter"]) // 2


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: for each pixel of the circle how far the channels differ, a look-up, its product
    with the weight of the distance, its share of each channel's sum and of that of the weights; then the means."""
    radius = int(p["diameter"]) // 2
    offsets = range(-radius, radius + 1)
    circle = sum(x * x + y * y <= radius * radius for x in offsets for y in offsets)
    differ = 3 * channels - 1  # a difference and its size each, and their sum
    return float(circle * (differ + 2 + 2 * channels + 1) + channels)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    sigmas = f"{float(p['sigma_color']):.15g}, {float(p['sigma_space']):.15g}"
    return (
        "cv2.ipp.setUseIPP(False)  # IPP makes other pixels than OpenCV's own code\n"
        f"return cv2.bilateralFilter(image, {p['diameter']}, {sigmas})"
    )
