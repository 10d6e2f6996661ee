"""One task at a time; Numba shares the rows of each operation among its own threads by ``prange``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import ClassVar

from imgproc.backends.base import DEFAULTS, BackendError, Capabilities, Options
from imgproc.backends.places import OF_A_LIBRARY
from imgproc.backends.pools.sequential import Sequential
from imgproc.backends.schedules import ONE_WORKER
from imgproc.backends.task import Task, TaskResult
from imgproc.numbers import seconds as as_seconds
from imgproc.operations import OPERATIONS


class NumbaParallel(Sequential):
    """The sequential program with Numba's programs of the operations in the place of OpenCV's: one worker with as many
    of Numba's threads as were asked for, or as Numba has (``NUMBA_NUM_THREADS``, by default the cores).

    All are loaded by ``start``; the first time on a machine that compiles them. Numba takes whichever of its threading
    layers there is.
    """

    name = "numba-parallel"
    capabilities = Capabilities(
        memory="shared", killable=False, inline=True, prange=True, unscheduled=ONE_WORKER, unpinned=OF_A_LIBRARY
    )
    #: Whether this process has loaded them.
    _loaded: ClassVar[bool] = False

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(1, options)
        self.numba_threads = workers

    def start(self) -> None:
        self._load()
        from numba import config, get_num_threads

        self.numba_threads = min(self.numba_threads, int(config.NUMBA_NUM_THREADS))
        get_num_threads()  # which starts them, maybe by a library of OpenMP, that is pinned with the others
        super().start()

    def _load(self) -> None:
        """Load the programs, which compiles those of which no machine code is kept.

        Raises:
            BackendError: that cannot be.
        """
        begin = time.perf_counter()
        try:
            modules = [import_module(one.prange.partition(":")[0]) for one in OPERATIONS.values() if one.prange]
        except Exception as problem:
            raise BackendError(_why(problem)) from problem
        seconds = time.perf_counter() - begin
        if not self._loaded and any(map(_newly_compiled, modules)):
            self.notes.append(
                f"its operations were compiled when it was started, in {as_seconds(seconds)}; the machine code is kept "
                "for later runs."
            )
        NumbaParallel._loaded = True

    def run(self, tasks: Sequence[Task], *, deadline: float) -> Iterator[TaskResult]:
        from numba import get_num_threads, set_num_threads

        self.start()
        set_num_threads(self.numba_threads)
        for result in super().run(tasks, deadline=deadline):
            worker = result.worker and replace(result.worker, numba_threads=get_num_threads())
            yield replace(result, worker=worker)


def _newly_compiled(module: ModuleType) -> bool:
    """Whether this process compiled any of it."""
    return any(found.stats.cache_misses for found in vars(module).values() if hasattr(found, "stats"))


def _why(problem: Exception) -> str:
    if isinstance(problem, RuntimeError) and "cannot cache" in str(problem):  # Numba's words
        return "No folder can be written to for the machine code of its operations; NUMBA_CACHE_DIR can name one."
    return f"Numba could not compile or load its operations ({type(problem).__name__})."


if __name__ == "__main__":  # as run.py does when it sets up
    NumbaParallel(1).start()
