// SPDX-License-Identifier: Apache-2.0
// One sort by place on the curve. Rows of one place would lie there in order of position, and boxes around them all
// cover the same: where many rows are crowded (clusters far narrower than the whole, or all rows beside one outlier)
// they are ordered again by a grid of their own, and again within that. Each grid is finer than the one before by what
// a place has bits for, so few rounds exhaust the range of float32. O(n log n) a round.
#include "exact_order.hpp"

#include <algorithm>
#include <cmath>

#include "../problem.hpp"
#include "sort.hpp"

namespace zeta::cpu {

namespace {

constexpr size_t kSample = 4096; // rows that a grid is fitted to
constexpr size_t kGrain = 4096;
constexpr size_t kChunk = 256;          // rows whose cells fit the stack: 32 KB at dk 32
constexpr size_t kCrowd = 64;           // more rows of one place are ordered again: four blocks
constexpr size_t kLongCrowd = 1 << 15;  // more are ordered by all threads together
constexpr size_t kSmallPiece = 1 << 13; // rows that are worth a thread's while
constexpr size_t kPieces = 64;
constexpr int kRounds = 32;

int bits_of(int dk) {
    return std::min(20, 40 / dk);
}

bool same_place(const uint64_t *words, size_t i, size_t j) {
    return ((words[i] ^ words[j]) >> kPositionBits) == 0;
}

// Where the rows of words[i]'s place end, at most at n.
size_t end_of_place(const uint64_t *words, size_t i, size_t n) {
    const uint64_t last = words[i] | kPositionMask;
    return size_t(std::upper_bound(words + i, words + n, last) - words);
}

struct Range {
    size_t begin, end;
};

// The first place at or after `at` with more than `crowd` rows; {n, n} if there is none. Of such rows two are half as
// far apart as that, and looked at.
Range next_crowd(const uint64_t *words, size_t at, size_t n, size_t crowd) {
    const size_t step = (crowd + 1) / 2;
    for (size_t i = at; i + step < n; i += step) {
        if (!same_place(words, i, i + step)) continue;
        const uint64_t least = words[i] & ~uint64_t{kPositionMask};
        const size_t from = i - at > step ? i - step : at;
        const Range range = {size_t(std::lower_bound(words + from, words + i, least) - words),
                             end_of_place(words, i + step, n)};
        if (range.end - range.begin > crowd) return range;
        i = range.end - step;
    }
    return {n, n};
}

// Mean and deviation of some of n rows; row(i) points to the i-th. Coordinates too large to square are left out. False:
// they are all the same.
template <class Row> bool fit_rows(const Row &row, size_t n, int dk, ExactGrid &grid) {
    const size_t step = std::max<size_t>(1, n / kSample);
    bool apart = false;
    for (int e = 0; e < dk; ++e) {
        double sum = 0, squares = 0, count = 0;
        const auto usable = [](float x) { return std::fabs(x) < 1e18f; };
        for (size_t i = 0; i < n; i += step) {
            const float x = row(i)[e];
            if (usable(x)) sum += double(x), ++count;
        }
        const double mean = count > 0 ? sum / count : 0;
        for (size_t i = 0; i < n; i += step) { // not from sums of squares: a crowd may be narrow and far from zero
            const float x = row(i)[e];
            if (usable(x)) squares += (double(x) - mean) * (double(x) - mean);
        }
        grid.centre[e] = float(mean);
        grid.inverse[e] = squares > 0 ? float(std::min(1e38, std::sqrt(count / squares))) : 1.0f;
        apart |= squares > 0;
    }
    return apart;
}

} // namespace

ExactGrid ExactOrder::fit(size_t first, size_t end) const {
    ExactGrid grid;
    fit_rows([&](size_t i) { return rows_ + (first + i) * size_t(dk_); }, end - first, dk_, grid);
    return grid;
}

void ExactOrder::sort(const ExactGrid &grid, size_t first, size_t n, uint64_t *words, uint64_t *temporary) const {
    const auto &kernels = executor_.kernels();
    const int bits = bits_of(dk_);
    const float *x = rows_ + first * size_t(dk_);
    executor_.parallel_for(n, kGrain, [&](size_t begin, size_t end, int) {
        uint32_t cells[kExactMaxDk * kChunk];
        for (size_t i = begin; i < end; i += kChunk) {
            const size_t count = std::min(kChunk, end - i);
            kernels.exact_cells(x + i * size_t(dk_), count, dk_, bits, grid.centre, grid.inverse, cells, kChunk);
            kernels.codes_interleave(cells, kChunk, count, dk_, bits, first + i, words + i);
        }
    });
    cpu::sort(executor_, words, temporary, n);
    refine_together(words, n, temporary, 0);
}

// New places for rows that are scattered: words keep their positions.
void ExactOrder::place(const ExactGrid &grid, uint64_t *words, size_t n) const {
    const auto &kernels = executor_.kernels();
    const size_t dk = size_t(dk_), chunk = kChunk / 4;
    const int bits = bits_of(dk_);
    float x[kExactMaxDk * kChunk / 4];
    uint32_t cells[kExactMaxDk * kChunk / 4];
    uint64_t placed[kChunk / 4];
    for (size_t i = 0; i < n; i += chunk) {
        const size_t count = std::min(chunk, n - i);
        for (size_t j = 0; j < count; ++j) std::copy_n(rows_ + (words[i + j] & kPositionMask) * dk, dk, x + j * dk);
        kernels.exact_cells(x, count, dk_, bits, grid.centre, grid.inverse, cells, chunk);
        kernels.codes_interleave(cells, chunk, count, dk_, bits, 0, placed);
        for (size_t j = 0; j < count; ++j)
            words[i + j] = (placed[j] & ~uint64_t{kPositionMask}) | (words[i + j] & kPositionMask);
    }
}

// Orders rows of one place by a grid of their own; with a temporary by all threads. False: that changed nothing.
bool ExactOrder::place_run(uint64_t *words, size_t n, uint64_t *temporary) const {
    ExactGrid grid;
    if (!fit_rows([&](size_t i) { return rows_ + (words[i] & kPositionMask) * size_t(dk_); }, n, dk_, grid))
        return false;
    if (temporary == nullptr) {
        place(grid, words, n);
        executor_.kernels().sort_words(words, n);
    } else {
        executor_.parallel_for(n, kGrain,
                               [&](size_t begin, size_t end, int) { place(grid, words + begin, end - begin); });
        cpu::sort(executor_, words, temporary, n);
    }
    return !same_place(words, 0, n - 1);
}

void ExactOrder::refine(uint64_t *words, size_t n, int depth) const {
    for (Range crowd = next_crowd(words, 0, n, kCrowd); crowd.begin < n;
         crowd = next_crowd(words, crowd.end, n, kCrowd)) {
        const size_t count = crowd.end - crowd.begin;
        if (place_run(words + crowd.begin, count, nullptr) && depth < kRounds)
            refine(words + crowd.begin, count, depth + 1);
    }
}

// Shared out; no place belongs to two pieces.
void ExactOrder::refine_pieces(uint64_t *words, size_t n, int depth) const {
    const size_t pieces = std::clamp<size_t>(n / kSmallPiece, 1, std::min(kPieces, 4 * size_t(executor_.workers())));
    size_t edges[kPieces + 1] = {};
    for (size_t piece = 1; piece <= pieces; ++piece) {
        const size_t edge = std::max(edges[piece - 1], n * piece / pieces);
        edges[piece] = edge == 0 ? 0 : end_of_place(words, edge - 1, n);
    }
    executor_.parallel_for(pieces, 1, [&](size_t begin, size_t end, int) {
        for (size_t piece = begin; piece < end; ++piece)
            refine(words + edges[piece], edges[piece + 1] - edges[piece], depth);
    });
}

void ExactOrder::refine_together(uint64_t *words, size_t n, uint64_t *temporary, int depth) const {
    if (executor_.workers() == 1) return refine(words, n, depth);
    for (size_t at = 0; at < n;) {
        const Range crowd = next_crowd(words, at, n, kLongCrowd);
        refine_pieces(words + at, crowd.begin - at, depth);
        const size_t count = crowd.end - crowd.begin;
        if (count > 0 && place_run(words + crowd.begin, count, temporary + crowd.begin) && depth < kRounds)
            refine_together(words + crowd.begin, count, temporary + crowd.begin, depth + 1);
        at = crowd.end;
    }
}

} // namespace zeta::cpu
