"""CUDA kernels written in C, compiled and launched by CuPy."""

from __future__ import annotations

from imgproc.backends.gpu.pipeline import GpuPipeline


class CupyCuda(GpuPipeline):
    """See ``imgproc.operations.cuda.cupy_device``."""

    name = "cupy"
    adapter = "imgproc.operations.cuda.cupy_device"
    packages = ("cupy",)
