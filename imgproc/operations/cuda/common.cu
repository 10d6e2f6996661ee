/* What the kernels of all operations have in common. Those of each operation are in its own folder; the source for
   the compiler is this file with all of them behind it. They are, to the last bit, as OpenCV computes on the CPU.

   numba_common.py and the numba_kernels.py of each operation have the same functions under the same names; the
   operations' cuda.py launches either.

   An image lies in words of four bytes, in rows of whole groups of four pixels: a gray group is one word, a colour
   group is three (BGR). `stride` is the words of a row. What fills up the last group of a row may be anything.

   Blocks have one dimension and any number of threads, and the result does not depend on it, nor on the order in
   which threads and blocks run. All shared memory is `memory`; cuda.py says how much of it a launch needs. */

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
