"""A blur with a needless copy before it, and the same without: a baseline with a handicap, and a fair one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def with_copy(image: Image) -> Image:
    """As programs are before somebody looks for what takes their time."""
    return without_copy(image.copy())


def without_copy(image: Image) -> Image:
    """OpenCV's blur, which changes nothing in the image that it is given."""
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 0), np.uint8)
