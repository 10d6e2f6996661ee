"""CPU time: what we use, and what others use while we measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

import psutil

from imgproc.measure.process_tree import cpu_seconds, own_tree

#: Systems count CPU time in steps of about 10 ms per process: over less than this, in seconds, it says nothing.
LEAST_SECONDS = 0.5


def busy_seconds() -> float:
    """CPU time that all programs of this machine used since it started, with what a virtual machine's host took
    from it."""
    times = psutil.cpu_times()
    # Only these: guests' time is in `user` already, interrupts on Windows in `system`.
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def tree_cpu_seconds(helpers: Iterable[int] = ()) -> float:
    """CPU time that this process, its descendants and its helpers used so far."""
    return cpu_seconds(own_tree(helpers))


def kernel_seconds() -> dict[int, float]:
    """CPU time so far of each of Linux's kernel threads, by id; none where they are not shown, as in containers."""
    try:
        parent = psutil.Process(2)
        if parent.name() != "kthreadd":
            return {}
        threads = parent.children()
    except psutil.Error:
        return {}
    seconds = {}
    for thread in threads:
        with suppress(psutil.Error):
            times = thread.cpu_times()
            seconds[thread.pid] = times.user + times.system
    return seconds


class _CpuTimes(NamedTuple):
    time: float
    others: float
    kernel: dict[int, float]


class MachineLoad:
    """How many cores others use while we measure; may be started and stopped any number of times.

    Others are all programs but this process and its descendants, and other virtual machines on the same host as
    far as the system reports them. Kernel threads do not count where they can be told apart: writing our own files
    keeps them busy for up to a third of a core.
    """

    def __init__(
        self,
        *,
        busy: Callable[[], float] = busy_seconds,
        own: Callable[[], float] = tree_cpu_seconds,
        kernel: Callable[[], dict[int, float]] = kernel_seconds,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._busy, self._own, self._kernel, self._clock = busy, own, kernel, clock
        self._began: _CpuTimes | None = None
        self._wall = self._others = 0.0

    def _read(self) -> _CpuTimes:
        return _CpuTimes(self._clock(), self._busy() - self._own(), self._kernel())

    def start(self) -> None:
        self._began = self._read()

    def stop(self) -> float | None:
        """Cores that others used, on average of all the time between ``start`` and ``stop`` so far; None where that
        was too short to say."""
        if (began := self._began) is not None:
            now = self._read()
            # Thread by thread: one that ended takes its past with it.
            kernel = sum(max(0.0, used - began.kernel.get(pid, 0.0)) for pid, used in now.kernel.items())
            self._wall += now.time - began.time
            self._others += now.others - began.others - kernel
            self._began = None
        return max(0.0, self._others / self._wall) if self._wall >= LEAST_SECONDS else None
