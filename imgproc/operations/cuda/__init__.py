"""What the operations' programs for a CUDA device have in common, which is to compute to the last bit as OpenCV does.

The kernels are there twice, in CUDA C for CuPy and PyCUDA, and for Numba. An operation's ``cuda.py`` launches its own,
on any ``device.Device``; each of the ``*_device`` modules makes one from its library. These libraries are no
dependency: a module here imports its own when it is itself imported, and the operations none.
"""
