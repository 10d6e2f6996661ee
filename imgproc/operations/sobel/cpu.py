"""Length of the gradient by Sobel on the CPU."""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.ipp import without_ipp
from imgproc.operations.windows import in_blocks
from imgproc.parameters import Parameter, Parameters

L1, L2 = "l1", "l2"
PARAMETERS = (
    Parameter(
        "sobel_norm",
        "Norm",
        "choice",
        L2,
        choices=(L1, L2),
        help="l2: the square root of the squares; l1: the sum of the absolute values.",
    ),
    Parameter(
        "sobel_scale",
        "Scale",
        "number",
        1.0,
        minimum=0.05,
        maximum=20,
        step=0.05,
        help="What it is multiplied by. At 1 a straight edge between grays that are 64 apart is white, at 0.25 one of "
        "255.",
    ),
)


def sobel(image: Image, p: Parameters) -> Image:
    """The length of each channel's gradient, a new image of the same shape:

        dx, dy = Sobel 3 x 3 of the image, mirrored at its ends (reflect 101)
        l1: min(255, round(scale (|dx| + |dy|)));  l2: min(255, round(scale sqrt(dx² + dy²)))

    The root and the product are each rounded to float32, and halves to the even number.
    """
    return in_blocks(magnitude, border, image, p)


def magnitude(image: Image, p: Parameters) -> Image:
    """As ``sobel``, with buffers of 16 times the image."""
    dx, dy = _gradient(image)
    if p["sobel_norm"] == L1:
        length = np.abs(dx) + np.abs(dy)
    else:
        with without_ipp():  # whose lengths are not rounded to the nearest: 13.000001 of 5 and 12
            length = cv2.magnitude(dx.astype(np.float32), dy.astype(np.float32))
    return np.asarray(cv2.convertScaleAbs(length, alpha=float(p["sobel_scale"])), np.uint8)


def _gradient(image: Image) -> tuple[np.ndarray, np.ndarray]:
    if image.ndim == 2:  # both at once, in half the time
        dx, dy = cv2.spatialGradient(image, ksize=3, borderType=cv2.BORDER_DEFAULT)
    else:
        dx, dy = cv2.Sobel(image, cv2.CV_16S, 1, 0, ksize=3), cv2.Sobel(image, cv2.CV_16S, 0, 1, ksize=3)
    return dx, dy


def border(p: Parameters) -> int:
    """Rows that a row of the result depends on, on either side."""
    return 1


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: two gradients of three taps across and three down, length, scale and limit."""
    gradients, length = 2 * 2 * (2 * 3 - 1), 3 if p["sobel_norm"] == L1 else 4
    return channels * float(gradients + length + 2)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    lines = [
        f"d{axis} = cv2.Sobel(image, cv2.CV_16S, {order}, ksize=3)" for axis, order in (("x", "1, 0"), ("y", "0, 1"))
    ]
    if p["sobel_norm"] == L1:
        lines.append("length = np.abs(dx) + np.abs(dy)")
    else:
        lines.append("cv2.ipp.setUseIPP(False)  # IPP's lengths are not rounded to the nearest")
        lines.append("length = cv2.magnitude(dx.astype(np.float32), dy.astype(np.float32))")
    return "\n".join([*lines, f"return cv2.convertScaleAbs(length, alpha={float(p['sobel_scale']):.15g})"])
