"""The blur of ``blur.pure_python``, compiled by Numba, and without the GIL.

In a file of its own, since importing it loads Numba and, the first time on a machine, compiles it.

Raises on import:
    ImportError: Numba is not installed.
    RuntimeError: there is no folder for the machine code.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Image = npt.NDArray[np.uint8]


@njit("uint8[:, ::1](uint8[:, ::1])", nogil=True, cache=True)
def by_numba(image: Image) -> Image:
    """One pixel after the other."""
    height, width = image.shape[0] - 2, image.shape[1] - 2
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            total = 0
            for down in range(3):
                for right in range(3):
                    total += image[y + down, x + right]
            out[y, x] = total // 9
    return out
