"""Gaussian blur for Numba: the functions of ``kernels.cu`` in its order; there they are explained.

See ``imgproc.operations.cuda.numba_common`` for what is peculiar to Numba.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from numba import cuda, types

from imgproc.operations.cuda.device import Sizes
from imgproc.operations.cuda.numba_common import device, divided, dot4, high_dot2, low_dot2, place, stage, uint32

BLUR_WORDS = Sizes().blur_words
NARROW_WORDS = Sizes().narrow_words


@device
def blur_across(
    memory, sums, image, width, height, channels, stride, left, top, weights, words, count, staged, wide
):  # fmt: skip
    columns = wide + words - 1
    for first in range(0, count, staged):
        some = staged if staged < count - first else count - first
        stage(
            memory, image, width, height, channels, stride, left - words // 2, top + 2 * first, columns, 2 * some, 1, 0,
            cuda.threadIdx.x, cuda.blockDim.x,
        )  # fmt: skip
        cuda.syncthreads()
        for i in range(cuda.threadIdx.x, some * wide, cuda.blockDim.x):
            pair = divided(i, wide)
            column = i - pair * wide
            upper = 2 * pair * columns + column
            lower = upper + columns
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = uint32(0)
            for j in range(words):
                a, b = memory[place(upper + j)], memory[place(lower + j)]
                w0, w1 = weights[place(4 * j)], weights[place(4 * j + 1)]
                w2, w3 = weights[place(4 * j + 2)], weights[place(4 * j + 3)]
                a0 = dot4(a, w0, a0)
                a1 = dot4(a, w1, a1)
                a2 = dot4(a, w2, a2)
                a3 = dot4(a, w3, a3)
                b0 = dot4(b, w0, b0)
                b1 = dot4(b, w1, b1)
                b2 = dot4(b, w2, b2)
                b3 = dot4(b, w3, b3)
            at = sums + 4 * (first + pair) * wide + column
            memory[place(at)] = a0 | b0 << 16
            memory[place(at + wide)] = a1 | b1 << 16
            memory[place(at + 2 * wide)] = a2 | b2 << 16
            memory[place(at + 3 * wide)] = a3 | b3 << 16
        cuda.syncthreads()


@device
def third_bytes(s0, s1, s2, s3):
    return s0 >> 16 | (s1 >> 8 & 0xFF00) | (s2 & 0xFF0000) | (s3 << 8 & 0xFF000000)


@device
def blur_down(memory, sums, result, height, stride, left, top, weights, pairs, rows, wide):
    for i in range(cuda.threadIdx.x, rows // 4 * wide, cuda.blockDim.x):
        pair = 2 * divided(i, wide)
        column = i - pair // 2 * wide
        x, y, at = left + column, top + 2 * pair, sums + 4 * pair * wide + column
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = uint32(32768)
        c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = uint32(32768)
        for j in range(pairs + 1):
            s0, s1 = memory[place(at)], memory[place(at + wide)]
            s2, s3 = memory[place(at + 2 * wide)], memory[place(at + 3 * wide)]
            if j < pairs:
                weight = weights[place(j)]
                a0 = low_dot2(s0, weight, a0)
                a1 = low_dot2(s1, weight, a1)
                a2 = low_dot2(s2, weight, a2)
                a3 = low_dot2(s3, weight, a3)
                b0 = high_dot2(s0, weight, b0)
                b1 = high_dot2(s1, weight, b1)
                b2 = high_dot2(s2, weight, b2)
                b3 = high_dot2(s3, weight, b3)
            if j > 0:
                weight = weights[place(j - 1)]
                c0 = low_dot2(s0, weight, c0)
                c1 = low_dot2(s1, weight, c1)
                c2 = low_dot2(s2, weight, c2)
                c3 = low_dot2(s3, weight, c3)
                d0 = high_dot2(s0, weight, d0)
                d1 = high_dot2(s1, weight, d1)
                d2 = high_dot2(s2, weight, d2)
                d3 = high_dot2(s3, weight, d3)
            at += 4 * wide
        if x < stride:
            to = y * stride + x
            if y < height:
                result[place(to)] = third_bytes(a0, a1, a2, a3)
            if y + 1 < height:
                result[place(to + stride)] = third_bytes(b0, b1, b2, b3)
            if y + 2 < height:
                result[place(to + 2 * stride)] = third_bytes(c0, c1, c2, c3)
            if y + 3 < height:
                result[place(to + 3 * stride)] = third_bytes(d0, d1, d2, d3)


@cuda.jit
def blur(image, result, width, height, channels, stride, weights, words, pairs, wide, rows, staged):
    memory = cuda.shared.array(0, types.uint32)
    left, top = cuda.blockIdx.x * wide, cuda.blockIdx.y * rows
    above = top - (pairs - 1)
    sums, count = 2 * staged * (wide + words - 1), rows // 2 + pairs - 1
    down = weights[4 * words :]
    if wide != BLUR_WORDS:
        blur_across(
            memory, sums, image, width, height, channels, stride, left, above, weights, words, count, staged,
            NARROW_WORDS,
        )  # fmt: skip
    elif words == 3:
        blur_across(
            memory, sums, image, width, height, channels, stride, left, above, weights, 3, count, staged, BLUR_WORDS
        )
    elif words == 5:
        blur_across(
            memory, sums, image, width, height, channels, stride, left, above, weights, 5, count, staged, BLUR_WORDS
        )
    else:
        blur_across(
            memory, sums, image, width, height, channels, stride, left, above, weights, words, count, staged, BLUR_WORDS
        )
    if wide != BLUR_WORDS:
        blur_down(memory, sums, result, height, stride, left, top, down, pairs, rows, NARROW_WORDS)
    elif pairs == 3:
        blur_down(memory, sums, result, height, stride, left, top, down, 3, rows, BLUR_WORDS)
    elif pairs == 5:
        blur_down(memory, sums, result, height, stride, left, top, down, 5, rows, BLUR_WORDS)
    else:
        blur_down(memory, sums, result, height, stride, left, top, down, pairs, rows, BLUR_WORDS)
