"""Things that take a while to make and that several threads use at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class Shared(Generic[T]):
    """Makes each thing once for all who want it while one of them has it, and keeps none longer. Safe to use from many
    threads; one is made at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: WeakValueDictionary[Hashable, T] = WeakValueDictionary()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """
        Args:
            key: what tells the thing from others.

        Raises:
            Exception: what ``make`` raises; then nothing is kept.
        """
        with self._lock:
            found = self._things.get(key)
            if found is None:
                found = self._things[key] = make()
            return found
