"""Canny edges for Numba: the functions of ``kernels.cu`` in its order; there they are explained.

See ``imgproc.operations.cuda.numba_common`` for what is peculiar to Numba.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from numba import cuda, types

from imgproc.operations.cuda.device import Sizes
from imgproc.operations.cuda.numba_common import (
    device,
    divided,
    high_half,
    int32,
    int64,
    low_half,
    place,
    signed_dot4,
    signed_high_dot2,
    signed_low_dot2,
    stage,
    two_halves,
    uint32,
)

EDGE_PIXELS = Sizes().edge_pixels


@device
def edges_across(memory, smooth, slope, weights, columns, words, count):
    wide = columns + words - 1
    for i in range(cuda.threadIdx.x, count * columns, cuda.blockDim.x):
        pair = divided(i, columns)
        column = i - pair * columns
        upper = 2 * pair * wide + column
        lower = upper + wide
        for phase in range(4):
            a = b = c = d = int32(0)
            for j in range(words):
                above, below = memory[place(upper + j)], memory[place(lower + j)]
                weight, other = weights[place(4 * j + phase)], weights[place(4 * (words + j) + phase)]
                a = signed_dot4(above, weight, a)
                b = signed_dot4(below, weight, b)
                c = signed_dot4(above, other, c)
                d = signed_dot4(below, other, d)
            at = (4 * pair + phase) * columns + column
            memory[place(smooth + at)] = two_halves(a, b)
            memory[place(slope + at)] = two_halves(c, d)
    cuda.syncthreads()


@device
def gradient(dx, dy, sixteenths):
    if sixteenths != 0:
        return two_halves((dx + 7 + (dx >> 4 & 1)) >> 4, (dy + 7 + (dy >> 4 & 1)) >> 4)
    return two_halves(dx, dy)


@device
def edges_down(memory, smooth, slope, gradients, weights, columns, pairs, count, sixteenths):
    for i in range(cuda.threadIdx.x, count * columns, cuda.blockDim.x):
        pair = divided(i, columns)
        column = i - pair * columns
        for phase in range(4):
            ax = ay = bx = by = int32(0)
            at = (4 * pair + phase) * columns + column
            for j in range(pairs):
                level, change = memory[place(smooth + at)], memory[place(slope + at)]
                weight, other = weights[place(j)], weights[place(pairs + j)]
                ax = signed_low_dot2(change, weight, ax)
                ay = signed_low_dot2(level, other, ay)
                bx = signed_high_dot2(change, weight, bx)
                by = signed_high_dot2(level, other, by)
                at += 4 * columns
            to = gradients + 8 * pair * columns + 4 * column + phase
            memory[place(to)] = gradient(ax, ay, sixteenths)
            memory[place(to + 4 * columns)] = gradient(bx, by, sixteenths)
    cuda.syncthreads()


@device
def length(gradient, squared):
    dx, dy = low_half(gradient), high_half(gradient)
    if squared != 0:
        return dx * dx + dy * dy
    return abs(dx) + abs(dy)


@device
def strongest(memory, at, channels, squared):
    best = memory[place(at)]
    for channel in range(1, channels):
        other = memory[place(at + channel)]
        if length(other, squared) > length(best, squared):
            best = other
    return best


@device
def length_at(memory, at, x, y, width, height, channels, squared):
    if x < 0 or x >= width or y < 0 or y >= height:
        return int64(0)
    return length(strongest(memory, at, channels, squared), squared)


@device
def verdict(memory, at, pitch, x, y, width, height, channels, squared, low, high):
    here = strongest(memory, at, channels, squared)
    longest = length(here, squared)
    if longest <= low:
        return 0
    dx, dy = low_half(here), high_half(here)
    flat, steep = abs(dx) * 13573, abs(dy) << 15
    right, down = 1, 1
    if steep < flat:
        down = 0
    elif steep > flat + (abs(dx) << 16):
        right = 0
    elif (dx ^ dy) < 0:
        right = -1
    way = down * pitch + right * channels
    before = length_at(memory, at - way, x - right, y - down, width, height, channels, squared)
    after = length_at(memory, at + way, x + right, y + down, width, height, channels, squared)
    if longest <= before or longest < after or (longest == after and right != 0 and down != 0):
        return 0
    return 2 if longest > high else 1


@device
def edges_thin(memory, gradients, bits, width, height, channels, left, top, rows, squared, low, high):
    pitch, across = EDGE_PIXELS * channels + 8, EDGE_PIXELS // 32
    for i in range(cuda.threadIdx.x, rows * EDGE_PIXELS, cuda.blockDim.x):
        row = divided(i, EDGE_PIXELS)
        pixel = i - row * EDGE_PIXELS
        x, y, at = left + pixel, top + row, gradients + (row + 1) * pitch + 4 + pixel * channels
        if x < width and y < height:
            found = verdict(memory, at, pitch, x, y, width, height, channels, squared, low, high)
            place = bits + row * across + pixel // 32
            if found > 0:
                cuda.atomic.or_(memory, place, 1 << pixel % 32)
            if found > 1:
                cuda.atomic.or_(memory, place + rows * across, 1 << pixel % 32)
    cuda.syncthreads()


# ---------------------------------------------------------------------------------------- which edges hang together


@device
def run_number(at, start):
    return 1 + 16 * at + start // 2


@device
def run_start(bits, bit):
    return 32 - int64(cuda.clz(uint32(~bits & ((1 << bit) - 1))))


@device
def run_from(bits, bit):
    return bits & ~(bits + (1 << bit))


@device
def lowest_bit(bits):
    return int64(cuda.ffs(uint32(bits))) - 1


@device
def edges_store(memory, bits, candidates, parents, width, height, left, top, rows):
    across, line = EDGE_PIXELS // 32, (width + 31) // 32
    for i in range(cuda.threadIdx.x, rows * across, cuda.blockDim.x):
        y, column = top + i // across, left // 32 + i % across
        if y < height and column < line:
            at = y * line + column
            rest, strong = int64(memory[bits + i]), int64(memory[bits + rows * across + i])
            candidates[at] = rest
            while rest != 0:
                start = lowest_bit(rest)
                number, run = run_number(at, start), run_from(rest, start)
                parents[number] = 0 if (run & strong) != 0 else number
                rest &= ~run
    if cuda.blockIdx.x == 0 and cuda.blockIdx.y == 0 and cuda.threadIdx.x == 0:
        parents[0] = 0


@device
def edges_of_tile(
    memory, image, smooth, slope, gradients, bits, width, height, channels, stride, weights, words, pairs, left,
    top, rows, squared, sixteenths, low, high,
):  # fmt: skip
    columns, count = EDGE_PIXELS * channels // 4 + 2, rows // 2 + pairs
    stage(
        memory, image, width, height, channels, stride, left * channels // 4 - 1 - words // 2, top - pairs,
        columns + words - 1, 2 * count, 0, 0x80808080, cuda.threadIdx.x, cuda.blockDim.x,
    )  # fmt: skip
    cuda.syncthreads()
    edges_across(memory, smooth, slope, weights, columns, words, count)
    edges_down(memory, smooth, slope, gradients, weights[8 * words :], columns, pairs, rows // 2 + 1, sixteenths)
    edges_thin(memory, gradients, bits, width, height, channels, left, top, rows, squared, low, high)


@cuda.jit
def edges(
    image, candidates, parents, width, height, channels, stride, weights, words, pairs, rows, squared, sixteenths,
    low, high,
):  # fmt: skip
    memory = cuda.shared.array(0, types.uint32)
    left, top, count = cuda.blockIdx.x * EDGE_PIXELS, cuda.blockIdx.y * rows, rows // 2 + pairs
    columns = EDGE_PIXELS * channels // 4 + 2
    smooth = 2 * count * (columns + words - 1)
    slope = smooth + 4 * count * columns
    gradients = slope + 4 * count * columns
    bits = gradients + 4 * (rows + 2) * columns
    for i in range(cuda.threadIdx.x, rows * (EDGE_PIXELS // 16), cuda.blockDim.x):
        memory[bits + i] = 0
    if channels == 1 and pairs == 3:
        edges_of_tile(
            memory, image, smooth, slope, gradients, bits, width, height, 1, stride, weights, 3, 3, left,
            top, rows, squared, 0, low, high,
        )  # fmt: skip
    elif channels == 1:
        edges_of_tile(
            memory, image, smooth, slope, gradients, bits, width, height, 1, stride, weights, 3, 5, left,
            top, rows, squared, 1, low, high,
        )  # fmt: skip
    else:
        edges_of_tile(
            memory, image, smooth, slope, gradients, bits, width, height, 3, stride, weights, words, pairs, left,
            top, rows, squared, sixteenths, low, high,
        )  # fmt: skip
    edges_store(memory, bits, candidates, parents, width, height, left, top, rows)


@device
def root(parents, number):
    parent = parents[number]
    while parent != number:
        next = parents[parent]
        if next != parent:
            parents[number] = next
        number = parent
        parent = next
    return number


@device
def unite(parents, one, other):
    one, other = root(parents, one), root(parents, other)
    while one != other:
        later, earlier = (one, other) if one > other else (other, one)
        found = cuda.atomic.cas(parents, later, later, earlier)
        if found == later:
            return
        one, other = root(parents, found), root(parents, earlier)


@cuda.jit
def join(candidates, parents, width, height):
    line, at = (width + 31) // 32, cuda.grid(1)
    if at >= line * height:
        return
    rest = int64(candidates[at])
    if rest == 0:
        return
    y = at // line
    x = at - y * line
    before = int64(candidates[at - 1]) if x > 0 else int64(0)
    above = int64(candidates[at - line]) if y > 0 else int64(0)
    above_before = int64(candidates[at - line - 1]) if x > 0 and y > 0 else int64(0)
    above_after = int64(candidates[at - line + 1]) if x + 1 < line and y > 0 else int64(0)
    while rest != 0:
        start = lowest_bit(rest)
        number, run = run_number(at, start), run_from(rest, start)
        rest &= ~run
        touched = (run << 1 | run | run >> 1) & above
        while touched != 0:
            first = run_start(above, lowest_bit(touched))
            unite(parents, number, run_number(at - line, first))
            touched &= ~run_from(above, first)
        if run & 1 != 0 and before >> 31 != 0:
            unite(parents, number, run_number(at - 1, run_start(before, 31)))
        if run & 1 != 0 and above_before >> 31 != 0:
            unite(parents, number, run_number(at - line - 1, run_start(above_before, 31)))
        if run >> 31 != 0 and above_after & 1 != 0:
            unite(parents, number, run_number(at - line + 1, 0))


@cuda.jit
def draw(candidates, parents, result, width, height, stride):
    at = cuda.grid(1)
    if at >= stride * height:
        return
    y = at // stride
    x = at - y * stride
    shift = 4 * (x % 8)
    source = y * ((width + 31) // 32) + x // 8
    bits, kept = int64(candidates[source]), int64(0)
    rest = bits & 15 << shift
    while rest != 0:
        start = run_start(bits, lowest_bit(rest))
        run = run_from(bits, start)
        if root(parents, run_number(source, start)) == 0:
            kept |= run
        rest &= ~run
    result[at] = ((kept >> shift & 15) * 0x00204081 & 0x01010101) * 255
