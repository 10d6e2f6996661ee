"""One task at a time; OpenCV splits each operation over its own threads."""

from __future__ import annotations

import cv2

from imgproc.backends.base import DEFAULTS, Capabilities, Options
from imgproc.backends.places import OF_A_LIBRARY
from imgproc.backends.pools.sequential import Sequential
from imgproc.backends.schedules import ONE_WORKER
from imgproc.pixels.inner_threads import pin_threads


class OpenCVThreads(Sequential):
    """The sequential program with ``cv2.setNumThreads``: one worker with as many inner threads as were asked for.

    ``close`` gives the process its former number of threads back.
    """

    name = "opencv"
    capabilities = Capabilities(
        memory="shared", killable=False, inline=True, unscheduled=ONE_WORKER, unpinned=OF_A_LIBRARY
    )

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(1, options)
        self.cv2_threads = workers
        self._before: int | None = None

    def start(self) -> None:
        if self._before is None:
            self._before = cv2.getNumThreads()
        self.cv2_threads = pin_threads(self.cv2_threads)

    def close(self, *, kill: bool = False) -> None:
        if self._before is not None:
            cv2.setNumThreads(self._before)
            self._before = None
