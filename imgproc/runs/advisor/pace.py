"""How fast the machine is just now, which changes with its clock, its heat and its neighbours."""

from __future__ import annotations

import statistics
import time
from functools import cache

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.pixels.inner_threads import one_opencv_thread

#: Of the picture, which is larger than a core's own cache, as those of runs are.
_SIDE = 768
_REPEATS = 5


def pace_seconds() -> float:
    """Seconds that one thread takes now for a fixed piece of work like that of runs, by OpenCV alone: the median of
    several times, a tenth of a second in all."""
    picture = _picture()
    with one_opencv_thread():
        _work(picture)
        return statistics.median(_timed(picture) for _ in range(_REPEATS))


def _timed(picture: Image) -> float:
    start = time.perf_counter()
    _work(picture)
    return time.perf_counter() - start


def _work(picture: Image) -> None:
    image = cv2.imdecode(picture, cv2.IMREAD_GRAYSCALE)
    assert image is not None
    edges = cv2.Canny(image, 100, 200)
    blurred = cv2.GaussianBlur(image, (5, 5), 0)
    for result in (edges, blurred, cv2.equalizeHist(image)):
        cv2.imencode(".png", result)


@cache
def _picture() -> Image:
    """A JPEG file of soft hills and fine grain, as photographs have."""
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE), np.uint8)
    hills = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 12), noise.copy(), 0, 224, cv2.NORM_MINMAX)
    file: Image = cv2.imencode(".jpg", cv2.add(hills, noise // 8))[1]
    return file
