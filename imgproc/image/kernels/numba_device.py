"""A device through Numba. This module needs the package numba and, unless Numba simulates it, a GPU."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from imgproc.image.kernels import numba_kernels
from imgproc.image.kernels.device import Array, Host, Kept, Sizes

if not numba_kernels.SIMULATED:
    # A small image makes few blocks, which is no mistake.
    import_module("numba.cuda.dispatcher").config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


class NumbaDevice:
    """One stream on the current GPU."""

    def __init__(self, sizes: Sizes | None = None, stream: Any = None, processors: int = 0) -> None:
        self.sizes = sizes or Sizes()
        if any(getattr(numba_kernels, name) != value for name, value in self.sizes.fixed.items()):
            raise ValueError("Numba's kernels are made for other sizes")
        self.processors = processors or int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
        self.kept = Kept()
        self.stream = cuda.stream() if stream is None else stream

    def empty(self, count: int, dtype: npt.DTypeLike) -> Array:
        return cuda.device_array(count, np.dtype(dtype), stream=self.stream)

    def upload(self, host: Host, array: Array) -> None:
        array[: host.size].copy_to_device(host, stream=self.stream)

    def download(self, array: Array, host: Host) -> None:
        array[: host.size].copy_to_host(host, stream=self.stream)

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        # Compiled for numbers of one type only; the simulator, which reckons in Python, is given Python's.
        number = int if numba_kernels.SIMULATED else np.int32
        passed = [number(value) if isinstance(value, int) else value for value in arguments]
        getattr(numba_kernels, kernel)[grid, block, self.stream, shared](*passed)

    def wait(self) -> None:
        self.stream.synchronize()
