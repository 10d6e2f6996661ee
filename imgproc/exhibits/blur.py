"""The mean of 3 x 3 pixels in pure Python, in NumPy and by OpenCV; ``blur_numba`` has the same once more.

Each takes a gray image and gives one that is a pixel smaller on every side.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def pure_python(image: Image) -> Image:
    """One pixel after the other."""
    rows = image.tolist()
    height, width = len(rows), len(rows[0])
    out = [[0] * (width - 2) for _ in range(height - 2)]
    for y in range(height - 2):
        above, here, below = rows[y : y + 3]
        for x in range(width - 2):
            out[y][x] = sum(above[x : x + 3] + here[x : x + 3] + below[x : x + 3]) // 9
    return np.array(out, np.uint8)


def in_numpy(image: Image) -> Image:
    """By adding nine shifted images, each of which NumPy adds without the GIL."""
    wide = image.astype(np.uint16)
    height, width = (side - 2 for side in image.shape)
    total = np.zeros((height, width), np.uint16)
    for y in range(3):
        for x in range(3):
            total += wide[y : y + height, x : x + width]
    return (total // 9).astype(np.uint8)


def by_opencv(image: Image) -> Image:
    """OpenCV's own box filter, which rounds where the others cut off."""
    return np.asarray(cv2.blur(image, (3, 3))[1:-1, 1:-1], np.uint8)
