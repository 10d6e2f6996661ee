"""Run as a program: compiles Numba's kernels to PTX for a GPU that need not be there.

CUDA_HOME=... python numba_ptx.py 75|90
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from cuda_text import functions
from numba import cuda, types
from numba.cuda import dispatcher

TYPES = {
    "word *": types.uint32[::1],
    "const word *": types.uint32[::1],
    "byte *": types.uint8[::1],
    "const byte *": types.uint8[::1],
    "int *": types.int32[::1],
    "int": types.int32,
}


def main(capability: tuple[int, int]) -> None:
    # Functions that kernels call are compiled for the GPU at hand, which is asked what it is.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    from imgproc.operations.cuda.numba_device import _known

    for name, function in functions().items():
        if function.is_kernel:
            signature = tuple(TYPES[parameter.type] for parameter in function.parameters)
            ptx, _ = cuda.compile_ptx(_known(name).py_func, signature, cc=capability)
            calls, local = len(re.findall(r"\bcall\b", ptx)), ptx.count(".local")
            print(f"{name} calls {calls} local {local}")


if __name__ == "__main__":
    main((int(sys.argv[1]) // 10, int(sys.argv[1]) % 10))
