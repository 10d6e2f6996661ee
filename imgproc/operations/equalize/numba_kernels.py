"""Histogram equalization for Numba: the functions of ``kernels.cu`` in its order; there they are explained.

See ``imgproc.operations.cuda.numba_common`` for what is peculiar to Numba.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from numba import cuda, types

from imgproc.operations.cuda import numba_instructions as instructions
from imgproc.operations.cuda.device import Sizes
from imgproc.operations.cuda.numba_common import device, int64, place, uint32

COPIES = Sizes().copies


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
