"""A device through PyCUDA. This module needs PyCUDA, the compiler nvcc that it calls, and a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pycuda import driver
from pycuda.compiler import SourceModule

from imgproc.operations.cuda.device import Array, Host, Kept, Mark, Sizes
from imgproc.operations.cuda.programs import cuda_source


@cache
def _module(sizes: Sizes) -> Any:
    # The source says itself what is extern "C".
    return SourceModule(cuda_source(sizes), no_extern_c=True)


class PycudaDevice:
    """One stream in PyCUDA's current context, whoever made it."""

    def __init__(self, sizes: Sizes | None = None, stream: Any = None) -> None:
        self.sizes = sizes or Sizes()
        gpu = driver.Context.get_device()
        self.processors = int(gpu.get_attribute(driver.device_attribute.MULTIPROCESSOR_COUNT))
        self.kept = Kept()
        self._module = _module(self.sizes)
        self.stream = driver.Stream() if stream is None else stream

    def empty(self, count: int, dtype: npt.DTypeLike) -> Array:
        return driver.mem_alloc(count * np.dtype(dtype).itemsize)

    def upload(self, host: Host, array: Array) -> None:
        driver.memcpy_htod_async(array, host, self.stream)

    def download(self, array: Array, host: Host) -> None:
        driver.memcpy_dtoh_async(host, array, self.stream)

    def copy(self, source: Array, target: Array, words: int) -> None:
        driver.memcpy_dtod_async(target, source, 4 * words, self.stream)

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        passed = [np.int32(value) if isinstance(value, int) else value for value in arguments]
        function = self._module.get_function(kernel)
        function(*passed, grid=grid, block=(block, 1, 1), shared=shared, stream=self.stream)

    def mark(self) -> Mark:
        event = driver.Event()
        event.record(self.stream)
        return event

    def seconds(self, earlier: Mark, later: Mark) -> float:
        return float(later.time_since(earlier)) / 1000

    def wait(self) -> None:
        self.stream.synchronize()


@cache
def _context() -> Any:
    driver.init()
    return driver.Device(0).retain_primary_context()


def lane() -> PycudaDevice:
    return PycudaDevice()


@contextmanager
def using() -> Iterator[None]:
    _context().push()
    try:
        yield
    finally:
        driver.Context.pop()


def pinned(size: int) -> Host:
    array: Host = driver.pagelocked_empty(size, np.uint8)
    return array


def free_bytes() -> int:
    return int(driver.mem_get_info()[0])


def give_back() -> None:
    """Nothing is kept: memory is free when its array is gone."""


def out_of_memory(problem: BaseException) -> bool:
    return isinstance(problem, driver.MemoryError)


def trouble(problem: BaseException) -> str | None:
    if isinstance(problem, driver.Error):  # CompileError is one of these
        return "a CUDA call failed"
    if isinstance(problem, (OSError, ImportError, RuntimeError)):
        return "PyCUDA could not compile or load its kernels"
    return None
