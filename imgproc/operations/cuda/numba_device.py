"""A device through Numba. This module needs the package numba and, unless Numba simulates it, a GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import config, cuda

from imgproc.operations.cuda.device import Array, Host, Kept, Mark, Sizes
from imgproc.operations.cuda.programs import programs

#: With the kernels of each operation.
MODULES = [import_module(program.numba) for program in programs()]

if not config.ENABLE_CUDASIM:
    # A small image makes few blocks, which is no mistake.
    import_module("numba.cuda.dispatcher").config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


def _known(name: str) -> Any:
    """The kernel or the size of this name."""
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


class NumbaDevice:
    """One stream on the current GPU."""

    def __init__(self, sizes: Sizes | None = None, stream: Any = None, processors: int = 0) -> None:
        self.sizes = sizes or Sizes()
        if any(_known(name) != value for name, value in self.sizes.fixed.items()):
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

    def copy(self, source: Array, target: Array, words: int) -> None:
        target[:words].copy_to_device(source[:words], stream=self.stream)

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        # Compiled for numbers of one type only.
        passed = [np.int32(value) if isinstance(value, int) else value for value in arguments]
        _known(kernel)[grid, block, self.stream, shared](*passed)

    def mark(self) -> Mark:
        event = cuda.event(timing=True)
        event.record(self.stream)
        return event

    def seconds(self, earlier: Mark, later: Mark) -> float:
        return float(earlier.elapsed_time(later)) / 1000

    def wait(self) -> None:
        self.stream.synchronize()


_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY


def lane() -> NumbaDevice:
    return NumbaDevice()


def using() -> AbstractContextManager[Any]:
    return nullcontext()  # each thread gets the context of the first GPU when it asks for anything


def pinned(size: int) -> Host:
    array: Host = cuda.pinned_array(size, np.uint8)
    return array


def free_bytes() -> int:
    return int(cuda.current_context().get_memory_info()[0])


def give_back() -> None:
    cuda.current_context().deallocations.clear()


def out_of_memory(problem: BaseException) -> bool:
    return _code(problem) == _OUT_OF_MEMORY


def trouble(problem: BaseException) -> str | None:
    code = _code(problem)
    if code is not None:
        return f"CUDA error {code}"
    if isinstance(problem, (cuda.CudaSupportError, OSError, ImportError, RuntimeError)):
        return "Numba could not compile or load its kernels"
    return None


def _code(problem: BaseException) -> int | None:
    """What CUDA gave back; Numba's exceptions are told by this alone, as each of its packages has its own."""
    if type(problem).__name__ not in ("CudaAPIError", "CudaRuntimeAPIError"):
        return None
    return int(getattr(problem, "code", 0))
