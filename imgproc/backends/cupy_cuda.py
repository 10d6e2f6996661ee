"""CUDA kernels written in C, compiled and launched by CuPy."""

from __future__ import annotations

from imgproc.backends.gpu_pipeline import GpuPipeline


class CupyCuda(GpuPipeline):
    """See ``imgproc.image.kernels.cupy_device``."""

    name = "cupy"
    adapter = "imgproc.image.kernels.cupy_device"
    packages = ("cupy",)
