"""Small pictures of results for the pages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgproc.files import write_whole
from imgproc.operations.contract import Image

#: Longest side of a preview, in pixels.
PREVIEW_SIDE = 1080


def write_preview(image: Image, path: str | Path) -> None:
    """Write the picture as JPEG (WebP takes ten times as long), no side longer than ``PREVIEW_SIDE``."""
    image = _coarse(image)
    height, width = image.shape[:2]
    scale = PREVIEW_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise OSError("the preview could not be encoded")
    write_whole(path, data.tobytes())


def _coarse(image: Image) -> Image:
    """The picture reduced by a whole number, which is fast, to not less than a preview's size."""
    height, width = image.shape[:2]
    step = max(height, width) // PREVIEW_SIDE
    if step < 2 or min(height, width) < step:
        return image
    height, width = height // step, width // step
    whole = image[: height * step, : width * step]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
