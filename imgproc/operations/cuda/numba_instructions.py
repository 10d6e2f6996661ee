"""Single instructions of a GPU for Numba's kernels: some of them Numba has no name for.

The tests have the same for Numba's simulator.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import cuda, types
from numba.cuda import libdevice
from numba.cuda.extending import intrinsic

int32, int64, uint32 = types.int32, types.int64, types.uint32
# An index that Numba need not look at whether it is negative, which takes longer than what it is for.
place = types.uint64

# The option has one name in Numba itself and another in the package numba-cuda.
_INLINE = "forceinline" if "forceinline" in inspect.signature(cuda.jit).parameters else "inline"


def device(function: Callable[..., Any]) -> Any:
    """A function that kernels call; it becomes part of them, so that the compiler sees what is constant in a call."""
    return cuda.jit(device=True, **{_INLINE: True})(function)


def _instruction(name: str, number: Any) -> Any:
    """A device function that adds to a sum of this type the products of what is in two words."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        kind = ir.FunctionType(word, [word, word, word])
        return builder.call(ir.InlineAsm(kind, f"{name} $0, $1, $2, $3;", "=r,r,r,r"), arguments)

    def instruction(typingctx: Any, values: Any, weights: Any, sum: Any) -> Any:
        return number(uint32, uint32, number), generate

    return intrinsic(instruction)


def _divided(typingctx: Any, number: Any, by: Any) -> Any:
    """The quotient of two numbers of at most 32 bits, rounded down; Numba itself would divide in 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.udiv(*arguments), ir.IntType(64))

    return int64(uint32, uint32), generate


divided = intrinsic(_divided)
dp4a_unsigned = _instruction("dp4a.u32.u32", uint32)
dp4a_signed = _instruction("dp4a.s32.s32", int32)
dp2a_low_unsigned = _instruction("dp2a.lo.u32.u32", uint32)
dp2a_high_unsigned = _instruction("dp2a.hi.u32.u32", uint32)
dp2a_low_signed = _instruction("dp2a.lo.s32.s32", int32)
dp2a_high_signed = _instruction("dp2a.hi.s32.s32", int32)

# Each is rounded by itself: the compiler may not merge them.
uint2float_rn, fdiv_rn = libdevice.uint2float_rn, libdevice.fdiv_rn
fmul_rn, float2int_rn = libdevice.fmul_rn, libdevice.float2int_rn
