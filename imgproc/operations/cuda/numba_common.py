"""The kernels of ``common.cu`` for Numba, function by function in its order; there they are explained.

Words are taken as ``int64`` before they are reckoned with: that holds all their bits without a sign, in the compiled
kernels and in Numba's simulator alike. Sums have the type of the instruction that adds to them. There is no ``min``
and ``max``, which Numba itself (0.68, without the package numba-cuda) fails to compile for a GPU.

The simulator lends ``cuda`` to the file of the kernel only, so nothing here uses it: ``stage`` is told which thread it
is of how many, which the one in C is not.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from imgproc.operations.cuda import numba_instructions as instructions

device = instructions.device
int32, int64, uint32 = instructions.int32, instructions.int64, instructions.uint32
place, divided = instructions.place, instructions.divided


# ------------------------------------------------------------------------------------------------- sums of products


dot4, signed_dot4 = instructions.dp4a_unsigned, instructions.dp4a_signed
low_dot2, high_dot2 = instructions.dp2a_low_unsigned, instructions.dp2a_high_unsigned
signed_low_dot2, signed_high_dot2 = instructions.dp2a_low_signed, instructions.dp2a_high_signed


@device
def two_halves(low, high):
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


@device
def low_half(halves):
    half = int64(halves) & 0xFFFF
    return half - ((half & 0x8000) << 1)


@device
def high_half(halves):
    half = int64(halves) >> 16
    return half - ((half & 0x8000) << 1)


# -------------------------------------------------------------------------------------------- a tile and its border


@device
def bordered(at, size, mirror):
    if mirror != 0 and size > 1:
        while at < 0 or at >= size:
            at = -at if at < 0 else 2 * (size - 1) - at
        return at
    return 0 if at < 0 else size - 1 if at >= size else at


@device
def border_word(image, row, at, width, channels, mirror):
    bytes = int64(0)
    for i in range(4):
        position = 4 * at + i
        pixel = position // channels  # rounded down
        found = bordered(pixel, width, mirror) * channels + position - pixel * channels
        bytes |= (int64(image[row + found // 4]) >> 8 * (found % 4) & 255) << 8 * i
    return bytes


@device
def stage(memory, image, width, height, channels, stride, left, top, columns, rows, mirror, flip, thread, threads):
    whole, count = width * channels // 4, columns * rows
    if left >= 0 and left + columns <= whole and top >= 0 and top + rows <= height:
        inner = top * stride + left
        for i in range(thread, count, threads):
            memory[place(i)] = int64(image[place(inner + i + divided(i, columns) * (stride - columns))]) ^ flip
        return
    for i in range(thread, count, threads):
        y = divided(i, columns)
        at = left + i - y * columns
        row = bordered(top + y, height, mirror) * stride
        if at >= 0 and at < whole:
            memory[i] = int64(image[row + at]) ^ flip
        else:
            memory[i] = border_word(image, row, at, width, channels, mirror) ^ flip
