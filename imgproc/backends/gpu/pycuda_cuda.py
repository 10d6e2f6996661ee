"""The same kernels in C, compiled and launched by PyCUDA."""

from __future__ import annotations

from imgproc.backends.gpu import nvidia
from imgproc.backends.gpu.pipeline import GpuPipeline


class PycudaCuda(GpuPipeline):
    """See ``imgproc.operations.cuda.pycuda_device``."""

    name = "pycuda"
    adapter = "imgproc.operations.cuda.pycuda_device"
    packages = ("pycuda",)
    install = nvidia.INSTALL_PYCUDA
