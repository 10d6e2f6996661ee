/* The three operations on a CUDA device, to the last bit as OpenCV computes them on the CPU.

   numba_kernels.py has the same functions under the same names; programs.py launches either.

   An image lies in words of four bytes, in rows of whole groups of four pixels: a gray group is one word, a colour
   group is three (BGR). `stride` is the words of a row. What fills up the last group of a row may be anything.

   Blocks have one dimension and any number of threads, and the result does not depend on it, nor on the order in
   which threads and blocks run. All shared memory is `memory`; programs.py says how much of it a launch needs. */

/* Copies of the histogram in a block: with one for every lane of a warp, lanes never wait for each other. */
#ifndef COPIES
#define COPIES 32
#endif
/* Width of the tile that a block blurs, in words. */
#ifndef BLUR_WORDS
#define BLUR_WORDS 32
#endif
/* Width of the tile in which a block looks for edges, in pixels; a multiple of 32. */
#ifndef EDGE_PIXELS
#define EDGE_PIXELS 64
#endif

#define INLINE static __device__ __forceinline__

typedef unsigned char byte;
typedef unsigned int word;

extern __shared__ word memory[];

/* ---------------------------------------------------------------------------------------- sums of products */

/* sum + the products of four bytes with four weights, all unsigned. */
INLINE word dot4(word bytes, word weights, word sum)
{
    return __dp4a(bytes, weights, sum);
}

/* The same, all signed. */
INLINE int signed_dot4(word bytes, word weights, int sum)
{
    return __dp4a((int)bytes, (int)weights, sum);
}

/* sum + the products of two 16-bit numbers with the two lower bytes of the weights, all unsigned. */
INLINE word low_dot2(word halves, word weights, word sum)
{
    return __dp2a_lo(halves, weights, sum);
}

/* The same with the two upper bytes. */
INLINE word high_dot2(word halves, word weights, word sum)
{
    return __dp2a_hi(halves, weights, sum);
}

INLINE int signed_low_dot2(word halves, word weights, int sum)
{
    return __dp2a_lo((int)halves, (int)weights, sum);
}

INLINE int signed_high_dot2(word halves, word weights, int sum)
{
    return __dp2a_hi((int)halves, (int)weights, sum);
}

INLINE word two_halves(int low, int high)
{
    return ((word)low & 0xffff) | (word)high << 16;
}

INLINE int low_half(word halves)
{
    return (short)(halves & 0xffff);
}

INLINE int high_half(word halves)
{
    return (short)(halves >> 16);
}

/* --------------------------------------------------------------------------------------------- equalization */

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

/* ----------------------------------------------------------------------------------- a tile and its border */

/* Where pixel `at` of a row or column of `size` is found: beyond the ends it is mirrored about the last pixel, as
   often as need be, or it is that pixel. */
INLINE int bordered(int at, int size, int mirror)
{
    if (mirror && size > 1) {
        while (at < 0 || at >= size)
            at = at < 0 ? -at : 2 * (size - 1) - at;
        return at;
    }
    return min(max(at, 0), size - 1);
}

/* Word `at` of a row that begins at word `row`; it is partly or wholly beyond the ends of the row. */
INLINE word border_word(const word *image, int row, int at, int width, int channels, int mirror)
{
    word bytes = 0;
    for (int i = 0; i < 4; i++) {
        int position = 4 * at + i;
        int pixel = (position - (position < 0 ? channels - 1 : 0)) / channels;
        int found = bordered(pixel, width, mirror) * channels + position - pixel * channels;
        bytes |= (image[row + found / 4] >> 8 * (found % 4) & 255) << 8 * i;
    }
    return bytes;
}

/* So many columns (words) and rows of the image, from (left, top) on, to the start of shared memory, all bits of
   `flip` changed. Most tiles are far from the border. */
