// SPDX-License-Identifier: Apache-2.0
// Inputs, rounding and copies.
#include "helper.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>

#include "../zeta/bench_fill.hpp"

namespace {

constexpr int64_t kPiece = int64_t{1} << 18; // bytes

template <class Work> int guarded(const Work &work) {
    try {
        work();
        return 0;
    } catch (...) {
        return -1;
    }
}

void copy_parallel(int count, void *const *to, const void *const *from, const size_t *bytes) {
    for (int block = 0; block < count; ++block) {
        const auto size = static_cast<int64_t>(bytes[block]);
        const auto copy_pieces = [&](const tbb::blocked_range<int64_t> &pieces) {
            const int64_t begin = pieces.begin() * kPiece, end = std::min(pieces.end() * kPiece, size);
            std::memcpy(static_cast<char *>(to[block]) + begin, static_cast<const char *>(from[block]) + begin,
                        static_cast<size_t>(end - begin));
        };
        tbb::parallel_for(tbb::blocked_range<int64_t>(0, (size + kPiece - 1) / kPiece), copy_pieces,
                          tbb::static_partitioner());
    }
}

} // namespace

int bench_fill_points(const char *kind, int64_t heads, int64_t groups, int64_t n, int64_t m, int64_t dk, float *q,
                      float *k) {
    return guarded([&] { zeta::app::fill_bench_points(kind, {heads, groups, n, m, dk, 1}, q, k); });
}

int bench_fill_values(int64_t groups, int64_t m, int64_t dv, float *v) {
    return guarded([&] { zeta::app::fill_bench_values({groups, groups, m, m, 1, dv}, v); });
}

int bench_fill_gradient(int64_t heads, int64_t n, int64_t dv, float *grad_out) {
    return guarded([&] { zeta::app::fill_bench_gradient({heads, heads, n, n, 1, dv}, grad_out); });
}

void bench_narrow(const float *from, uint16_t *to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        uint32_t bits;
        std::memcpy(&bits, from + i, sizeof bits);
        to[i] = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
}

int bench_copy(int threads, int count, void *const *to, const void *const *from, const size_t *bytes) {
    if (threads == 1) {
        for (int block = 0; block < count; ++block) std::memcpy(to[block], from[block], bytes[block]);
        return 0;
    }
    return guarded([&] {
        tbb::task_arena arena(threads);
        arena.execute([&] { copy_parallel(count, to, from, bytes); });
    });
}
