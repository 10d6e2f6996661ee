"""Whether there is a GPU that CUDA 12 can use, asked of NVIDIA's driver itself: no package and no context needed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from imgproc.backends.base import Availability

#: What the packages of the extra ``cuda`` are made for.
CUDA = 12
#: What installs these packages, and the one that is not among them, as it needs a compiler.
INSTALL, INSTALL_PYCUDA = 'pip install "numba-cuda[cu12]" cupy-cuda12x', "pip install pycuda"
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_OK = 0


@dataclass(frozen=True)
class Driver:
    """What the driver says: the newest CUDA it knows, as (major, minor), and how many GPUs it has."""

    cuda: tuple[int, int]
    devices: int


@cache
def driver(name: str = _DRIVER) -> Driver | None:
    """NVIDIA's driver; None where there is none."""
    try:
        library: Any = ctypes.CDLL(name)
        version, devices = ctypes.c_int(0), ctypes.c_int(0)
        if library.cuDriverGetVersion(ctypes.byref(version)) != _OK:
            return None
        # Says that there is no device as an error of its own; whatever it is, none can be used.
        if library.cuInit(0) != _OK or library.cuDeviceGetCount(ctypes.byref(devices)) != _OK:
            devices.value = 0
    except (OSError, AttributeError):
        return None
    return Driver(divmod(version.value // 10, 100), devices.value)


def availability(packages: Sequence[str], install: str) -> Availability:
    """Whether these packages can use a GPU here. Never raises, and imports none of them.

    Args:
        install: the command that installs them.
    """
    found = driver()
    if found is None:
        return Availability(False, "There is no CUDA device here: NVIDIA’s driver is not installed.")
    if found.devices == 0:
        return Availability(False, "There is no CUDA device here: NVIDIA’s driver finds none.")
    if found.cuda < (CUDA, 0):
        knows = ".".join(map(str, found.cuda))
        return Availability(
            False,
            f"NVIDIA’s driver is too old for CUDA {CUDA}: it knows CUDA up to {knows}.",
            "install NVIDIA’s driver 525 or newer",
        )
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        return Availability(False, f"The Python package {missing[0]} is not installed.", install)
    return Availability(True)
