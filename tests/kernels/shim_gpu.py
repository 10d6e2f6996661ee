"""A GPU library whose GPU is the CPU (see shim_device), for the pipeline. For tests only.

Environment: ``SHIM_KERNELS`` is the compiled kernels, ``SHIM_MEMORY`` the bytes of the GPU's memory; with
``SHIM_FAILS`` a launch fails as soon as the file of that name is there.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from shim_device import SMALL, ShimDevice

from imgproc.operations.cuda.device import Array, Host


class OutOfMemory(Exception):
    pass


class Broken(Exception):
    pass


class Gpu:
    """Its memory, as all lanes share it; ``most`` is the highest that was ever taken."""

    def __init__(self, size: int) -> None:
        self.size, self.taken, self.most, self.given_back = size, 0, 0, 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        with self._lock:
            if self.taken + size > self.size:
                raise OutOfMemory
            self.taken += size
            self.most = max(self.most, self.taken)

    def free(self, size: int) -> None:
        with self._lock:
            self.taken -= size


gpu = Gpu(int(os.environ.get("SHIM_MEMORY", 1 << 30)))


class ShimLane(ShimDevice):
    def empty(self, count: int, dtype: np.typing.DTypeLike) -> Array:
        size = count * np.dtype(dtype).itemsize
        gpu.take(size)
        array = super().empty(count, dtype)
        self._arrays.pop()  # it would be kept for ever
        weakref.finalize(array.base, gpu.free, size)
        return array

    def launch(self, kernel: str, *arguments: object) -> None:
        if Path(os.environ.get("SHIM_FAILS", "/nowhere")).exists():
            raise Broken
        super().launch(kernel, *arguments)


_library = ctypes.CDLL(os.environ["SHIM_KERNELS"]) if "SHIM_KERNELS" in os.environ else None


def lane() -> ShimLane:
    assert _library is not None
    return ShimLane(_library, SMALL)


using = nullcontext


def pinned(size: int) -> Host:
    return np.empty(size, np.uint8)


def free_bytes() -> int:
    return gpu.size - gpu.taken


def give_back() -> None:
    gpu.given_back += 1


def out_of_memory(problem: BaseException) -> bool:
    return isinstance(problem, OutOfMemory)


def trouble(problem: BaseException) -> str | None:
    return "the shim is broken" if isinstance(problem, (Broken, AssertionError)) else None
