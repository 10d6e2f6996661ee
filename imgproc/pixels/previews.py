"""Small pictures of images and results for the pages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgproc.files import write_whole
from imgproc.operations.contract import Image

#: Longest side of a preview and of a thumbnail, in pixels.
PREVIEW_SIDE, THUMBNAIL_SIDE = 1080, 256
#: Grays no further apart than this look alike.
NEAR_GRAY = 16


def write_preview(image: Image, path: str | Path, *, thumbnail: bool = False) -> Image:
    """Write the picture as JPEG (WebP takes ten times as long), no side longer than ``PREVIEW_SIDE``; with a
    ``thumbnail`` beside it, if asked for. Returns the preview's pixels."""
    small = _reduced(_coarse(image), PREVIEW_SIDE)
    _write(small, Path(path))
    if thumbnail:
        _write(_reduced(small, THUMBNAIL_SIDE), Path(path).with_name(thumbnail_of(Path(path).name)))
    return small


def shown_share(picture: Image) -> float:
    """How much of a picture shows something: the share of its pixels, from 0 to 1, whose gray is more than
    ``NEAR_GRAY`` from the most common one. Of an empty picture it is 0, of edges on black about a tenth."""
    gray = picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    counts = np.bincount(gray.ravel(), minlength=256)
    near = np.convolve(counts, np.ones(2 * NEAR_GRAY + 1, np.int64), "same")  # of pixels around each gray
    return 1 - float(near.max()) / gray.size


def thumbnail_of(preview: str) -> str:
    """The name of the thumbnail beside a preview of this name."""
    return f"thumbnail-{preview}"


def _reduced(image: Image, side: int) -> Image:
    """The picture with no side longer than that."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _write(image: Image, path: Path) -> None:
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
