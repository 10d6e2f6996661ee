/* Canny edges. */

/* Width of the tile in which a block looks for edges, in pixels; a multiple of 32. */
#ifndef EDGE_PIXELS
#define EDGE_PIXELS 64
#endif

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