INLINE void stage(word *memory, const word *image, int width, int height, int channels, int stride, int left, int top,
                  int columns, int rows, int mirror, word flip)
{
    int whole = width * channels / 4, count = columns * rows;
    if (left >= 0 && left + columns <= whole && top >= 0 && top + rows <= height) {
        const word *inner = image + top * stride + left;
#pragma unroll 4
        for (word i = threadIdx.x; i < count; i += blockDim.x)
            memory[i] = inner[i + i / columns * (stride - columns)] ^ flip;
        return;
    }
    for (word i = threadIdx.x; i < count; i += blockDim.x) {
        int y = i / columns, at = left + (int)i - y * columns;
        int row = bordered(top + y, height, mirror) * stride;
        word bytes =
            at >= 0 && at < whole ? image[row + at] : border_word(image, row, at, width, channels, mirror);
        memory[i] = bytes ^ flip;
    }
}

/* ---------------------------------------------------------------------------------------------------- blur */

/* Sums along the rows. A row of weights stands for one word of bytes: four words of weights, one for each of the four
   bytes that are summed for. The sums have 16 bits; those of two rows, one above the other, share a word. */
INLINE void blur_across(word *memory, int sums, const word *image, int width, int height, int channels, int stride,
                        int left, int top, const word *weights, int words, int count, int staged)
{
    int columns = BLUR_WORDS + words - 1;
    for (int first = 0; first < count; first += staged) {
        int some = min(staged, count - first);
        stage(memory, image, width, height, channels, stride, left - words / 2, top + 2 * first, columns, 2 * some, 1,
              0u);
        __syncthreads();
        for (word i = threadIdx.x; i < some * BLUR_WORDS; i += blockDim.x) {
            int pair = i / BLUR_WORDS, column = i % BLUR_WORDS;
            int upper = 2 * pair * columns + column, lower = upper + columns;
            word a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
            for (int j = 0; j < words; j++) {
                word a = memory[upper + j], b = memory[lower + j];
                word w0 = weights[4 * j], w1 = weights[4 * j + 1], w2 = weights[4 * j + 2], w3 = weights[4 * j + 3];
                a0 = dot4(a, w0, a0);
                a1 = dot4(a, w1, a1);
                a2 = dot4(a, w2, a2);
                a3 = dot4(a, w3, a3);
                b0 = dot4(b, w0, b0);
                b1 = dot4(b, w1, b1);
                b2 = dot4(b, w2, b2);
                b3 = dot4(b, w3, b3);
            }
            int at = sums + 4 * (first + pair) * BLUR_WORDS + column;
            memory[at] = a0 | b0 << 16;
            memory[at + BLUR_WORDS] = a1 | b1 << 16;
            memory[at + 2 * BLUR_WORDS] = a2 | b2 << 16;
            memory[at + 3 * BLUR_WORDS] = a3 | b3 << 16;
        }
        __syncthreads();
    }
}

/* The third bytes of four sums. */
INLINE word third_bytes(word s0, word s1, word s2, word s3)
{
    return __byte_perm(__byte_perm(s0, s1, 0x0062), __byte_perm(s2, s3, 0x6200), 0x7610);
}

/* Sums down the columns, rounded to bytes, of two pairs of rows at a time. A word of weights stands for a pair of
   rows: its two lower bytes are their weights for the upper row of the pair that is summed for, its two upper bytes
   for the lower. */
