"""This process, those that work for it, and the CPU time that they used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

PROC = Path("/proc")
_INEXACT = 1.0  # seconds; psutil knows when a process began no better, as Linux tells when it was booted in these
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def own_tree(helpers: Iterable[int] = (), *, proc: Path = PROC) -> list[int]:
    """The ids of this process, its descendants, and its helpers with theirs.

    Args:
        helpers: work for this one although another one started them, such as the other ranks of an MPI program.
        proc: where Linux shows its processes.
    """
    own = os.getpid()
    tree = [own, *helpers]
    if not (proc / f"{own}/task/{own}/children").exists():  # to look at every process takes 20 times as long
        return tree + [child.pid for child in psutil.Process().children(recursive=True)]
    for pid in tree:
        tree += _children(f"{proc}/{pid}/task")
    return tree


def started_since(moment: float, helpers: Iterable[int] = ()) -> list[int]:
    """Those of this process's tree that began at this ``time.time()`` or later, or a second before."""
    new = []
    for pid in own_tree(helpers):
        with suppress(psutil.Error):
            if psutil.Process(pid).create_time() >= moment - _INEXACT:
                new.append(pid)
    return new


def _children(threads: str) -> list[int]:
    """The children that a process has by its threads; none once it has ended."""
    children: list[int] = []
    with suppress(OSError), os.scandir(threads) as found:
        for thread in found:
            with suppress(OSError), open(f"{thread.path}/children", "rb") as file:  # only this thread has ended
                children += map(int, file.read().split())
    return children


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes used so far, with their children that have ended (where the system keeps account
    of them)."""
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its children that have ended; 0 once it has ended itself."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # After the name, which may hold anything. It is asked for so often that psutil would take too long.
            return sum(map(int, file.read().rpartition(b")")[2].split()[11:15])) / _TICKS
    except (OSError, ValueError):
        pass  # no Linux, or it has ended
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
