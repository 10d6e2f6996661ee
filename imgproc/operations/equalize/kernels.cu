/* Histogram equalization, gray and of the luma of a colour image. */

/* Copies of the histogram in a block: with one for every lane of a warp, lanes never wait for each other. */
#ifndef COPIES
#define COPIES 32
#endif

/* The counter of byte i of a word, in the copy of this thread. */
INLINE word *counter(word *memory, word bytes, int i)
{
    return &memory[(bytes >> 8 * i & 255) * COPIES + threadIdx.x % COPIES];
}

INLINE void count_bytes(word *memory, word bytes)
{
    for (int i = 0; i < 4; i++)
        atomicAdd(counter(memory, bytes, i), 1u);
}

/* Take back the last `spare` bytes of a word. */
INLINE void uncount_bytes(word *memory, word bytes, int spare)
{
    for (int i = 4 - spare; i < 4; i++)
        atomicSub(counter(memory, bytes, i), 1u);
}

INLINE void clear_histogram(word *memory)
{
    for (int i = threadIdx.x; i < 256 * COPIES; i += blockDim.x)
        memory[i] = 0;
    __syncthreads();
}

/* What a level becomes that has so many pixels between the lowest and itself. In cv2.equalizeHist's float32, each
   step rounded, and rounded half to even at last. */
INLINE byte new_level(word below, word others)
{
    float scale = __fdiv_rn(255.0f, __uint2float_rn(others));
    return (byte)__float2int_rn(__fmul_rn(__uint2float_rn(below), scale));
}

/* The table of new levels from the counts, which become 0 for the next image. */
INLINE void make_table(word *memory, word *counts, byte *table)
{
    int sums = 256, next = 512, lowest = 768;
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        word count = atomicExch(&counts[i], 0u);
        memory[i] = count;
        memory[sums + i] = count;
    }
    __syncthreads();
    for (int step = 1; step < 256; step *= 2) {
        for (int i = threadIdx.x; i < 256; i += blockDim.x) {
            word before = i >= step ? memory[sums + i - step] : 0;
            memory[next + i] = memory[sums + i] + before;
        }
        __syncthreads();
        int swapped = sums;
        sums = next;
        next = swapped;
    }
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        if (memory[i] != 0 && memory[i] == memory[sums + i])
            memory[lowest] = memory[i];
    __syncthreads();
    word first = memory[lowest], others = memory[sums + 255] - first;
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        word sum = memory[sums + i];
        /* Where there is one level only, it stays. */
        table[i] = others == 0 ? (byte)i : new_level(sum > first ? sum - first : 0, others);
    }
}

/* Add the block's copies to the counts of all; the block that comes last makes the table of them. */
INLINE void add_histogram(word *memory, word *counts, byte *table)
{
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        word sum = 0;
        for (int copy = 0; copy < COPIES; copy++)
            sum += memory[i * COPIES + (i + copy) % COPIES];
        if (sum != 0)
            atomicAdd(&counts[i], sum);
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        memory[0] = atomicAdd(&counts[256], 1u);
    __syncthreads();
    int is_last = memory[0] == gridDim.x - 1;
    __syncthreads();
    if (is_last) {
        make_table(memory, counts, table);
        if (threadIdx.x == 0)
            counts[256] = 0;
    }
}

/* The table that equalizes a gray image. `counts` are 257 zeros, and are again at the end. Everything is counted, and
   then the `spare` pixels at the end of each row taken back. */
extern "C" __global__ void histogram(const word *__restrict__ image, word *counts, byte *table, int words, int stride,
                                     int spare)
{
    int step = gridDim.x * blockDim.x, thread = blockIdx.x * blockDim.x + threadIdx.x;
    int at = thread;
    clear_histogram(memory);
    /* Four words are on their way at once, as the way is long. */
    for (; at + 3 * step < words; at += 4 * step) {
        word first = image[at], second = image[at + step];
        word third = image[at + 2 * step], fourth = image[at + 3 * step];
        count_bytes(memory, first);
        count_bytes(memory, second);
        count_bytes(memory, third);
        count_bytes(memory, fourth);
    }
    for (; at < words; at += step)
        count_bytes(memory, image[at]);
    if (spare > 0)
        for (int row = thread; row < words / stride; row += step)
            uncount_bytes(memory, image[(row + 1) * stride - 1], spare);
    add_histogram(memory, counts, table);
}

INLINE word looked_up(const byte *levels, word bytes)
{
    return (word)levels[bytes & 255] | (word)levels[bytes >> 8 & 255] << 8 | (word)levels[bytes >> 16 & 255] << 16 |
           (word)levels[bytes >> 24] << 24;
}

