"""Run as a program: Numba's kernels against OpenCV, in Numba's simulator or compiled for the CPU.

    python numba_cases.py simulated|compiled SEED PICTURES LARGEST

It prints how many cases there were; a pixel that differs is an error. Numba decides when it is imported whether it
simulates, so this is a process of its own.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

from kernel_cases import check, check_narrow  # noqa: E402

from imgproc.operations.cuda.device import Device, Sizes  # noqa: E402

# The simulator makes a Python thread of each of the kernel's.
FEW = Sizes(copies=2, blur_words=2, narrow_words=1, edge_pixels=32, blur_rows=8, staged=2, edge_rows=4, threads=3,
            counting_threads=2)  # fmt: skip
#: Kernels that are tried in narrow tiles, and the bytes of shared memory for these.
NARROW = {"simulated": ((3, 9), 1 << 10), "compiled": ((3, 5, 9, 31, 101, 199, 255, 301), 9 << 10)}


def simulated() -> Device:
    """In Numba's simulator; with small tiles, which are set before a kernel is used."""
    # Its threads wait for each other in a loop, and should not do so for long.
    sys.setswitchinterval(3e-4)
    import numba_simulated

    sys.modules["imgproc.operations.cuda.numba_instructions"] = numba_simulated
    from imgproc.operations.cuda.numba_device import MODULES, NumbaDevice, _known

    class Simulated(NumbaDevice):
        def launch(self, kernel, grid, block, shared, *arguments):
            """With Python's numbers, in which the simulator reckons."""
            _known(kernel)[grid, block, self.stream, shared](*arguments)

    for name, value in FEW.fixed.items():
        [module] = [module for module in MODULES if hasattr(module, name)]
        setattr(module, name, value)

    # Counters may go below 0 between counting and taking back, and wrap as on a GPU.
    warnings.filterwarnings("ignore", "overflow encountered in scalar", RuntimeWarning)
    return Simulated(FEW, processors=2)


def compiled() -> Device:
    """Compiled for the CPU."""
    from compiled_device import CompiledDevice

    return CompiledDevice()


if __name__ == "__main__":
    kind, seed, pictures, largest = sys.argv[1:]
    device = {"simulated": simulated, "compiled": compiled}[kind]()
    print(check(device, int(seed), int(pictures), int(largest)) + check_narrow(device, int(seed), *NARROW[kind]))
