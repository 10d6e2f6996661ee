"""The operations on a CUDA device, to the last bit as OpenCV computes them on the CPU.

``kernels.cu`` and ``numba_kernels`` hold the same functions twice, once for CuPy and PyCUDA, once for Numba.
``programs`` launches them, on any ``device.Device``; each of the ``*_device`` modules makes one from its library.
These libraries are no dependency: a module here imports its own when it is itself imported, and ``programs`` none.
"""
