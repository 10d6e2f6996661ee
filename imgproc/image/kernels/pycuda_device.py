"""A device through PyCUDA. This module needs PyCUDA, the compiler nvcc that it calls, and a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycuda import driver
from pycuda.compiler import SourceModule

from imgproc.image.kernels.device import Array, Host, Kept, Sizes, cuda_source


class PycudaDevice:
    """One stream in PyCUDA's current context, whoever made it."""

    def __init__(self, sizes: Sizes | None = None, stream: Any = None) -> None:
        self.sizes = sizes or Sizes()
        gpu = driver.Context.get_device()
        self.processors = int(gpu.get_attribute(driver.device_attribute.MULTIPROCESSOR_COUNT))
        self.kept = Kept()
        # The source says itself what is extern "C".
        self._module = SourceModule(cuda_source(self.sizes), no_extern_c=True)
        self.stream = driver.Stream() if stream is None else stream

    def empty(self, count: int, dtype: npt.DTypeLike) -> Array:
        return driver.mem_alloc(count * np.dtype(dtype).itemsize)

    def upload(self, host: Host, array: Array) -> None:
        driver.memcpy_htod_async(array, host, self.stream)

    def download(self, array: Array, host: Host) -> None:
        driver.memcpy_dtoh_async(host, array, self.stream)

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        passed = [np.int32(value) if isinstance(value, int) else value for value in arguments]
        function = self._module.get_function(kernel)
        function(*passed, grid=grid, block=(block, 1, 1), shared=shared, stream=self.stream)

    def wait(self) -> None:
        self.stream.synchronize()