INLINE void blur_down(const word *memory, int sums, word *result, int height, int stride, int left, int top,
                      const word *weights, int pairs, int rows)
{
    for (word i = threadIdx.x; i < rows / 4 * BLUR_WORDS; i += blockDim.x) {
        int pair = 2 * (i / BLUR_WORDS), column = i % BLUR_WORDS;
        int x = left + column, y = top + 2 * pair, at = sums + 4 * pair * BLUR_WORDS + column;
        word a0 = 32768, a1 = 32768, a2 = 32768, a3 = 32768, b0 = 32768, b1 = 32768, b2 = 32768, b3 = 32768;
        word c0 = 32768, c1 = 32768, c2 = 32768, c3 = 32768, d0 = 32768, d1 = 32768, d2 = 32768, d3 = 32768;
        for (int j = 0; j <= pairs; j++) {
            word s0 = memory[at], s1 = memory[at + BLUR_WORDS];
            word s2 = memory[at + 2 * BLUR_WORDS], s3 = memory[at + 3 * BLUR_WORDS];
            if (j < pairs) {
                word weight = weights[j];
                a0 = low_dot2(s0, weight, a0);
                a1 = low_dot2(s1, weight, a1);
                a2 = low_dot2(s2, weight, a2);
                a3 = low_dot2(s3, weight, a3);
                b0 = high_dot2(s0, weight, b0);
                b1 = high_dot2(s1, weight, b1);
                b2 = high_dot2(s2, weight, b2);
                b3 = high_dot2(s3, weight, b3);
            }
            if (j > 0) {
                word weight = weights[j - 1];
                c0 = low_dot2(s0, weight, c0);
                c1 = low_dot2(s1, weight, c1);
                c2 = low_dot2(s2, weight, c2);
                c3 = low_dot2(s3, weight, c3);
                d0 = high_dot2(s0, weight, d0);
                d1 = high_dot2(s1, weight, d1);
                d2 = high_dot2(s2, weight, d2);
                d3 = high_dot2(s3, weight, d3);
            }
            at += 4 * BLUR_WORDS;
        }
        if (x < stride) {
            int to = y * stride + x;
            if (y < height)
                result[to] = third_bytes(a0, a1, a2, a3);
            if (y + 1 < height)
                result[to + stride] = third_bytes(b0, b1, b2, b3);
            if (y + 2 < height)
                result[to + 2 * stride] = third_bytes(c0, c1, c2, c3);
            if (y + 3 < height)
                result[to + 3 * stride] = third_bytes(d0, d1, d2, d3);
        }
    }
}

/* Gaussian blur of a tile of BLUR_WORDS words in `rows` rows (four times a number), `staged` pairs of rows at a
   time. The
   weights, 256ths in unsigned bytes, are for 4 * words words across, then for `pairs` words down. The counts of words
   and pairs that the usual kernels have are written out, so that the compiler unrolls their loops. */
extern "C" __global__ void blur(const word *__restrict__ image, word *__restrict__ result, int width, int height,
                                int channels, int stride, const word *__restrict__ weights, int words, int pairs,
                                int rows, int staged)
{
    int left = blockIdx.x * BLUR_WORDS, top = blockIdx.y * rows, above = top - (pairs - 1);
    int sums = 2 * staged * (BLUR_WORDS + words - 1), count = rows / 2 + pairs - 1;
    const word *down = weights + 4 * words;
    if (words == 3)
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, 3, count, staged);
    else if (words == 5)
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, 5, count, staged);
    else
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, words, count, staged);
    if (pairs == 3)
        blur_down(memory, sums, result, height, stride, left, top, down, 3, rows);
    else if (pairs == 5)
        blur_down(memory, sums, result, height, stride, left, top, down, 5, rows);
    else
        blur_down(memory, sums, result, height, stride, left, top, down, pairs, rows);
}

/* --------------------------------------------------------------------------------------------------- edges */

/* Sobel's two sums along the rows, smoothed and differentiated, packed as those of the blur. The bytes are taken less
   128 (which is to flip the highest bit), so that they are signed like the weights; as the weights of a derivative
   add up to 0, it makes no difference. */
INLINE void edges_across(word *memory, int smooth, int slope, const word *weights, int columns, int words, int count)
{
    int wide = columns + words - 1;
    for (word i = threadIdx.x; i < count * columns; i += blockDim.x) {
        int pair = i / columns, column = i - pair * columns;
        int upper = 2 * pair * wide + column, lower = upper + wide;
        for (int phase = 0; phase < 4; phase++) {
            int a = 0, b = 0, c = 0, d = 0;
            for (int j = 0; j < words; j++) {
                word above = memory[upper + j], below = memory[lower + j];
                word weight = weights[4 * j + phase], other = weights[4 * (words + j) + phase];
                a = signed_dot4(above, weight, a);
                b = signed_dot4(below, weight, b);
                c = signed_dot4(above, other, c);
                d = signed_dot4(below, other, d);
            }
            int at = (4 * pair + phase) * columns + column;
            memory[smooth + at] = two_halves(a, b);
            memory[slope + at] = two_halves(c, d);
        }
    }
    __syncthreads();
}

