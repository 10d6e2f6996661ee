/* Gaussian blur. */

/* Width of the tile that a block blurs, in words; and where large kernels leave no room for as many. */
#ifndef BLUR_WORDS
#define BLUR_WORDS 32
#endif
#ifndef NARROW_WORDS
#define NARROW_WORDS 8
#endif

/* Sums along the rows of a tile that is `wide` words. A row of weights stands for one word of bytes: four words of
   weights, one for each of the four bytes that are summed for. The sums have 16 bits; those of two rows, one above the
   other, share a word. */
INLINE void blur_across(word *memory, int sums, const word *image, int width, int height, int channels, int stride,
                        int left, int top, const word *weights, int words, int count, int staged, int wide)
{
    int columns = wide + words - 1;
    for (int first = 0; first < count; first += staged) {
        int some = min(staged, count - first);
        stage(memory, image, width, height, channels, stride, left - words / 2, top + 2 * first, columns, 2 * some, 1,
              0u);
        __syncthreads();
        for (word i = threadIdx.x; i < some * wide; i += blockDim.x) {
            int pair = i / wide, column = i % wide;
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
            int at = sums + 4 * (first + pair) * wide + column;
            memory[at] = a0 | b0 << 16;
            memory[at + wide] = a1 | b1 << 16;
            memory[at + 2 * wide] = a2 | b2 << 16;
            memory[at + 3 * wide] = a3 | b3 << 16;
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
                      const word *weights, int pairs, int rows, int wide)
{
    for (word i = threadIdx.x; i < rows / 4 * wide; i += blockDim.x) {
        int pair = 2 * (i / wide), column = i % wide;
        int x = left + column, y = top + 2 * pair, at = sums + 4 * pair * wide + column;
        word a0 = 32768, a1 = 32768, a2 = 32768, a3 = 32768, b0 = 32768, b1 = 32768, b2 = 32768, b3 = 32768;
        word c0 = 32768, c1 = 32768, c2 = 32768, c3 = 32768, d0 = 32768, d1 = 32768, d2 = 32768, d3 = 32768;
        for (int j = 0; j <= pairs; j++) {
            word s0 = memory[at], s1 = memory[at + wide];
            word s2 = memory[at + 2 * wide], s3 = memory[at + 3 * wide];
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
            at += 4 * wide;
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

/* Gaussian blur of a tile of `wide` words (BLUR_WORDS or NARROW_WORDS) in `rows` rows (four times a number), `staged`
   pairs of rows at a time. The weights, 256ths in unsigned bytes, are for 4 * words words across, then for `pairs`
   words down. The widths, and the counts of words and pairs that the usual kernels have, are written out, so that the
   compiler unrolls their loops. */
extern "C" __global__ void blur(const word *__restrict__ image, word *__restrict__ result, int width, int height,
                                int channels, int stride, const word *__restrict__ weights, int words, int pairs,
                                int wide, int rows, int staged)
{
    int left = blockIdx.x * wide, top = blockIdx.y * rows, above = top - (pairs - 1);
    int sums = 2 * staged * (wide + words - 1), count = rows / 2 + pairs - 1;
    const word *down = weights + 4 * words;
    if (wide != BLUR_WORDS)
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, words, count, staged,
                    NARROW_WORDS);
    else if (words == 3)
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, 3, count, staged,
                    BLUR_WORDS);
    else if (words == 5)
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, 5, count, staged,
                    BLUR_WORDS);
    else
        blur_across(memory, sums, image, width, height, channels, stride, left, above, weights, words, count, staged,
                    BLUR_WORDS);
    if (wide != BLUR_WORDS)
        blur_down(memory, sums, result, height, stride, left, top, down, pairs, rows, NARROW_WORDS);
    else if (pairs == 3)
        blur_down(memory, sums, result, height, stride, left, top, down, 3, rows, BLUR_WORDS);
    else if (pairs == 5)
        blur_down(memory, sums, result, height, stride, left, top, down, 5, rows, BLUR_WORDS);
    else
        blur_down(memory, sums, result, height, stride, left, top, down, pairs, rows, BLUR_WORDS);
}
