"""Peak memory of a technique during a pass, sampled so seldom that it does not disturb what it watches."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, Self

import psutil

from imgproc.backends.sharing import memory as shared
from imgproc.measure.process_tree import PROC, own_tree

MemoryKind = Literal["pss", "uss", "rss"]

#: Sampling may take this share of one core: half of it for resident memory, half for full readings.
COST = 0.005
#: Shortest pauses between two samples of resident memory, and between two full readings, in seconds.
SAMPLE_SECONDS, FULL_SECONDS = 0.02, 1.0


class PeakMemory:
    """Watches the memory of some processes while the ``with`` block runs; may be entered any number of times.

    ``bytes``: the highest sum over the processes in the last block; ``kind``: what was summed. ``pss`` (Linux): pages
    in memory, those shared by n processes counted as 1/n. ``uss``: pages that no other process shares. ``rss``: all
    pages, shared ones as often as shared.

    PSS and USS take the system milliseconds to find out, during which a process cannot get memory. So they are
    read after the first block of the same processes, and then once in a second or more of watching. Otherwise
    resident memory is sampled, at a fortieth of the cost; its highest sum, less what the full readings around it find
    to be counted twice, is the estimate of the peak. Against PSS read every 4 ms it was 0 to 3 % too low.

    The blocks of shared memory that these processes made come and go with every image, so on Linux they are no part
    of resident memory here; the memory that they have is added to each sample, mapped by somebody or not.

    Entering and leaving can take some milliseconds, so only what is inside should be timed.

    Args:
        processes: gives the ids of the processes to watch; asked anew by each block and at each full reading.
        proc: where Linux shows its processes.
    """

    def __init__(self, processes: Callable[[], Iterable[int]] = own_tree, *, proc: Path = PROC) -> None:
        self.bytes = 0
        self.kind: MemoryKind = "rss"
        #: CPU seconds that sampling took inside the blocks, and how often each kind of reading was made.
        self.cost_seconds = 0.0
        self.samples = self.full_readings = 0
        self._processes, self._proc = processes, proc
        self._pids: list[int] = []
        #: What the last full reading found to be counted twice; None where there was none of these processes.
        self._twice: int | None = None
        self._highest = 0
        #: Seconds of watching since the last full reading, and how many there must be before the next.
        self._watched, self._pause = 0.0, FULL_SECONDS
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self.bytes = 0
        if (pids := list(self._processes())) != self._pids:
            self._pids, self._twice = pids, None
        self._sample()
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, name="memory watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._twice is None or self._watched >= self._pause:
            self._full()
        else:
            self._sample()
            self._settle(self._twice)

    def _watch(self) -> None:
        pause, last, here, now = SAMPLE_SECONDS, math.inf, 0.0, time.perf_counter()
        while not self._stop.wait(pause):
            start = time.thread_time()
            before, now = now, time.perf_counter()
            self._watched += now - before
            here += now - before
            if self._watched >= self._pause and here >= FULL_SECONDS:  # else it is better done when the block ends
                self._full()
                here = 0.0
            else:
                self._sample()
                took = time.thread_time() - start
                # By the cheaper of two: one that was held up would be followed by a rest in which a peak is missed.
                pause, last = max(SAMPLE_SECONDS, min(took, last) / (COST / 2)), took
            self.cost_seconds += time.thread_time() - start
        self._watched += time.perf_counter() - now

    def _sample(self) -> None:
        self.samples += 1
        in_memory = sum(resident(pid, self._proc) for pid in self._pids) + shared.allocated(self._pids)
        self._highest = max(self._highest, in_memory)

    def _settle(self, twice: int) -> None:
        """Take what was sampled so far, of which so many bytes are counted twice."""
        self.bytes = max(self.bytes, self._highest - twice)
        self._highest = 0

    def _full(self) -> None:
        start = time.thread_time()
        self.full_readings += 1
        self._pids = list(self._processes())
        found = [reading for pid in self._pids if (reading := full(pid, self._proc))]
        blocks = shared.allocated(self._pids)
        own = sum(reading.own for reading in found) - min(blocks, sum(reading.shared for reading in found))
        kinds = {reading.kind for reading in found}
        self.kind = "rss" if "rss" in kinds or not kinds else "uss" if "uss" in kinds else "pss"
        before, self._twice = self._twice or 0, sum(reading.resident for reading in found) - own
        self._settle(max(before, self._twice))
        self.bytes = max(self.bytes, own + blocks)
        self._watched, self._pause = 0.0, max(FULL_SECONDS, (time.thread_time() - start) / (COST / 2))


_NOT_SHARED = re.compile(rb"^Rss(?:Anon|File):\s+(\d+) kB$", re.MULTILINE)


def resident(pid: int, proc: Path = PROC) -> int:
    """Bytes of a process that are in memory, where Linux tells them apart without shared memory; 0 where it has
    ended."""
    with suppress(OSError):
        if sizes := _NOT_SHARED.findall((proc / str(pid) / "status").read_bytes()):
            return 1024 * sum(map(int, sizes))
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


#: A process is read anew, so often at most, where its resident memory changed meanwhile by more bytes than this.
_TRIES, _STEADY = 3, 1 << 20


class Reading(NamedTuple):
    """A full reading of one process: its ``resident`` memory, as that function tells it, and the best there is of
    what it has to itself with its share of what it shares, in which so much is of ``shared`` memory."""

    resident: int
    own: int
    shared: int
    kind: MemoryKind


def full(pid: int, proc: Path = PROC) -> Reading | None:
    """What one process has; None where it has ended."""
    try:
        before = resident(pid, proc)
        for _ in range(_TRIES):
            lines = (proc / str(pid) / "smaps_rollup").read_bytes().splitlines()[1:]
            after = resident(pid, proc)
            if abs(after - before) <= _STEADY:
                break
            before = after  # memory came or went between the two readings, which then are not of one moment
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(b":") for line in lines)}
        return Reading(after, sizes[b"Pss"], sizes[b"Pss_Shmem"], "pss")
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
    seen = resident(pid, proc)
    return Reading(seen, seen, 0, "rss") if uss is None else Reading(seen, uss, 0, "uss")
