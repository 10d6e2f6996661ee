"""Peak memory of the processes of one program, while those of many others wait beside it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from imgproc.backends.sharing.memory import allocated
from imgproc.measure.peak_memory import COST, SAMPLE_SECONDS

_SIZES = re.compile(rb"^Rss(Anon|File):\s+(\d+) kB$", re.MULTILINE)
_ANONYMOUS = re.compile(rb"^(Anonymous|Pss_Anon):\s+(\d+) kB$", re.MULTILINE)


class TreeMemory:
    """Watches processes while the ``with`` block runs; ``bytes`` is then the most that they had at the same time.

    On Linux that is their own pages, those shared among them once, with shared memory and with the files mapped
    by the one of them that maps most. PSS would be too low: it divides a library by all programs that have it
    loaded, also by those that only wait for their turn here. Elsewhere it is the sum of resident memory.
    """

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self.bytes = 0
        self._find = pids
        self._pids: Sequence[int] = ()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self.bytes, self._pids = 0, self._find()
        self._sample()
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        self.bytes -= sum(map(shared_with_others, self._pids))

    def _watch(self) -> None:
        pause = SAMPLE_SECONDS
        while not self._stop.wait(pause):
            start = time.thread_time()
            self._sample()
            pause = max(SAMPLE_SECONDS, (time.thread_time() - start) / COST)

    def _sample(self) -> None:
        own, files = zip(*map(resident, self._pids), strict=True) if self._pids else ((0,), (0,))
        self.bytes = max(self.bytes, sum(own) + max(files) + allocated(self._pids))


def resident(pid: int) -> tuple[int, int]:
    """Bytes of a process in memory: its own, and those of files that it maps; all count as its own where the system
    does not tell."""
    with suppress(OSError):
        if found := dict(_SIZES.findall(Path(f"/proc/{pid}/status").read_bytes())):
            return 1024 * int(found[b"Anon"]), 1024 * int(found[b"File"])
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss), 0
    return 0, 0


def shared_with_others(pid: int) -> int:
    """Bytes of a process's own memory that other processes have part in, as after a fork, less its part of them."""
    with suppress(OSError, KeyError):
        found = dict(_ANONYMOUS.findall(Path(f"/proc/{pid}/smaps_rollup").read_bytes()))
        return 1024 * (int(found[b"Anonymous"]) - int(found[b"Pss_Anon"]))
    return 0
