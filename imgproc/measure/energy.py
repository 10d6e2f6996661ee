"""Energy of the whole machine while a pass goes on: counters of processors and their memory (RAPL) and of GPUs (NVML).

A counter knows nothing of processes. What it counts is what the machine took, of other programs and of idle parts too.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

#: Where Linux shows the counters of Intel's processors, and of AMD's by the same names.
POWERCAP = Path("/sys/class/powercap")
#: What NVIDIA's driver shows there is there where it is loaded.
NVIDIA = Path("/proc/driver/nvidia/version")
#: A pass that is shorter, in seconds, says nothing: processors' counters go on about every millisecond, GPUs' every
#: twentieth or tenth of a second.
LEAST_SECONDS = {"processor": 0.05, "memory": 0.05, "gpu": 1.0}
#: No processor takes more watts, so that its counter does not come round unseen.
_MOST_WATTS = 1000.0

NO_COUNTERS = "this system shows no energy counters (RAPL), as most virtual machines and containers do not"
HIDDEN = "the energy counters (RAPL) are hidden from this container; a system administrator can show them to it"
NO_PERMISSION = (
    "the energy counters (RAPL) may be read by root alone; “sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj” "
    "lets everybody, until the system starts again"
)
UNREADABLE = "a counter of energy (RAPL) cannot be read here, and the others alone would be less than the machine takes"
NOT_LINUX = "the energy counters of processors are read on Linux alone"
NO_ANSWER = "NVIDIA’s driver does not tell that of GPUs here"
NO_NVML = "that of GPUs is read by the package nvidia-ml-py, which is not installed: pip install nvidia-ml-py"


@dataclass(frozen=True)
class Counter:
    """One that goes up: ``read`` gives joules, which begin again at 0 after ``most`` of them (None: they do not).
    ``of``: processor, memory or gpu."""

    name: str
    of: str
    read: Callable[[], float]
    most: float | None = None

    def between(self, before: float, after: float) -> float:
        """Joules from one reading to the next, with less than ``most`` between them."""
        return after - before + (self.most if self.most and after < before else 0.0)


@dataclass(frozen=True)
class Found:
    """The counters of this machine, and why there are not more: a sentence's part each, none where there is nothing
    to say."""

    counters: tuple[Counter, ...]
    missing: tuple[str, ...]


def find(root: Path | None = None) -> Found:
    """The counters that can be read now. Never raises.

    Args:
        root: the folder that Linux shows the processors' in; ``POWERCAP`` where not given.
    """
    processors, why = _processors(root or POWERCAP)
    gpus, why_not = _gpus()
    return Found((*processors, *gpus), tuple(filter(None, (why, why_not))))


def facts() -> dict[str, Any]:
    """For the environment of a record: the names of the ``counters``, and why others are ``missing``."""
    found = find()
    return {"counters": [f"{one.of} {one.name}" for one in found.counters], "missing": list(found.missing)}


# ---------------------------------------------------------------- processors and their memory


def _processors(root: Path) -> tuple[list[Counter], str]:
    """A counter for each processor (package) and for the memory beside it, and why there is none.

    A package counts its cores and its graphics, which have counters of their own inside of it; only memory (dram) is
    beside it. A platform's counter (psys) has the packages in it, and ``intel-rapl-mmio`` counts the same ones again.
    """
    if sys.platform != "linux":
        return [], NOT_LINUX
    try:
        zones = sorted(root.glob("intel-rapl:*"))
    except OSError:
        zones = []
    found, named, why = [], False, ""
    for zone in zones:
        try:
            name = _text(zone / "name")
        except OSError:
            continue
        named, top = True, zone.name.count(":") == 1
        if not (name.startswith("package") if top else name == "dram"):
            continue
        number = name.partition("-")[2] if top else zone.name.split(":")[1]
        try:
            most = _joules(zone / "max_energy_range_uj")
            counter = Counter(number, "processor" if top else "memory", _reader(zone / "energy_uj"), most)
            counter.read()
            found.append(counter)
        except PermissionError:
            why = NO_PERMISSION
        except (OSError, ValueError):
            why = why or UNREADABLE
    if why or found:
        return ([], why) if why else (found, "")
    return [], HIDDEN if zones and not named else NO_COUNTERS


def _text(file: Path) -> str:
    return file.read_text().strip()


def _joules(file: Path) -> float:
    return int(_text(file)) / 1e6


def _reader(file: Path) -> Callable[[], float]:
    return lambda: _joules(file)


# ---------------------------------------------------------------- GPUs


def _gpus() -> tuple[list[Counter], str]:
    """A counter for each GPU of NVIDIA's; why there is none, where there are GPUs."""
    try:
        return list(_nvml()), ""
    except ImportError:
        return [], NO_NVML if NVIDIA.exists() else ""
    except Exception:  # whatever a driver answers, a run does not fail for it
        return [], NO_ANSWER if NVIDIA.exists() else ""


@cache
def _nvml() -> tuple[Counter, ...]:
    """The driver's connection stays open as long as this process lives: opening it takes long."""
    import pynvml

    pynvml.nvmlInit()
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        device = pynvml.nvmlDeviceGetHandleByIndex(index)

        def read(device: Any = device) -> float:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(device)) / 1e3  # millijoules since the driver began

        read()
        found.append(Counter(str(index), "gpu", read))
    return tuple(found)


# ---------------------------------------------------------------- over a pass


class EnergyMeter:
    """Counts the joules while the ``with`` block runs; may be entered any number of times.

    Counters begin again at 0 after some minutes at full power, so in a long pass they are read in between, often
    enough that none comes round twice unseen.
    """

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters = counters
        self._last: list[float] = []
        self._sum = [0.0] * len(counters)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        #: Seconds between two readings in a pass; None: none is needed.
        self.pause = min((one.most for one in counters if one.most), default=0.0) / _MOST_WATTS / 2 or None

    def __enter__(self) -> Self:
        """Nothing is done after the counters are read."""
        if self._counters:
            self._sum, self._last = [0.0] * len(self._counters), []
            self._stop.clear()
            if self.pause:
                self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)
                self._thread.start()
            self._last = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._counters:
            return
        if self._thread is None:
            self._count()
            return
        self._stop.set()
        self._thread.join()  # which counts once more
        self._thread = None

    def joules(self, seconds: float) -> dict[str, float]:
        """Of the last block, which took so many seconds: by what they are of. None at all where a counter failed or is
        too slow for so short a time: the others alone are less than the machine took."""
        found: dict[str, float] = defaultdict(float)
        for one, joules in zip(self._counters, self._sum, strict=True):
            if math.isnan(joules) or seconds < LEAST_SECONDS[one.of]:
                return {}
            found[one.of] += joules
        return {of: round(joules, 6) for of, joules in found.items()}

    def _read(self) -> list[float]:
        return [_value(one) for one in self._counters]

    def _count(self) -> None:
        now = self._read()
        for place, (one, before, after) in enumerate(zip(self._counters, self._last, now, strict=True)):
            self._sum[place] += one.between(before, after)
        self._last = now

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(self.pause)
            self._count()


def _value(counter: Counter) -> float:
    try:
        return counter.read()
    except Exception:  # a counter, or a driver, may be gone meanwhile; a measurement does not fail for it
        return math.nan
