"""What ``numba_instructions`` has, in Python, for Numba's simulator (NUMBA_ENABLE_CUDASIM=1).

Numbers are Python's: those of numpy are slow, and warn where they wrap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

int32 = int64 = uint32 = place = int

_Part = Callable[[int, int, int], int]


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call."""
    return function


def _unsigned(word: int, shift: int, bits: int) -> int:
    return word >> shift & (1 << bits) - 1


def _signed(word: int, shift: int, bits: int) -> int:
    value = _unsigned(word, shift, bits)
    return value - (value >> bits - 1 << bits)


def _dp4a(part: _Part) -> Callable[[int, int, int], int]:
    def dp4a(values: int, weights: int, sum: int) -> int:
        values, weights = int(values), int(weights)
        for shift in (0, 8, 16, 24):
            sum += part(values, shift, 8) * part(weights, shift, 8)
        return sum

    return dp4a


def _dp2a(part: _Part, shift: int) -> Callable[[int, int, int], int]:
    def dp2a(values: int, weights: int, sum: int) -> int:
        values, weights = int(values), int(weights)
        low = part(values, 0, 16) * part(weights, shift, 8)
        return sum + low + part(values, 16, 16) * part(weights, shift + 8, 8)

    return dp2a


def divided(number: int, by: int) -> int:
    return number // by


dp4a_unsigned, dp4a_signed = _dp4a(_unsigned), _dp4a(_signed)
dp2a_low_unsigned, dp2a_high_unsigned = _dp2a(_unsigned, 0), _dp2a(_unsigned, 16)
dp2a_low_signed, dp2a_high_signed = _dp2a(_signed, 0), _dp2a(_signed, 16)


def uint2float_rn(value: int) -> np.float32:
    return np.float32(value)


def fdiv_rn(first: np.float32, second: np.float32) -> np.float32:
    return first / second


def fmul_rn(first: np.float32, second: np.float32) -> np.float32:
    return first * second


def float2int_rn(value: np.float32) -> int:
    return int(np.rint(value))
