"""An operation whose time follows the size of its image, for images of very different sizes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.operations.ipp import without_ipp


def smooth(image: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Each pixel becomes a mean of those around it that are like it; (height, width) uint8 in and out. Without
    IPP, which is switched for each thread by itself and makes other pixels."""
    with without_ipp():
        return cv2.bilateralFilter(image, 9, 50, 50)