INLINE void load_table(byte *levels, const byte *table)
{
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        levels[i] = table[i];
    __syncthreads();
}

/* Every byte through the table. */
extern "C" __global__ void look_up(const word *__restrict__ image, const byte *__restrict__ table, word *result,
                                   int words)
{
    byte *levels = (byte *)memory;
    int step = gridDim.x * blockDim.x, at = blockIdx.x * blockDim.x + threadIdx.x;
    load_table(levels, table);
    for (; at + 3 * step < words; at += 4 * step) {
        word first = image[at], second = image[at + step];
        word third = image[at + 2 * step], fourth = image[at + 3 * step];
        result[at] = looked_up(levels, first);
        result[at + step] = looked_up(levels, second);
        result[at + 2 * step] = looked_up(levels, third);
        result[at + 3 * step] = looked_up(levels, fourth);
    }
    for (; at < words; at += step)
        result[at] = looked_up(levels, image[at]);
}

/* ---------------------------------------------------------------------------------- equalization in colour */

/* A sum in units of 1/16384, rounded half up, as cv2.cvtColor does. */
INLINE int unit(int sum)
{
    return (sum + 8192) >> 14;
}

INLINE int clipped(int value)
{
    return min(max(value, 0), 255);
}

INLINE int luma(int blue, int green, int red)
{
    return unit(1868 * blue + 9617 * green + 4899 * red);
}

/* The pixel (blue, green, red from the lowest byte on) with its luma through the table: to YCrCb, where the chroma
   is rounded to bytes, and back. */
INLINE word relit(const byte *levels, word pixel)
{
    int blue = pixel & 255, green = pixel >> 8 & 255, red = pixel >> 16 & 255;
    int before = luma(blue, green, red);
    int red_chroma = clipped(unit(11682 * (red - before)) + 128) - 128;
    int blue_chroma = clipped(unit(9241 * (blue - before)) + 128) - 128;
    int after = levels[before];
    blue = clipped(after + unit(29049 * blue_chroma));
    green = clipped(after + unit(-5636 * blue_chroma - 11698 * red_chroma));
    red = clipped(after + unit(22987 * red_chroma));
    return (word)(blue | green << 8 | red << 16);
}

INLINE word luma_of(word pixel)
{
    return (word)luma(pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255);
}

/* The lumas of the four pixels that begin at word `at`. */
INLINE word four_lumas(const word *image, int at)
{
    word first = image[at], second = image[at + 1], third = image[at + 2];
    return luma_of(first) | luma_of(first >> 24 | second << 8) << 8 | luma_of(second >> 16 | third << 16) << 16 |
           luma_of(third >> 8) << 24;
}

/* The table that equalizes the luma of a colour image, which has three words to a group, `stride` of them in a row. */
extern "C" __global__ void luma_histogram(const word *__restrict__ image, word *counts, byte *table, int words,
                                          int stride, int spare)
{
    int step = gridDim.x * blockDim.x, thread = blockIdx.x * blockDim.x + threadIdx.x;
    clear_histogram(memory);
    for (int at = 3 * thread; at < words; at += 3 * step)
        count_bytes(memory, four_lumas(image, at));
    if (spare > 0)
        for (int row = thread; row < words / stride; row += step)
            uncount_bytes(memory, four_lumas(image, (row + 1) * stride - 3), spare);
    add_histogram(memory, counts, table);
}

/* The luma of every pixel through the table. The words pass through shared memory, so that neighbouring threads read
   and write neighbouring ones. */
extern "C" __global__ void luma_look_up(const word *__restrict__ image, const byte *__restrict__ table, word *result,
                                        int words)
{
    byte *levels = (byte *)memory;
    int size = 3 * blockDim.x, row = blockDim.x, held = 64;
    int group = held + 3 * threadIdx.x;
    load_table(levels, table);
    for (int start = blockIdx.x * size; start < words; start += gridDim.x * size) {
        for (int i = threadIdx.x; i < size; i += row)
            if (start + i < words)
                memory[held + i] = image[start + i];
        __syncthreads();
        if (start + 3 * threadIdx.x < words) {
            word first = memory[group], second = memory[group + 1], third = memory[group + 2];
            word one = relit(levels, first), two = relit(levels, first >> 24 | second << 8);
            word three = relit(levels, second >> 16 | third << 16), four = relit(levels, third >> 8);
            memory[group] = one | two << 24;
            memory[group + 1] = two >> 8 | three << 16;
            memory[group + 2] = three >> 16 | four << 8;
        }
        __syncthreads();
        for (int i = threadIdx.x; i < size; i += row)
            if (start + i < words)
                result[start + i] = memory[held + i];
    }
}