/* A gradient; that of aperture 7 in sixteenths, rounded half to even. */
INLINE word gradient(int dx, int dy, int sixteenths)
{
    if (sixteenths) {
        dx = (dx + 7 + (dx >> 4 & 1)) >> 4;
        dy = (dy + 7 + (dy >> 4 & 1)) >> 4;
    }
    return two_halves(dx, dy);
}

/* The gradients of every channel, (dx, dy) in the halves of a word, from the sums of both kinds. */
INLINE void edges_down(word *memory, int smooth, int slope, int gradients, const word *weights, int columns, int pairs,
                       int count, int sixteenths)
{
    for (word i = threadIdx.x; i < count * columns; i += blockDim.x) {
        int pair = i / columns, column = i - pair * columns;
        for (int phase = 0; phase < 4; phase++) {
            int ax = 0, ay = 0, bx = 0, by = 0, at = (4 * pair + phase) * columns + column;
            for (int j = 0; j < pairs; j++) {
                word level = memory[smooth + at], change = memory[slope + at];
                word weight = weights[j], other = weights[pairs + j];
                ax = signed_low_dot2(change, weight, ax);
                ay = signed_low_dot2(level, other, ay);
                bx = signed_high_dot2(change, weight, bx);
                by = signed_high_dot2(level, other, by);
                at += 4 * columns;
            }
            int to = gradients + 8 * pair * columns + 4 * column + phase;
            memory[to] = gradient(ax, ay, sixteenths);
            memory[to + 4 * columns] = gradient(bx, by, sixteenths);
        }
    }
    __syncthreads();
}

INLINE int length(word gradient, int squared)
{
    int dx = low_half(gradient), dy = high_half(gradient);
    return squared ? dx * dx + dy * dy : abs(dx) + abs(dy);
}

/* Of the gradients of a pixel's channels the longest, the first of equals. */
INLINE word strongest(const word *memory, int at, int channels, int squared)
{
    word best = memory[at];
    for (int channel = 1; channel < channels; channel++) {
        word other = memory[at + channel];
        if (length(other, squared) > length(best, squared))
            best = other;
    }
    return best;
}

/* The length of a gradient; 0 outside the image. */
INLINE int length_at(const word *memory, int at, int x, int y, int width, int height, int channels, int squared)
{
    if (x < 0 || x >= width || y < 0 || y >= height)
        return 0;
    return length(strongest(memory, at, channels, squared), squared);
}

/* 0 if the pixel is no edge, 1 if it is one should a strong one touch it, 2 if it is strong: its gradient is longer
   than `low`, and than its two neighbours' in the direction it points. Of equal ones on a row or column the first is
   taken, on a diagonal none. 13573 / 2^15 is the tangent of 22.5 degrees. */
INLINE int verdict(const word *memory, int at, int pitch, int x, int y, int width, int height, int channels,
                   int squared, int low, int high)
{
    word here = strongest(memory, at, channels, squared);
    int longest = length(here, squared);
    if (longest <= low)
        return 0;
    int dx = low_half(here), dy = high_half(here);
    int flat = abs(dx) * 13573, steep = abs(dy) << 15;
    int right = 1, down = 1;
    if (steep < flat)
        down = 0;
    else if (steep > flat + (abs(dx) << 16))
        right = 0;
    else if ((dx ^ dy) < 0)
        right = -1;
    int way = down * pitch + right * channels;
    int before = length_at(memory, at - way, x - right, y - down, width, height, channels, squared);
    int after = length_at(memory, at + way, x + right, y + down, width, height, channels, squared);
    if (longest <= before || longest < after || (longest == after && right != 0 && down != 0))
        return 0;
    return longest > high ? 2 : 1;
}

