"""Threads written by hand: ``threading.Thread`` and a queue from which each takes the next image."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from imgproc.backends.base import DEFAULTS, Options
from imgproc.backends.dispatcher import Assignment
from imgproc.backends.pools.threaded import ThreadBackend


class Threads(ThreadBackend):
    """``workers`` threads and one queue. They run side by side because OpenCV and the PNG encoder release the GIL."""

    name = "threading"

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._inbox: SimpleQueue[Assignment | None] = SimpleQueue()
        self._team: set[threading.Thread] = set()

    def _open(self) -> None:
        for _ in range(self.workers):
            self._add_thread()

    def _add_thread(self) -> None:
        # A daemon, so that one that hangs does not hold up the end of the program.
        thread = threading.Thread(target=self._work, args=(self._inbox, self._team), name="image worker", daemon=True)
        self._team.add(thread)
        thread.start()

    def _work(self, inbox: SimpleQueue[Assignment | None], team: set[threading.Thread]) -> None:
        while (assignment := inbox.get()) is not None:
            self.work_on(assignment)
            if threading.current_thread() not in team:  # it was given up, and another has its place
                return

    def submit(self, assignment: Assignment) -> None:
        self._inbox.put(assignment)

    def _replace(self, thread: threading.Thread) -> None:
        self._team.discard(thread)
        self._add_thread()

    def _let_go(self) -> set[threading.Thread]:
        inbox, team = self._inbox, self._team
        self._inbox, self._team = SimpleQueue(), set()
        for _ in team:
            inbox.put(None)
        return team
