"""A device through CuPy, for CUDA 12 or 13. This module needs CuPy and a GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import cupy
import numpy as np
import numpy.typing as npt

from imgproc.operations.cuda.device import Array, Host, Kept, Mark, Sizes
from imgproc.operations.cuda.programs import cuda_source


@cache
def _module(sizes: Sizes) -> Any:
    return cupy.RawModule(code=cuda_source(sizes), backend="nvrtc")


class CupyDevice:
    """One stream on the current GPU. The kernels are compiled when the first is launched, and then on disk."""

    def __init__(self, sizes: Sizes | None = None, stream: Any = None) -> None:
        self.sizes = sizes or Sizes()
        self.processors = int(cupy.cuda.Device().attributes["MultiProcessorCount"])
        self.kept = Kept()
        self.stream = cupy.cuda.Stream(non_blocking=True) if stream is None else stream

    def empty(self, count: int, dtype: npt.DTypeLike) -> Array:
        # CuPy's pool hands memory back to the stream it was last used on, so it must know which that is.
        with self.stream:
            return cupy.empty(count, dtype)

    def upload(self, host: Host, array: Array) -> None:
        array[: host.size].set(host, stream=self.stream)

    def download(self, array: Array, host: Host) -> None:
        array[: host.size].get(stream=self.stream, out=host, blocking=False)

    def copy(self, source: Array, target: Array, words: int) -> None:
        with self.stream:
            cupy.copyto(target[:words], source[:words])

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        passed = tuple(np.int32(value) if isinstance(value, int) else value for value in arguments)
        with self.stream:
            _module(self.sizes).get_function(kernel)(grid, (block,), passed, shared_mem=shared)

    def mark(self) -> Mark:
        event = cupy.cuda.Event()
        event.record(self.stream)
        return event

    def seconds(self, earlier: Mark, later: Mark) -> float:
        return float(cupy.cuda.get_elapsed_time(earlier, later)) / 1000

    def wait(self) -> None:
        self.stream.synchronize()


def lane() -> CupyDevice:
    return CupyDevice()


def using() -> AbstractContextManager[Any]:
    return nullcontext()  # every thread has the first GPU unless it asks for another


def pinned(size: int) -> Host:
    return np.frombuffer(cupy.cuda.alloc_pinned_memory(size), np.uint8, size)


def free_bytes() -> int:
    free, _ = cupy.cuda.runtime.memGetInfo()
    return int(free) + int(cupy.get_default_memory_pool().free_bytes())


def give_back() -> None:
    cupy.get_default_memory_pool().free_all_blocks()


def out_of_memory(problem: BaseException) -> bool:
    return isinstance(problem, cupy.cuda.memory.OutOfMemoryError)


def trouble(problem: BaseException) -> str | None:
    if isinstance(problem, (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)):
        return f"CUDA error {problem.status}"
    if isinstance(problem, (cupy.cuda.compiler.CompileException, OSError, ImportError, RuntimeError)):
        return "CuPy could not compile or load its kernels"
    return None
