"""A device that is the CPU: the kernels for Numba compiled by it for the CPU, in blocks of one thread.

The simulator runs Python, which has one kind of whole number; the compiled kernels have many, and where they meet and
wrap is what is tried here. One thread needs no barriers, and the kernels may not depend on how many there are.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numba
import numpy as np
from cuda_text import NUMBA
from numba import types
from numba.core.extending import intrinsic

from imgproc.operations.cuda.device import Array, Host, Kept, Sizes

SIZES = Sizes(copies=2, blur_words=4, narrow_words=2, edge_pixels=32, blur_rows=8, staged=2, edge_rows=6, threads=1,
              counting_threads=1)  # fmt: skip

# As kernels are compiled: without a way in from Python, and without a check for division by zero.
njit = numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)

_int64, _uint32, _int32 = types.int64, types.uint32, types.int32
# Shared memory, and which block it is of how many. Compiled code finds them by their address.
_shared = np.zeros(SIZES.shared_bytes // 4, np.uint32)
_block = np.zeros(3, np.int32)
_SHARED, _BLOCK = _shared.ctypes.data, _block.ctypes.data


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(_int64), generate


@njit
def shared_words():
    return numba.carray(_pointer(_SHARED), _shared.size, np.uint32)


@njit
def shared_bytes():
    return numba.carray(_pointer(_SHARED), 4 * _shared.size, np.uint8)


@njit
def block(axis):
    return numba.carray(_pointer(_BLOCK), 3, np.int32)[axis]


@njit
def atomic_add(array, at, value):
    before = array[at]
    array[at] += value
    return before


@njit
def atomic_sub(array, at, value):
    before = array[at]
    array[at] -= value
    return before


@njit
def atomic_or_(array, at, value):
    array[at] |= value


@njit
def atomic_exch(array, at, value):
    before = array[at]
    array[at] = value
    return before


@njit
def atomic_cas(array, at, expected, value):
    before = array[at]
    if before == expected:
        array[at] = value
    return before


@njit
def ffs(bits):
    for place in range(32):
        if bits >> place & 1 != 0:
            return _int32(place + 1)
    return _int32(0)


@njit
def clz(bits):
    place = 0
    while place < 32 and bits >> (31 - place) & 1 == 0:
        place += 1
    return _int32(place)


@njit
def _part(bits, shift, size, signed):
    value = _int64(bits) >> shift & ((1 << size) - 1)
    return value - (1 << size) if signed and value >> (size - 1) else value


@njit
def _dp4a(values, weights, sum, signed):
    total = _int64(sum)
    for shift in range(0, 32, 8):
        total += _part(values, shift, 8, signed) * _part(weights, shift, 8, signed)
    return total


@njit
def _dp2a(values, weights, sum, signed, shift):
    low = _part(values, 0, 16, signed) * _part(weights, shift, 8, signed)
    return _int64(sum) + low + _part(values, 16, 16, signed) * _part(weights, shift + 8, 8, signed)


def _summing(product: Any, number: Any, *options: Any) -> Any:
    """With the types of the instruction: two words and a sum in, a sum out."""

    @njit
    def instruction(values, weights, sum):
        return number(product(_uint32(values), _uint32(weights), number(sum), *options))

    return instruction


INSTRUCTIONS = {
    "divided": njit(lambda number, by: _int64(_uint32(number) // _uint32(by))),
    "dp4a_unsigned": _summing(_dp4a, _uint32, False),
    "dp4a_signed": _summing(_dp4a, _int32, True),
    "dp2a_low_unsigned": _summing(_dp2a, _uint32, False, 0),
    "dp2a_high_unsigned": _summing(_dp2a, _uint32, False, 16),
    "dp2a_low_signed": _summing(_dp2a, _int32, True, 0),
    "dp2a_high_signed": _summing(_dp2a, _int32, True, 16),
    "uint2float_rn": njit(lambda value: types.float32(value)),
    "fdiv_rn": njit(lambda first, second: types.float32(first / second)),
    "fmul_rn": njit(lambda first, second: types.float32(first * second)),
    "float2int_rn": njit(lambda value: _int32(np.rint(value))),
}

# What the text of the kernels says to a GPU, and what is said here instead.
_WORDS = (
    (r"@cuda\.jit|@device", "@njit"),
    (r"cuda\.shared\.array\(0, types\.uint32\)", "shared_words()"),
    (r"cuda\.shared\.array\(0, types\.uint8\)", "shared_bytes()"),
    (r"cuda\.(syncthreads|threadfence)\(\)", "pass"),
    (r"cuda\.threadIdx\.x", "0"),
    (r"cuda\.blockDim\.x", "1"),
    (r"cuda\.(blockIdx\.x|grid\(1\))", "block(0)"),
    (r"cuda\.blockIdx\.y", "block(1)"),
    (r"cuda\.(gridDim\.x|gridsize\(1\))", "block(2)"),
    (r"cuda\.atomic\.", "atomic_"),
    (r"cuda\.|instructions\.", ""),
)


def _kernels() -> ModuleType:
    text = "".join(text[re.search(r"^(# --|@device)", text, re.MULTILINE).start() :] for text in NUMBA.values())
    for word, other in _WORDS:
        text = re.sub(word, other, text)
    made = ModuleType("compiled_kernels")
    made.__dict__.update(globals() | INSTRUCTIONS | SIZES.fixed)
    made.__dict__.update(int64=_int64, uint32=_uint32, int32=_int32, place=types.uint64)
    exec(compile(text, made.__name__, "exec"), made.__dict__)
    return made


def _driver(kernel: Any, count: int) -> Any:
    """Runs all blocks of a kernel with so many arguments."""
    names = ", ".join(f"a{number}" for number in range(count))
    text = (
        f"def drive(state, width, height, {names}):\n"
        "    state[2] = width\n"
        "    for state[1] in range(height):\n"
        "        for state[0] in range(width):\n"
        f"            kernel({names})\n"
    )
    found: dict[str, Any] = {"kernel": kernel}
    exec(text, found)
    return numba.njit(found["drive"])


class CompiledDevice:
    """Runs every launch at once, block by block."""

    def __init__(self) -> None:
        self.sizes, self.processors, self.kept = SIZES, 2, Kept()
        self._module = _kernels()
        self._drivers: dict[str, Any] = {}

    def empty(self, count: int, dtype: np.typing.DTypeLike) -> Array:
        return np.empty(count, dtype)

    def upload(self, host: Host, array: Array) -> None:
        array[: host.size] = host

    def download(self, array: Array, host: Host) -> None:
        host[:] = array[: host.size]

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        assert block == 1 and shared <= _shared.nbytes
        if kernel not in self._drivers:
            self._drivers[kernel] = _driver(getattr(self._module, kernel), len(arguments))
        passed = [np.int32(value) if isinstance(value, int) else value for value in arguments]
        self._drivers[kernel](_block, *grid, *passed)

    def wait(self) -> None:
        pass
