"""The latest answer to a question that may take long, such as one to a database, for threads that may not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Calls a function in a thread of its own, once at a time. Safe to use from many threads."""

    def __init__(self, find: Callable[[], T], *, wait: float, fresh: float, stale: float) -> None:
        """
        Args:
            wait: seconds that a caller waits for what is found now.
            fresh: seconds for which what was found is not looked for again.
            stale: seconds for which it is given where finding it takes longer than callers wait.
        """
        self._find, self._wait, self._fresh, self._stale = find, wait, fresh, stale
        self._lock = threading.Lock()
        self._search: tuple[float, Future[T]] | None = None
        self._found: tuple[float, T] | None = None

    def get(self) -> T:
        """
        Raises:
            TimeoutError: nothing was found for long.
            Exception: what the function raises.
        """
        now = time.monotonic()
        with self._lock:
            found = self._found
            if found and now - found[0] < self._fresh:
                return found[1]
            if self._search is None or self._search[1].done():
                self._search = now, Future()
                threading.Thread(target=self._work, args=self._search, name="latest", daemon=True).start()
            begun, future = self._search
        try:
            return future.result(max(0.0, begun + self._wait - now))  # nobody waits for one that hangs
        except TimeoutError:
            if found and now - found[0] < self._stale:
                return found[1]
            raise

    def forget(self) -> None:
        """What was found, or is about to be, is no longer so."""
        with self._lock:
            self._found = self._search = None

    def _work(self, begun: float, future: Future[T]) -> None:
        try:
            found = self._find()
        except Exception as problem:
            future.set_exception(problem)
            return
        with self._lock:
            if self._search and self._search[1] is future:
                self._found = begun, found
        future.set_result(found)
