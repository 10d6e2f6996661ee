"""CUDA kernels written in Python, compiled by Numba."""

from __future__ import annotations

from imgproc.backends.gpu.pipeline import GpuPipeline


class NumbaCuda(GpuPipeline):
    """See ``imgproc.operations.cuda.numba_device``."""

    name = "numba"
    adapter = "imgproc.operations.cuda.numba_device"
    packages = ("numba",)
