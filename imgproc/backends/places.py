"""Places: the hardware threads of this machine ("CPUs", as Linux counts them) that workers are pinned to, where that is
asked for; named as OpenMP has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: How workers may be pinned, and what it means.
AFFINITIES = {
    "off": "the system decides where each works",
    "spread": "each worker on a core of its own, as far as there are",
    "close": "the hardware threads of a core first, where it has several",
}
OFF = "off"
#: Whether threads can be pinned here.
CAN_PIN = sys.platform == "linux"
ONLY_LINUX = "Workers can be pinned to cores on Linux only."
#: Why workers are not pinned.
NO_WAY = "it has no way of doing so"
OF_A_LIBRARY = "its threads are those of a library"
OF_ANOTHER = "its workers are another program’s to place"
ELSEWHERE = "its workers are on other machines"

_CPUS = Path("/sys/devices/system/cpu")


def places(affinity: str, workers: int, threads: int = 1, root: Path = _CPUS) -> list[list[int]]:
    """The CPUs of each worker, as many as it has ``threads``, of those that this process may use; none where workers
    are not to be pinned. Where there are fewer, several workers share one."""
    if affinity == OFF or not CAN_PIN:
        return []
    order = _order(affinity, sorted(os.sched_getaffinity(0)), root)
    wanted = [order[number % len(order)] for number in range(workers * threads)]
    return [sorted(set(wanted[first : first + threads])) for first in range(0, len(wanted), threads)]


def _order(affinity: str, cpus: Iterable[int], root: Path) -> list[int]:
    """One hardware thread of each core, then the second ones; or those of a core one after another."""
    cores: dict[str, list[int]] = {}
    for cpu in cpus:
        cores.setdefault(_core(cpu, root), []).append(cpu)
    if affinity == "close":
        return [cpu for core in cores.values() for cpu in core]
    most = max(map(len, cores.values()))
    return [core[turn] for turn in range(most) for core in cores.values() if turn < len(core)]


def _core(cpu: int, root: Path) -> str:
    """What all hardware threads of its core have in common; its own number where Linux does not say."""
    with suppress(OSError):
        return (root / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
    return str(cpu)


def pin_this_thread(cpus: Iterable[int]) -> None:
    """From now on the calling thread, and those that it makes, run there only."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cpus)


@contextmanager
def pinned(cpus: Collection[int]) -> Iterator[None]:
    """With the calling thread there, and back where it may be anywhere as before; none at all leaves it as it is."""
    if sys.platform != "linux" or not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin_process(pid: int, cpus: Iterable[int]) -> None:
    """The same of all threads of another process; none of it where that is gone."""
    cpus = list(cpus)
    if sys.platform == "linux":
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    os.sched_setaffinity(int(thread.name), cpus)
