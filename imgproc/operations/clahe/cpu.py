"""Contrast limited adaptive histogram equalization (CLAHE) on the CPU.

It is not done on strips. OpenCV mixes the tables of the four tiles around a pixel with weights in float32 that it
counts from the top of the image; of a strip with the tiles around it they are rounded otherwise, and one pixel in some
thousands comes out one level away. OpenCV takes no tables, and to mix them without it takes several times as long.
"""

from __future__ import annotations

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.parameters import Parameter, Parameters

PARAMETERS = (
    Parameter(
        "clip_limit",
        "Clip limit",
        "number",
        2.0,
        maximum=100,
        step=0.1,
        help="How many times its even share of a tile’s pixels a gray may count; the rest is spread over all grays. 1 "
        "changes little, 0 has no limit.",
    ),
    Parameter("tiles", "Tiles", "integer", 8, minimum=1, maximum=64, help="Across, and down, whatever the size."),
)


def clahe(image: Image, p: Parameters) -> Image:
    """The image with the contrast of its parts spread, ``cv2.createCLAHE``; of a colour image the luma, its chroma
    kept. A new image of the same shape.

    Source: K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.
    """
    tiles = int(p["tiles"])
    # One of its own for each call: threads that share one get wrong pixels.
    equalizer = cv2.createCLAHE(float(p["clip_limit"]), (tiles, tiles))
    if image.ndim == 2:
        return np.asarray(equalizer.apply(image), np.uint8)
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    luma[:, :, 0] = equalizer.apply(luma[:, :, 0])
    return np.asarray(cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR), np.uint8)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    make = f"clahe = cv2.createCLAHE({float(p['clip_limit']):.15g}, ({p['tiles']}, {p['tiles']}))\n"
    if not color:
        return f"{make}return clahe.apply(image)"
    return (
        f"{make}"
        "luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)  # change the brightness, keep the colours\n"
        "luma[:, :, 0] = clahe.apply(luma[:, :, 0])\n"
        "return cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR)"
    )
