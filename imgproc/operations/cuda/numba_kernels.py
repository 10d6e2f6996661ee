"""The kernels of ``kernels.cu`` for Numba, function by function in its order; there they are explained.

Words are taken as ``int64`` before they are reckoned with: that holds all their bits without a sign, in the compiled
kernels and in Numba's simulator alike. Sums have the type of the instruction that adds to them. There is no ``min``
and ``max``, which Numba itself (0.68, without the package numba-cuda) fails to compile for a GPU.

All is in one file, as the simulator can only run what is in the file of the kernel.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from importlib import import_module
from typing import Any

from numba import config, cuda, types

from imgproc.operations.cuda.device import Sizes

SIMULATED = bool(config.ENABLE_CUDASIM)

instructions: Any = import_module(f"{__package__}.{'numba_simulated' if SIMULATED else 'numba_instructions'}")
device = instructions.device
int32, int64, uint32 = instructions.int32, instructions.int64, instructions.uint32
place, divided = instructions.place, instructions.divided

COPIES = Sizes().copies
BLUR_WORDS = Sizes().blur_words
EDGE_PIXELS = Sizes().edge_pixels


# ------------------------------------------------------------------------------------------------- sums of products


@device
def dot4(bytes, weights, sum):
    return instructions.dp4a_unsigned(bytes, weights, sum)


@device
def signed_dot4(bytes, weights, sum):
    return instructions.dp4a_signed(bytes, weights, sum)


@device
def low_dot2(halves, weights, sum):
    return instructions.dp2a_low_unsigned(halves, weights, sum)


@device
def high_dot2(halves, weights, sum):
    return instructions.dp2a_high_unsigned(halves, weights, sum)


@device
def signed_low_dot2(halves, weights, sum):
    return instructions.dp2a_low_signed(halves, weights, sum)


@device
def signed_high_dot2(halves, weights, sum):
    return instructions.dp2a_high_signed(halves, weights, sum)


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


# ----------------------------------------------------------------------------------------------------- equalization


@device
def counter(memory, bytes, i):
    return place((bytes >> 8 * i & 255) * COPIES + cuda.threadIdx.x % COPIES)


@device
def count_bytes(memory, bytes):
    for i in range(4):
        cuda.atomic.add(memory, counter(memory, bytes, i), 1)


@device
def uncount_bytes(memory, bytes, spare):
    for i in range(4 - spare, 4):
        cuda.atomic.sub(memory, counter(memory, bytes, i), 1)


@device
def clear_histogram(memory):
    for i in range(cuda.threadIdx.x, 256 * COPIES, cuda.blockDim.x):
        memory[i] = 0
    cuda.syncthreads()


@device
def new_level(below, others):
    scale = instructions.fdiv_rn(types.float32(255), instructions.uint2float_rn(others))
    return instructions.float2int_rn(instructions.fmul_rn(instructions.uint2float_rn(below), scale))


@device
def make_table(memory, counts, table):
    sums, next, lowest = 256, 512, 768
    for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
        count = cuda.atomic.exch(counts, i, 0)
        memory[i] = count
        memory[sums + i] = count
    cuda.syncthreads()
    step = 1
    while step < 256:
        for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
            before = int64(memory[sums + i - step]) if i >= step else int64(0)
            memory[next + i] = int64(memory[sums + i]) + before
        cuda.syncthreads()
        sums, next = next, sums
        step *= 2
    for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
        if memory[i] != 0 and memory[i] == memory[sums + i]:
            memory[lowest] = memory[i]
    cuda.syncthreads()
    first = int64(memory[lowest])
    others = int64(memory[sums + 255]) - first
    for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
        sum = int64(memory[sums + i])
        if others == 0:
            table[i] = i
        else:
            table[i] = new_level(uint32(sum - first if sum > first else 0), uint32(others))


@device
def add_histogram(memory, counts, table):
    cuda.syncthreads()
    for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
        sum = int64(0)
        for copy in range(COPIES):
            sum += int64(memory[i * COPIES + (i + copy) % COPIES])
        sum &= 0xFFFFFFFF
        if sum != 0:
            cuda.atomic.add(counts, i, sum)
    cuda.threadfence()
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        memory[0] = cuda.atomic.add(counts, 256, 1)
    cuda.syncthreads()
    is_last = memory[0] == cuda.gridDim.x - 1
    cuda.syncthreads()
    if is_last:
        make_table(memory, counts, table)
        if cuda.threadIdx.x == 0:
            counts[256] = 0


@cuda.jit
def histogram(image, counts, table, words, stride, spare):
    memory = cuda.shared.array(0, types.uint32)
    step, thread = cuda.gridsize(1), cuda.grid(1)
    at = thread
    clear_histogram(memory)
    while at + 3 * step < words:
        first, second = int64(image[place(at)]), int64(image[place(at + step)])
        third, fourth = int64(image[place(at + 2 * step)]), int64(image[place(at + 3 * step)])
        count_bytes(memory, first)
        count_bytes(memory, second)
        count_bytes(memory, third)
        count_bytes(memory, fourth)
        at += 4 * step
    while at < words:
        count_bytes(memory, int64(image[at]))
        at += step
    if spare > 0:
        for row in range(thread, words // stride, step):
            uncount_bytes(memory, int64(image[(row + 1) * stride - 1]), spare)
    add_histogram(memory, counts, table)


@device
def looked_up(levels, bytes):
    return (
        int64(levels[bytes & 255])
        | int64(levels[bytes >> 8 & 255]) << 8
        | int64(levels[bytes >> 16 & 255]) << 16
        | int64(levels[bytes >> 24]) << 24
    )


@device
def load_table(levels, table):
    for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
        levels[i] = table[i]
    cuda.syncthreads()


@cuda.jit
def look_up(image, table, result, words):
    levels = cuda.shared.array(0, types.uint8)
    step, at = cuda.gridsize(1), cuda.grid(1)
    load_table(levels, table)
    while at + 3 * step < words:
        first, second = int64(image[place(at)]), int64(image[place(at + step)])
        third, fourth = int64(image[place(at + 2 * step)]), int64(image[place(at + 3 * step)])
        result[place(at)] = looked_up(levels, first)
        result[place(at + step)] = looked_up(levels, second)
        result[place(at + 2 * step)] = looked_up(levels, third)
        result[place(at + 3 * step)] = looked_up(levels, fourth)
        at += 4 * step
    while at < words:
        result[at] = looked_up(levels, int64(image[at]))
        at += step


# ------------------------------------------------------------------------------------------- equalization in colour


@device
def unit(sum):
    return (sum + 8192) >> 14


@device
def clipped(value):
    return 0 if value < 0 else 255 if value > 255 else value


@device
def luma(blue, green, red):
    return unit(1868 * blue + 9617 * green + 4899 * red)


@device
def relit(levels, pixel):
    blue, green, red = pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255
    before = luma(blue, green, red)
    red_chroma = clipped(unit(11682 * (red - before)) + 128) - 128
    blue_chroma = clipped(unit(9241 * (blue - before)) + 128) - 128
    after = int64(levels[before])
    blue = clipped(after + unit(29049 * blue_chroma))
    green = clipped(after + unit(-5636 * blue_chroma - 11698 * red_chroma))
    red = clipped(after + unit(22987 * red_chroma))
    return blue | green << 8 | red << 16


@device
def luma_of(pixel):
    return luma(pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255)


@device
def four_lumas(image, at):
    first, second, third = int64(image[at]), int64(image[at + 1]), int64(image[at + 2])
    return (
        luma_of(first)
        | luma_of(first >> 24 | second << 8) << 8
        | luma_of(second >> 16 | third << 16) << 16
        | luma_of(third >> 8) << 24
    )


@cuda.jit
def luma_histogram(image, counts, table, words, stride, spare):
    memory = cuda.shared.array(0, types.uint32)
    step, thread = cuda.gridsize(1), cuda.grid(1)
    clear_histogram(memory)
    for at in range(3 * thread, words, 3 * step):
        count_bytes(memory, four_lumas(image, at))
    if spare > 0:
        for row in range(thread, words // stride, step):
            uncount_bytes(memory, four_lumas(image, (row + 1) * stride - 3), spare)
    add_histogram(memory, counts, table)


@cuda.jit
def luma_look_up(image, table, result, words):
    memory = cuda.shared.array(0, types.uint32)
    levels = cuda.shared.array(0, types.uint8)
    size, row, held = 3 * cuda.blockDim.x, cuda.blockDim.x, 64
    group = held + 3 * cuda.threadIdx.x
    load_table(levels, table)
    for start in range(cuda.blockIdx.x * size, words, cuda.gridDim.x * size):
        for i in range(cuda.threadIdx.x, size, row):
            if start + i < words:
                memory[held + i] = image[start + i]
        cuda.syncthreads()
        if start + 3 * cuda.threadIdx.x < words:
            first, second, third = int64(memory[group]), int64(memory[group + 1]), int64(memory[group + 2])
            one, two = relit(levels, first), relit(levels, first >> 24 | second << 8)
            three, four = relit(levels, second >> 16 | third << 16), relit(levels, third >> 8)
            memory[group] = (one | two << 24) & 0xFFFFFFFF
            memory[group + 1] = (two >> 8 | three << 16) & 0xFFFFFFFF
            memory[group + 2] = three >> 16 | four << 8
        cuda.syncthreads()
        for i in range(cuda.threadIdx.x, size, row):
            if start + i < words:
                result[start + i] = memory[held + i]


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
def stage(memory, image, width, height, channels, stride, left, top, columns, rows, mirror, flip):
    whole, count = width * channels // 4, columns * rows
    if left >= 0 and left + columns <= whole and top >= 0 and top + rows <= height:
        inner = top * stride + left
        for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            memory[place(i)] = int64(image[place(inner + i + divided(i, columns) * (stride - columns))]) ^ flip
        return
    for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        y = divided(i, columns)
        at = left + i - y * columns
        row = bordered(top + y, height, mirror) * stride
        if at >= 0 and at < whole:
            memory[i] = int64(image[row + at]) ^ flip
        else:
            memory[i] = border_word(image, row, at, width, channels, mirror) ^ flip


# ------------------------------------------------------------------------------------------------------------- blur


@device
def blur_across(
    memory, sums, image, width, height, channels, stride, left, top, weights, words, count, staged
):  # fmt: skip
    columns = BLUR_WORDS + words - 1
    for first in range(0, count, staged):
        some = staged if staged < count - first else count - first
        stage(
            memory, image, width, height, channels, stride, left - words // 2, top + 2 * first, columns, 2 * some, 1, 0
        )
        cuda.syncthreads()
        for i in range(cuda.threadIdx.x, some * BLUR_WORDS, cuda.blockDim.x):
            pair = divided(i, BLUR_WORDS)
            column = i - pair * BLUR_WORDS
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
            at = sums + 4 * (first + pair) * BLUR_WORDS + column
            memory[place(at)] = a0 | b0 << 16
            memory[place(at + BLUR_WORDS)] = a1 | b1 << 16
            memory[place(at + 2 * BLUR_WORDS)] = a2 | b2 << 16
            memory[place(at + 3 * BLUR_WORDS)] = a3 | b3 << 16
        cuda.syncthreads()


@device
def third_bytes(s0, s1, s2, s3):
    return s0 >> 16 | (s1 >> 8 & 0xFF00) | (s2 & 0xFF0000) | (s3 << 8 & 0xFF000000)


@device
def blur_down(memory, sums, result, height, stride, left, top, weights, pairs, rows):
    for i in range(cuda.threadIdx.x, rows // 4 * BLUR_WORDS, cuda.blockDim.x):
        pair = 2 * divided(i, BLUR_WORDS)
        column = i - pair // 2 * BLUR_WORDS
        x, y, at = left + column, top + 2 * pair, sums + 4 * pair * BLUR_WORDS + column
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = uint32(32768)
        c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = uint32(32768)
        for j in range(pairs + 1):
            s0, s1 = memory[place(at)], memory[place(at + BLUR_WORDS)]
            s2, s3 = memory[place(at + 2 * BLUR_WORDS)], memory[place(at + 3 * BLUR_WORDS)]
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
            at += 4 * BLUR_WORDS
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
def blur(image, result, width, height, channels, stride, weights, words, pairs, rows, staged):
    memory = cuda.shared.array(0, types.uint32)
    left, top = cuda.blockIdx.x * BLUR_WORDS, cuda.blockIdx.y * rows
    above = top - (pairs - 1)
    sums, count = 2 * staged * (BLUR_WORDS + words - 1), rows // 2 + pairs - 1
    down = weights[4 * words :]
    if words == 3:
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, 3, count, staged)
    elif words == 5:
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, 5, count, staged)
    else:
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, words, count, staged)
    if pairs == 3:
        blur_down(memory, sums, result, height, stride, left, top, down, 3, rows)
    elif pairs == 5:
        blur_down(memory, sums, result, height, stride, left, top, down, 5, rows)
    else:
        blur_down(memory, sums, result, height, stride, left, top, down, pairs, rows)


# ------------------------------------------------------------------------------------------------------------ edges


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
        columns + words - 1, 2 * count, 0, 0x80808080,
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
