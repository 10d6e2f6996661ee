"""Watching worker processes: who died, and at what."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from imgproc.backends.pools.pool import WorkerGroup
from imgproc.backends.worker_loop import StatusFolder


class ProcessGroup(WorkerGroup):
    """The processes of one pool, watched from when they are ready until one dies."""

    def __init__(self, status: StatusFolder, workers: list[BaseProcess]) -> None:
        super().__init__()
        self._status, self._workers = status, workers
        self._sentinels: dict[Any, BaseProcess] = {worker.sentinel: worker for worker in workers}
        self._looking = threading.Lock()
        self._seen = False
        threading.Thread(target=self._watch, name="worker watch", daemon=True).start()

    def look(self, dead: Iterable[Any] = ()) -> None:
        """See who died, the first time that anybody has: who dies later was ended by the pool, and its task is not to
        blame. A library that ends the other workers has to call this before, for the watcher may be late.

        Args:
            dead: sentinels of some that have, which the pool may have closed, and their numbers be used anew.
        """
        with self._looking:
            if not self._seen and (all_dead := {*dead, *wait(self._sentinels, timeout=0)}):
                self._seen = True
                self.victims |= self._at(self._sentinels[one] for one in all_dead).keys()

    def _watch(self) -> None:
        try:
            self.look(wait(self._sentinels))
        finally:
            self.ended()

    def busy(self) -> Mapping[int, float]:
        return self._at(self._workers)

    def _at(self, workers: Iterable[BaseProcess]) -> dict[int, float]:
        found = [self._status.read(worker.pid or 0) for worker in workers]
        return {task: since for status in found if status for task, since in status.tasks.items()}


def kill(workers: Iterable[BaseProcess]) -> None:
    """Kill worker processes and wait until they are dead."""
    workers = list(workers)
    for worker in workers:
        end(worker)
    for worker in workers:
        wait([worker.sentinel], timeout=5)


def end(worker: BaseProcess) -> None:
    """Kill a worker process, stopped or not."""
    if worker.pid and not wait([worker.sentinel], timeout=0):  # 0 would be all of us
        with suppress(OSError):
            os.kill(worker.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