/* A bit for every edge of the tile, and one for every strong edge behind them. */
INLINE void edges_thin(word *memory, int gradients, int bits, int width, int height, int channels, int left, int top,
                       int rows, int squared, int low, int high)
{
    int pitch = EDGE_PIXELS * channels + 8, across = EDGE_PIXELS / 32;
    for (word i = threadIdx.x; i < rows * EDGE_PIXELS; i += blockDim.x) {
        int row = i / EDGE_PIXELS, pixel = i % EDGE_PIXELS;
        int x = left + pixel, y = top + row, at = gradients + (row + 1) * pitch + 4 + pixel * channels;
        if (x < width && y < height) {
            int found = verdict(memory, at, pitch, x, y, width, height, channels, squared, low, high);
            int place = bits + row * across + pixel / 32;
            if (found > 0)
                atomicOr(&memory[place], 1u << pixel % 32);
            if (found > 1)
                atomicOr(&memory[place + rows * across], 1u << pixel % 32);
        }
    }
    __syncthreads();
}

/* ------------------------------------------------------------------------------- which edges hang together */

/* Edges that touch, also at a corner, belong together, and stay if one of them is strong. They are found as runs of
   ones within a word of 32 pixels. `parents` makes trees of runs: the parent of a run is one before it that it
   belongs with, or itself if none is known. A run is numbered by the word it is in and the place it starts at, of
   which two never share an even number and the odd one after it. Number 0 is what all strong edges belong to. */
INLINE int run_number(int at, int start)
{
    return 1 + 16 * at + start / 2;
}

/* Where the run begins that has this bit. */
INLINE int run_start(word bits, int bit)
{
    return 32 - __clz(~bits & ((1u << bit) - 1));
}

/* The ones from this bit on up to the next zero. */
INLINE word run_from(word bits, int bit)
{
    return bits & ~(bits + (1u << bit));
}

INLINE int lowest_bit(word bits)
{
    return __ffs((int)bits) - 1;
}

/* The bits and the first parents of the tile to where all threads see them. */
INLINE void edges_store(const word *memory, int bits, word *candidates, int *parents, int width, int height, int left,
                        int top, int rows)
{
    int across = EDGE_PIXELS / 32, line = (width + 31) / 32;
    for (int i = threadIdx.x; i < rows * across; i += blockDim.x) {
        int y = top + i / across, column = left / 32 + i % across;
        if (y < height && column < line) {
            int at = y * line + column;
            word rest = memory[bits + i], strong = memory[bits + rows * across + i];
            candidates[at] = rest;
            while (rest != 0) {
                int start = lowest_bit(rest), number = run_number(at, start);
                word run = run_from(rest, start);
                parents[number] = (run & strong) != 0 ? 0 : number;
                rest &= ~run;
            }
        }
    }
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0)
        parents[0] = 0;
}

INLINE void edges_of_tile(word *memory, const word *image, int smooth, int slope, int gradients, int bits, int width,
                          int height, int channels, int stride, const word *weights, int words, int pairs, int left,
                          int top, int rows, int squared, int sixteenths, int low, int high)
{
    int columns = EDGE_PIXELS * channels / 4 + 2, count = rows / 2 + pairs;
    stage(memory, image, width, height, channels, stride, left * channels / 4 - 1 - words / 2, top - pairs,
          columns + words - 1, 2 * count, 0, 0x80808080u);
    __syncthreads();
    edges_across(memory, smooth, slope, weights, columns, words, count);
    edges_down(memory, smooth, slope, gradients, weights + 8 * words, columns, pairs, rows / 2 + 1, sixteenths);
    edges_thin(memory, gradients, bits, width, height, channels, left, top, rows, squared, low, high);
}

/* Which pixels of a tile of EDGE_PIXELS in `rows` rows (an even number) may be edges, 32 in a word of `candidates`.
   The weights, signed bytes, are for 4 * words words across to smooth, as many to differentiate, then for `pairs`
   words down to smooth and to differentiate. The counts that gray images have are written out for the compiler. */
