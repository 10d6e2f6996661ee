"""The same kernels in C, compiled and launched by PyCUDA."""

from __future__ import annotations

from imgproc.backends import nvidia
from imgproc.backends.gpu_pipeline import GpuPipeline


class PycudaCuda(GpuPipeline):
    """See ``imgproc.image.kernels.pycuda_device``."""

    name = "pycuda"
    adapter = "imgproc.image.kernels.pycuda_device"
    packages = ("pycuda",)
    install = nvidia.INSTALL_PYCUDA
