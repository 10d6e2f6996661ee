"""A device through CuPy, for CUDA 12 or 13. This module needs CuPy and a GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import cupy
import numpy as np
import numpy.typing as npt

from imgproc.image.kernels.device import Array, Host, Kept, Sizes, cuda_source


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

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        passed = tuple(np.int32(value) if isinstance(value, int) else value for value in arguments)
        with self.stream:
            _module(self.sizes).get_function(kernel)(grid, (block,), passed, shared_mem=shared)

    def wait(self) -> None:
        self.stream.synchronize()
