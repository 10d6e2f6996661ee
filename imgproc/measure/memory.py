"""Peak memory of a technique during a pass, sampled so seldom that it does not disturb what it watches."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil

Kind = Literal["pss", "uss", "rss"]

#: Sampling may take this share of one core: half of it for resident memory, half for full readings.
COST = 0.005
#: Shortest pauses between two samples of resident memory, and between two full readings, in seconds.
SAMPLE_SECONDS, FULL_SECONDS = 0.02, 1.0

_PROC = Path("/proc")


def own_tree() -> list[int]:
    """The ids of this process and its descendants."""
    own = psutil.Process()
    return [own.pid, *(child.pid for child in own.children(recursive=True))]


class PeakMemory:
    """Watches the memory of some processes while the ``with`` block runs.

    ``bytes``: the highest sum over them; ``before``: the sum when the block began, with what former work left in
    them; ``kind``: what was summed. ``pss`` (Linux): pages in memory, those shared by n processes counted as
    1/n. ``uss``: pages that no other process shares. ``rss``: all pages, shared ones as often as shared.

    PSS and USS take the system milliseconds to find out, during which a process cannot get memory. So they are
    read before, after, and about once a second. In between, resident memory is sampled, at a fortieth of the cost;
    its highest sum, less what the full readings around it find to be counted twice, is the estimate of the peak.
    Against PSS read every 4 ms it was 0 to 3 % too low. Memory that is shared for less than a second, between two
    full readings, counts once for each process that has it.

    Entering and leaving take some milliseconds, so only what is inside should be timed.

    Args:
        processes: gives the ids of the processes to watch; asked anew at each full reading.
        proc: where Linux shows its processes.
    """

    def __init__(self, processes: Callable[[], Iterable[int]] = own_tree, *, proc: Path = _PROC) -> None:
        self.bytes = self.before = 0
        self.kind: Kind = "rss"
        #: CPU seconds that sampling took inside the block, and how often each kind of reading was made.
        self.cost_seconds = 0.0
        self.samples = self.full_readings = 0
        self._processes, self._proc = processes, proc
        self._pids: list[int] = []
        self._highest = self._twice = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory watch", daemon=True)

    def __enter__(self) -> Self:
        self._full()
        self.before = self.bytes
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._full()

    def _watch(self) -> None:
        pause, next_full = SAMPLE_SECONDS, time.perf_counter() + FULL_SECONDS
        while not self._stop.wait(pause):
            start = time.thread_time()
            if time.perf_counter() >= next_full:
                self._full()
                spent = time.thread_time() - start
                next_full = time.perf_counter() + max(FULL_SECONDS, spent / (COST / 2))
            else:
                self._sample()
                spent = time.thread_time() - start
                pause = max(SAMPLE_SECONDS, spent / (COST / 2))
            self.cost_seconds += spent

    def _sample(self) -> None:
        self.samples += 1
        self._highest = max(self._highest, sum(resident(pid, self._proc) for pid in self._pids))

    def _full(self) -> None:
        self.full_readings += 1
        self._pids = list(self._processes())
        found = [reading for pid in self._pids if (reading := full(pid, self._proc))]
        rss, own = sum(reading[0] for reading in found), sum(reading[1] for reading in found)
        kinds = {reading[2] for reading in found}
        self.kind = "rss" if "rss" in kinds or not kinds else "uss" if "uss" in kinds else "pss"
        before, self._twice = self._twice, rss - own
        self.bytes = max(self.bytes, own, self._highest - max(before, self._twice))
        self._highest = 0


def resident(pid: int, proc: Path = _PROC) -> int:
    """Bytes of a process that are in memory; 0 where it has ended."""
    try:
        return int((proc / str(pid) / "statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        with suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
    return 0


def full(pid: int, proc: Path = _PROC) -> tuple[int, int, Kind] | None:
    """Of one process the bytes in memory, and the best there is of what it has to itself with its share of what it
    shares; None where it has ended."""
    try:
        lines = (proc / str(pid) / "smaps_rollup").read_bytes().splitlines()[1:]
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(b":") for line in lines)}
        return sizes[b"Rss"], sizes[b"Pss"], "pss"
    except (OSError, KeyError, ValueError, IndexError):
        pass  # no Linux, an old one, or not ours to read
    try:
        process = psutil.Process(pid)
        try:
            info = process.memory_full_info()
        except psutil.AccessDenied:
            info = process.memory_info()
    except psutil.Error:
        return None
    uss = getattr(info, "uss", None)
    return (info.rss, info.rss, "rss") if uss is None else (info.rss, uss, "uss")


_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
