// SPDX-License-Identifier: Apache-2.0
// Encoding in blocks of rows, and the parallel sort of one long head: one vectorised sort per thread's block, then
// rounds of merges cut into equal pieces. The words are unique, so any split gives the same order.
#include "sort.hpp"

namespace zeta::cpu {
namespace {

constexpr size_t kEncodeRows = 256;        // cells of 256 rows stay in L1 for every dk
constexpr size_t kSmallestBlock = 1 << 14; // below, one vectorised sort beats the merges

// How many of the first `count` merged words come from a (the rest from b).
size_t merge_split(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, size_t count) {
    size_t low = count > nb ? count - nb : 0, high = std::min(count, na);
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (a[middle] < b[count - middle - 1])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void merge(const uint64_t *a, const uint64_t *a_end, const uint64_t *b, const uint64_t *b_end, uint64_t *out) {
    while (a != a_end && b != b_end) { // no branch on the data: which side comes next cannot be predicted
        const uint64_t x = *a, y = *b;
        const bool second = y < x;
        *out++ = second ? y : x;
        a += !second;
        b += second;
    }
    out = std::copy(a, a_end, out);
    std::copy(b, b_end, out);
}

} // namespace

Axes axes_of(const zeta_grid &grid, int64_t key_head, int dk) {
    Axes axes{};
    axes.bits = std::min(20, 40 / dk);
    axes.range = grid.kind == ZETA_GRID_RANGE;
    for (int e = 0; e < dk; ++e) {
        const int64_t at = grid.heads > 0 ? key_head * dk + e : 0;
        const float lo = grid.lo ? grid.lo[at] : 0.0f, hi = grid.hi ? grid.hi[at] : 1.0f;
        axes.axis[e] = {grid.scale ? grid.scale[at] : 1.0f, lo, hi - lo};
    }
    return axes;
}

void encode(const Executor &executor, const Axes &axes, const float *x, size_t n, int dk, uint64_t first,
            uint64_t *words) {
    executor.parallel_for(n, 8192, [&](size_t begin, size_t end, int) {
        alignas(64) uint32_t cells[ZETA_MAX_DK * kEncodeRows];
        for (size_t i = begin; i < end; i += kEncodeRows) {
            const size_t rows = std::min(kEncodeRows, end - i);
            executor.kernels().codes_cells(x + i * size_t(dk), dk, rows, dk, axes.bits, axes.range, axes.axis, cells,
                                           kEncodeRows);
            executor.kernels().codes_interleave(cells, kEncodeRows, rows, dk, axes.bits, first + i, words + i);
        }
    });
}

void sort(const Executor &executor, uint64_t *words, uint64_t *temporary, size_t n) {
    size_t blocks = 1;
    while (blocks < size_t(executor.workers()) && n / (2 * blocks) >= kSmallestBlock) blocks *= 2;
    if (blocks == 1) {
        executor.kernels().sort_words(words, n);
        return;
    }
    const auto edge = [n](size_t i, size_t of) { return n * i / of; };
    executor.parallel_for(blocks, 1, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i)
            executor.kernels().sort_words(words + edge(i, blocks), edge(i + 1, blocks) - edge(i, blocks));
    });
    uint64_t *from = words, *to = temporary;
    for (size_t runs = blocks; runs > 1; runs /= 2) {
        const size_t pieces = 2 * blocks / runs; // of each merge
        executor.parallel_for(runs / 2 * pieces, 1, [&](size_t begin, size_t end, int) {
            for (size_t task = begin; task < end; ++task) {
                const size_t pair = task / pieces, piece = task % pieces;
                const uint64_t *a = from + edge(2 * pair, runs), *b = from + edge(2 * pair + 1, runs);
                const size_t na = size_t(b - a), nb = edge(2 * pair + 2, runs) - edge(2 * pair + 1, runs);
                const size_t low = (na + nb) * piece / pieces, high = (na + nb) * (piece + 1) / pieces;
                const size_t a0 = merge_split(a, na, b, nb, low), a1 = merge_split(a, na, b, nb, high);
                merge(a + a0, a + a1, b + (low - a0), b + (high - a1), to + edge(2 * pair, runs) + low);
            }
        });
        std::swap(from, to);
    }
    if (from == words) return;
    executor.parallel_for(n, 1 << 16,
                          [&](size_t begin, size_t end, int) { std::copy(from + begin, from + end, words + begin); });
}

} // namespace zeta::cpu
