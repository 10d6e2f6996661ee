"""One after the other, in the caller's thread: the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import cv2

from imgproc.backends import places
from imgproc.backends.base import Backend, Capabilities
from imgproc.backends.schedules import ONE_WORKER
from imgproc.backends.task import Task, TaskResult, run_task
from imgproc.pixels.inner_threads import pin_threads


class Sequential(Backend):
    """The best serial program: nothing is started, copied or waited for.

    A task that hangs cannot be interrupted from inside, so ``deadline`` is not kept here: whoever runs
    this must be able to end the whole process.
    """

    name: ClassVar[str] = "sequential"
    capabilities = Capabilities(
        memory="shared", killable=False, max_workers=1, inline=True, unscheduled=ONE_WORKER, unpinned=""
    )

    def start(self) -> None:
        pin_threads(self.cv2_threads)
        self.places = places.places(self.affinity, self.workers, self.cv2_threads)

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        # Process-wide, and another technique may have set it since start().
        cv2.setNumThreads(self.cv2_threads)
        # The caller's thread is pinned for as long as it works, for it starts the workers of others too.
        with places.pinned([cpu for place in self.places for cpu in place]):
            for task in tasks:
                yield run_task(task)

    def close(self, *, kill: bool = False) -> None:
        """Nothing to end."""
