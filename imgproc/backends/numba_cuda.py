"""CUDA kernels written in Python, compiled by Numba."""

from __future__ import annotations

from imgproc.backends.gpu_pipeline import GpuPipeline


class NumbaCuda(GpuPipeline):
    """See ``imgproc.image.kernels.numba_device``."""

    name = "numba"
    adapter = "imgproc.image.kernels.numba_device"
    packages = ("numba",)
