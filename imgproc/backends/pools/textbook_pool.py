"""A pool of processes as tutorials write it: shown for what it costs, see ``Technique.antipattern``."""

from __future__ import annotations

from dataclasses import replace

import cv2

from imgproc.backends.base import DEFAULTS, Options
from imgproc.backends.pools.multiprocessing_pool import MultiprocessingPool
from imgproc.backends.schedules import PIXELS_TRAVEL


class TextbookPool(MultiprocessingPool):
    """A ``Pool`` whose workers return arrays. The caller reads and decodes, pickles the pixels to a worker, gets the
    results pickled back, and encodes and writes them; and nobody told OpenCV that it shares the cores: each worker has
    as many of its threads as OpenCV takes unless told otherwise.

    What it has in common with ours is what would make it hang or lose images, not what would make it slow: its workers
    are watched, are not forked unless that is asked for, and the codecs are the same.
    """

    name = "textbook"
    capabilities = replace(
        MultiprocessingPool.capabilities,
        inner_threads=False,
        splits=False,
        transfer="arrays",
        unscheduled=PIXELS_TRAVEL,
    )

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self.cv2_threads = cv2.getNumberOfCPUs()
