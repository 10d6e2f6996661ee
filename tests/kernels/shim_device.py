"""A device that is the CPU: the kernels compiled by g++ (see shim.h). For tests only."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
from cuda_text import SOURCE, Function, functions

from imgproc.operations.cuda.device import Array, Host, Kept, Sizes

COMPILER = shutil.which("g++")
FLAGS = ("-O2", "-std=c++17", "-fPIC", "-shared", "-ffp-contract=off", "-fwrapv", "-U_FORTIFY_SOURCE", "-w")
#: Tiles so small that small pictures have many, and blocks whose threads do not fit them evenly.
SMALL = Sizes(copies=3, blur_words=3, narrow_words=2, edge_pixels=32, blur_rows=6, staged=2, edge_rows=4, threads=13,
              counting_threads=7, shared_bytes=20 << 10)  # fmt: skip

_OUTCOMES = {
    1: "left threads behind at a barrier",
    2: "wrote beyond its shared memory",
    3: "asked for more shared memory than there is",
}
_one_launch = threading.Lock()  # at a time: the shim has the shared memory of one block
_GUARD = 64  # elements before and behind every array that must not change
_RUBBISH = 0xA5


class _Launch(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("block", ctypes.c_uint),
        ("shared", ctypes.c_uint),
        ("seed", ctypes.c_uint64),
    )


def build(folder: Path, sizes: Sizes, text: str | None = None) -> ctypes.CDLL:
    """Compile the kernels, or this text in their place, with these sizes."""
    assert COMPILER
    library, source, kernels = folder / "kernels.so", folder / "kernels.cpp", folder / "kernels.cu"
    kernels.write_text(SOURCE if text is None else text, "utf-8")
    source.write_text(_program(kernels), "utf-8")
    defines = [f"-D{name}={value}" for name, value in sizes.fixed.items()]
    subprocess.run([COMPILER, *FLAGS, *defines, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def _program(kernels: Path) -> str:
    here = Path(__file__).parent
    launchers = [_launcher(name, function) for name, function in functions().items() if function.is_kernel]
    return "\n".join(
        [
            f'#include "{here / "shim.h"}"',
            f'#include "{kernels}"',
            "alignas(16) word memory[(shim::SHARED + shim::GUARD) / 4];",
            *launchers,
        ]
    )


def _launcher(name: str, function: Function) -> str:
    typed = ", ".join(f"{p.type} {p.name}" for p in function.parameters)
    names = ", ".join(p.name for p in function.parameters)
    return (
        f'extern "C" int launch_{name}(const shim::Launch *how, {typed}) {{\n'
        f"    return shim::launch(*how, (unsigned char *)memory, [=] {{ {name}({names}); }});\n"
        "}"
    )


class ShimDevice:
    """Runs every launch at once, in an order of blocks and threads that its seed decides."""

    def __init__(self, library: ctypes.CDLL, sizes: Sizes, processors: int = 2) -> None:
        self.sizes, self.processors, self.kept = sizes, processors, Kept()
        self.seed = 0
        self.launched: dict[str, int] = {}
        self._library = library
        self._functions = functions()
        self._arrays: list[np.ndarray] = []

    def empty(self, count: int, dtype: np.typing.DTypeLike) -> Array:
        whole = np.empty(count + 2 * _GUARD, dtype)
        whole.view(np.uint8)[:] = _RUBBISH
        self._arrays.append(whole)
        return whole[_GUARD:-_GUARD]

    def upload(self, host: Host, array: Array) -> None:
        array[: host.size] = host

    def download(self, array: Array, host: Host) -> None:
        host[:] = array[: host.size]

    def copy(self, source: Array, target: Array, words: int) -> None:
        target[:words] = source[:words]

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        self.seed += 1
        self.launched[kernel] = self.launched.get(kernel, 0) + 1
        parameters = self._functions[kernel].parameters
        assert len(arguments) == len(parameters)
        passed = []
        for parameter, argument in zip(parameters, arguments, strict=True):
            assert isinstance(argument, np.ndarray) == parameter.is_array, parameter
            if isinstance(argument, np.ndarray):
                assert argument.dtype == _DTYPES[parameter.type.removeprefix("const ")], parameter
                passed.append(ctypes.c_void_p(argument.ctypes.data))
            else:
                passed.append(ctypes.c_int(argument))
        how = _Launch(*grid, block, shared, self.seed)
        with _one_launch:
            outcome = self._library[f"launch_{kernel}"](ctypes.byref(how), *passed)
        assert outcome == 0, f"{kernel} {_OUTCOMES[outcome]}"

    def mark(self) -> float:
        return time.perf_counter()

    def seconds(self, earlier: float, later: float) -> float:
        return later - earlier

    def wait(self) -> None:
        """What is around the arrays must be as it was."""
        for whole in self._arrays:
            ends = whole[:_GUARD], whole[-_GUARD:]
            assert all((end.view(np.uint8) == _RUBBISH).all() for end in ends), "wrote beyond an array"


_DTYPES = {"word *": np.uint32, "int *": np.int32, "byte *": np.uint8}
