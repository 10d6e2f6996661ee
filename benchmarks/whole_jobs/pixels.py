"""How many pixels of a program's results differ from plain OpenCV's on one thread, which reads the same file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.whole_jobs.programs import OPERATIONS, gray_of, plain, target


class Check:
    """Remembers what it found of files that are the same byte for byte, as those of several programs are."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._known: dict[tuple[str, str, bool, bytes], int] = {}

    def wrong_pixels(self, files: Sequence[str], out: str, *, l2: bool = False) -> dict[str, int]:
        """By operation, over all files; a result that is missing or has another size has all its pixels wrong.

        Args:
            l2: compare with a Canny that measures gradients by the root of squares.
        """
        wrong: Counter[str] = Counter(dict.fromkeys(OPERATIONS, 0))
        with ThreadPoolExecutor(self._threads) as pool:
            for found in pool.map(lambda numbered: self._of_one(*numbered, out, l2), enumerate(files)):
                wrong.update(found)
        return dict(wrong)

    def _of_one(self, number: int, file: str, out: str, l2: bool) -> dict[str, int]:
        results = [Path(target(out, number, operation)) for operation in OPERATIONS]
        data = [path.read_bytes() if path.exists() else b"" for path in results]
        keys = [(file, o, l2, hashlib.sha256(d).digest()) for o, d in zip(OPERATIONS, data, strict=True)]
        if not all(key in self._known for key in keys):
            for key, one, right in zip(keys, data, plain(gray_of(file), l2=l2), strict=True):
                self._known[key] = _different(one, right)
        return {key[1]: self._known[key] for key in keys}


def _different(data: bytes, right: np.ndarray) -> int:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None or image.shape[:2] != right.shape:
        return int(right.size)
    if image.ndim == 3:  # gray that was written in colours
        return int(np.count_nonzero((image != right[:, :, None]).any(axis=2)))
    return int(np.count_nonzero(image != right))
