"""OpenCV's closed code for Intel processors, IPP, which in places makes other pixels than OpenCV's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def without_ipp() -> Iterator[None]:
    """It is switched off in this thread."""
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(before)
