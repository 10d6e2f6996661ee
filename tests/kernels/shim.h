// Lets g++ compile kernels.cu and run it on the CPU, for tests only.
//
// The threads of a block are fibers. Each runs until it meets a barrier or its end, then another does, in an order
// drawn anew every time; before a compare-and-swap it may have to wait for others, which maybe swap first. Blocks run
// one after the other, in an order drawn too. Shared memory is full of rubbish when a block begins. What a launch must
// not do is found out: to leave some threads behind at a barrier, and to write beyond the shared memory it asked for.
#pragma once
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __restrict__ __restrict

struct Index {
    unsigned x, y, z;
};

static Index threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

constexpr unsigned SHARED = 64 << 10, GUARD = 1 << 10, STACK = 64 << 10;
constexpr unsigned char RUBBISH = 0xa5;
enum Outcome { FINE = 0, LEFT_AT_BARRIER = 1, BEYOND_SHARED = 2, TOO_MUCH_SHARED = 3 };

enum State { ENDED, AT_BARRIER, PAUSED };

struct Fiber {
    jmp_buf place;
    ucontext_t start;
    std::unique_ptr<char[]> stack{new char[STACK]};
    bool begun = false;
    State state = ENDED;
    unsigned index = 0;
};

static jmp_buf scheduler;
static std::vector<std::unique_ptr<Fiber>> fibers;
static Fiber *current;
static const std::function<void()> *kernel;
static uint64_t drawn;

static unsigned draw(unsigned below) {
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return drawn % below;
}

static void shuffle(std::vector<unsigned> &order) {
    for (unsigned i = order.size(); i > 1; i--) std::swap(order[i - 1], order[draw(i)]);
}

static void back_to_scheduler(State state) {
    Index mine = threadIdx;
    current->state = state;
    if (_setjmp(current->place) == 0) _longjmp(scheduler, 1);
    threadIdx = mine;
}

static void pause_now_and_then() {
    if (draw(2) == 0) back_to_scheduler(PAUSED);
}

// A fiber lives on: one launch after the other gives it a thread to run.
static void live() {
    for (;;) {
        (*kernel)();
        back_to_scheduler(ENDED);
    }
}

static void proceed(Fiber &fiber) {
    current = &fiber;
    threadIdx = {fiber.index, 0, 0};
    if (_setjmp(scheduler) != 0) return;
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = STACK;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, live, 0);
    setcontext(&fiber.start);
}

static int run_block(const std::vector<unsigned> &threads) {
    for (;;) {
        std::vector<unsigned> running = threads;
        unsigned waiting = 0;
        while (!running.empty()) {
            shuffle(running);
            std::vector<unsigned> paused;
            for (unsigned thread : running) {
                proceed(*fibers[thread]);
                waiting += fibers[thread]->state == AT_BARRIER;
                if (fibers[thread]->state == PAUSED) paused.push_back(thread);
            }
            running = paused;
        }
        if (waiting == 0) return FINE;
        if (waiting < threads.size()) return LEFT_AT_BARRIER;
    }
}

static std::vector<unsigned> numbers(unsigned count) {
    std::vector<unsigned> all(count);
    for (unsigned i = 0; i < count; i++) all[i] = i;
    return all;
}

struct Launch {
    unsigned width, height, block, shared;
    uint64_t seed;
};

static int launch(const Launch &how, unsigned char *memory, const std::function<void()> &body) {
    if (how.shared > SHARED) return TOO_MUCH_SHARED;
    drawn = how.seed * 0x9e3779b97f4a7c15u + 1;
    gridDim = {how.width, how.height, 1};
    blockDim = {how.block, 1, 1};
    kernel = &body;
    while (fibers.size() < how.block) {
        fibers.emplace_back(new Fiber);
        fibers.back()->index = fibers.size() - 1;
    }
    std::vector<unsigned> blocks = numbers(how.width * how.height), threads = numbers(how.block);
    shuffle(blocks);
    for (unsigned block : blocks) {
        blockIdx = {block % how.width, block / how.width, 0};
        std::memset(memory, RUBBISH, how.shared + GUARD);
        int outcome = run_block(threads);
        if (outcome != FINE) {
            fibers.clear();  // as some stand in the middle of a kernel
            return outcome;
        }
        for (unsigned i = 0; i < GUARD; i++)
            if (memory[how.shared + i] != RUBBISH) return BEYOND_SHARED;
    }
    return FINE;
}

}  // namespace shim

static inline void __syncthreads() { shim::back_to_scheduler(shim::AT_BARRIER); }

static inline void __threadfence() {}

template <class T> static inline T atomicAdd(T *at, T value) {
    T before = *at;
    *at = before + value;
    return before;
}

template <class T> static inline T atomicSub(T *at, T value) {
    T before = *at;
    *at = before - value;
    return before;
}

template <class T> static inline T atomicOr(T *at, T value) {
    T before = *at;
    *at = before | value;
    return before;
}

template <class T> static inline T atomicExch(T *at, T value) {
    T before = *at;
    *at = value;
    return before;
}

template <class T> static inline T atomicCAS(T *at, T expected, T value) {
    shim::pause_now_and_then();
    T before = *at;
    if (before == expected) *at = value;
    return before;
}

template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }

static inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz((unsigned)value); }
static inline int __ffs(int value) { return __builtin_ffs(value); }

// With g++'s -ffp-contract=off these are single IEEE operations, as on the device.
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __uint2float_rn(unsigned value) { return (float)value; }
static inline int __float2int_rn(float value) { return (int)__builtin_rintf(value); }

static inline unsigned byte_of(unsigned bytes, int i) { return bytes >> 8 * i & 255; }

static inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
    for (int i = 0; i < 4; i++) sum += byte_of(a, i) * byte_of(b, i);
    return sum;
}

static inline int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; i++) sum += (int8_t)byte_of(a, i) * (int8_t)byte_of(b, i);
    return sum;
}

static inline unsigned __dp2a_lo(unsigned a, unsigned b, unsigned sum) {
    return sum + (a & 65535) * byte_of(b, 0) + (a >> 16) * byte_of(b, 1);
}

static inline unsigned __dp2a_hi(unsigned a, unsigned b, unsigned sum) { return __dp2a_lo(a, b >> 16, sum); }

static inline int __dp2a_lo(int a, int b, int sum) {
    return sum + (int16_t)(a & 65535) * (int8_t)byte_of(b, 0) + (int16_t)(a >> 16) * (int8_t)byte_of(b, 1);
}

static inline int __dp2a_hi(int a, int b, int sum) { return __dp2a_lo(a, b >> 16, sum); }

static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    uint64_t both = a | (uint64_t)b << 32;
    unsigned bytes = 0;
    for (int i = 0; i < 4; i++) bytes |= (unsigned)(both >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return bytes;
}