extern "C" __global__ void edges(const word *__restrict__ image, word *candidates, int *parents, int width, int height,
                                 int channels, int stride, const word *__restrict__ weights, int words, int pairs,
                                 int rows, int squared, int sixteenths, int low, int high)
{
    int left = blockIdx.x * EDGE_PIXELS, top = blockIdx.y * rows, count = rows / 2 + pairs;
    int columns = EDGE_PIXELS * channels / 4 + 2, smooth = 2 * count * (columns + words - 1);
    int slope = smooth + 4 * count * columns, gradients = slope + 4 * count * columns;
    int bits = gradients + 4 * (rows + 2) * columns;
    for (int i = threadIdx.x; i < rows * (EDGE_PIXELS / 16); i += blockDim.x)
        memory[bits + i] = 0;
    if (channels == 1 && pairs == 3)
        edges_of_tile(memory, image, smooth, slope, gradients, bits, width, height, 1, stride, weights, 3, 3, left,
                      top, rows, squared, 0, low, high);
    else if (channels == 1)
        edges_of_tile(memory, image, smooth, slope, gradients, bits, width, height, 1, stride, weights, 3, 5, left,
                      top, rows, squared, 1, low, high);
    else
        edges_of_tile(memory, image, smooth, slope, gradients, bits, width, height, 3, stride, weights, words, pairs,
                      left, top, rows, squared, sixteenths, low, high);
    edges_store(memory, bits, candidates, parents, width, height, left, top, rows);
}

/* The first run of the tree. On the way, each run is given its parent's parent, which shortens the way of the next.
   Other threads may do the same, or hang the tree to another; whichever parent is read was right at some time, and
   belongs to the same tree still. */
INLINE int root(int *parents, int number)
{
    volatile int *seen = parents;
    int parent = seen[number];
    while (parent != number) {
        int next = seen[parent];
        if (next != parent)
            seen[number] = next;
        number = parent;
        parent = next;
    }
    return number;
}

/* Make one tree of the trees of two runs. */
INLINE void unite(int *parents, int one, int other)
{
    one = root(parents, one);
    other = root(parents, other);
    while (one != other) {
        int later = max(one, other), earlier = min(one, other);
        int found = atomicCAS(&parents[later], later, earlier);
        if (found == later)
            return;
        /* Another thread was faster. */
        one = root(parents, found);
        other = root(parents, earlier);
    }
}

/* Unite each run with those before it that it touches: beside it in the word to the left, and in the row above. */
extern "C" __global__ void join(const word *__restrict__ candidates, int *parents, int width, int height)
{
    int line = (width + 31) / 32, at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= line * height)
        return;
    word rest = candidates[at];
    if (rest == 0)
        return;
    int y = at / line, x = at - y * line;
    word before = x > 0 ? candidates[at - 1] : 0, above = y > 0 ? candidates[at - line] : 0;
    word above_before = x > 0 && y > 0 ? candidates[at - line - 1] : 0;
    word above_after = x + 1 < line && y > 0 ? candidates[at - line + 1] : 0;
    while (rest != 0) {
        int start = lowest_bit(rest), number = run_number(at, start);
        word run = run_from(rest, start);
        rest &= ~run;
        word touched = (run << 1 | run | run >> 1) & above;
        while (touched != 0) {
            int first = run_start(above, lowest_bit(touched));
            unite(parents, number, run_number(at - line, first));
            touched &= ~run_from(above, first);
        }
        if ((run & 1) != 0 && before >> 31 != 0)
            unite(parents, number, run_number(at - 1, run_start(before, 31)));
        if ((run & 1) != 0 && above_before >> 31 != 0)
            unite(parents, number, run_number(at - line - 1, run_start(above_before, 31)));
        if (run >> 31 != 0 && (above_after & 1) != 0)
            unite(parents, number, run_number(at - line + 1, 0));
    }
}

/* 255 for every pixel of a run that belongs to the strong ones, else 0: four pixels by each thread. */
extern "C" __global__ void draw(const word *__restrict__ candidates, int *parents, word *result, int width, int height,
                                int stride)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= stride * height)
        return;
    int y = at / stride, x = at - y * stride, shift = 4 * (x % 8);
    int source = y * ((width + 31) / 32) + x / 8;
    word bits = candidates[source], kept = 0, rest = bits & 15u << shift;
    while (rest != 0) {
        int start = run_start(bits, lowest_bit(rest));
        word run = run_from(bits, start);
        if (root(parents, run_number(source, start)) == 0)
            kept |= run;
        rest &= ~run;
    }
    /* Bit n of four goes to the lowest of byte n. */
    result[at] = ((kept >> shift & 15) * 0x00204081 & 0x01010101) * 255;
}
