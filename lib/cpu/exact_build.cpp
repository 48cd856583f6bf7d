// SPDX-License-Identifier: Apache-2.0
// Prepares keys and queries for exact selection: their order along a curve (exact_order.hpp), then prefix levels by
// filtering, and boxes. O(N log N), of which the sort is most; 2N keys in all levels together.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "../problem.hpp"
#include "exact.hpp"

namespace zeta::cpu {

namespace {

constexpr uint32_t kSmallLevel = 256; // keys that a tile may as well search all
constexpr size_t kBlocksGrain = 256;
constexpr size_t kSortPad = 64;
constexpr uint32_t kPieces = 64;          // at most, of a loop that counts before it writes
constexpr uint32_t kSmallPiece = 1 << 13; // keys or queries for which that is worth it

uint32_t ceil_div(uint32_t a, uint32_t b) {
    return a / b + (a % b != 0);
}

// How many pieces n keys or queries are cut into: one at one thread.
uint32_t pieces_of(const Executor &executor, uint32_t n) {
    if (executor.workers() == 1) return 1;
    return std::clamp(n / kSmallPiece, 1u, std::min(kPieces, 4 * uint32_t(executor.workers())));
}

bool finite(const float *row, int dk) {
    float zero = 0; // 0 x is NaN for infinity and NaN
    for (int e = 0; e < dk; ++e) zero += row[e] * 0.0f;
    return zero == 0;
}

} // namespace

void ExactKeys::take(Scratch &scratch, uint32_t m, int dk, uint32_t first, bool causal) {
    dk_ = dk;
    m_ = m;
    first_ = std::min(first, m);
    levels_ = 0;
    words_ = scratch.take<uint64_t>(m_ - first_ + kSortPad);
    uint32_t count = m_ - first_;
    do {
        ExactLevel &level = level_[levels_++];
        level.count = count;
        level.keys = scratch.take<float>(size_t(level.blocks()) * (dk + 1) * kExactWide);
        level.heights = 0;
        uint32_t nodes = level.blocks();
        do {
            level.nodes[level.heights] = nodes;
            const uint32_t groups = ceil_div(nodes, kExactWide);
            level.boxes[level.heights++] = scratch.take<float>(size_t(groups) * (2 * dk + 2) * kExactWide);
            nodes = groups;
        } while (level.nodes[level.heights - 1] > kExactWide);
        count /= 2;
    } while (causal && level_[levels_ - 1].count > kSmallLevel);
}

// The first level: rows in curve order. A key with a NaN or an infinity is infinitely far from every query, so all its
// coordinates become infinite: then no box holds a NaN.
void ExactKeys::gather(const Executor &executor, const float *k) {
    const ExactLevel &level = level_[0];
    executor.parallel_for(level.blocks(), kBlocksGrain, [&](size_t begin, size_t end, int) {
        for (size_t b = begin; b < end; ++b) {
            float *block = level.keys + b * (dk_ + 1) * kExactWide;
            for (uint32_t j = 0; j < kExactWide; ++j) {
                const size_t i = std::min<size_t>(b * kExactWide + j, level.count - 1);
                uint32_t position = uint32_t(words_[i] & kPositionMask);
                const float *row = k + size_t(position) * dk_;
                const bool usable = finite(row, dk_);
                for (int e = 0; e < dk_; ++e)
                    block[e * kExactWide + j] = usable ? row[e] : std::numeric_limits<float>::infinity();
                if (b * kExactWide + j >= level.count) position = 0x7fffffff;
                memcpy(block + dk_ * kExactWide + j, &position, sizeof position);
            }
        }
    });
}

// The next level. Pieces are counted first; then each writes the blocks whose first key it holds, and takes the rest of
// its last block from the piece after.
void ExactKeys::filter(const Executor &executor, const ExactLevel &from, ExactLevel &to) const {
    const uint32_t cap = first_ + to.count, pieces = pieces_of(executor, from.count), blocks = from.blocks();
    const size_t block = size_t(dk_ + 1) * kExactWide;
    const auto edge = [&](size_t piece) { return uint32_t(uint64_t(blocks) * piece / pieces); };
    uint32_t kept[kPieces + 1] = {}; // before each piece
    kept[pieces] = to.count;
    if (pieces > 1) {
        executor.parallel_for(pieces, 1, [&](size_t piece, size_t, int) {
            uint32_t count = 0;
            for (uint32_t b = edge(piece); b < edge(piece + 1); ++b) {
                const float *positions = from.keys + b * block + dk_ * kExactWide;
                uint32_t position[kExactWide];
                memcpy(position, positions, sizeof position);
                for (uint32_t j = 0; j < kExactWide; ++j) count += position[j] < cap;
            }
            if (piece + 1 < pieces) kept[piece + 1] = count;
        });
        for (uint32_t piece = 1; piece < pieces; ++piece) kept[piece] += kept[piece - 1];
    }
    executor.parallel_for(pieces, 1, [&](size_t piece, size_t, int) {
        const uint32_t begin = ceil_div(kept[piece], kExactWide), end = ceil_div(kept[piece + 1], kExactWide);
        if (begin >= end) return;
        const uint32_t at = edge(piece);
        kernels_->exact_filter(from.keys + at * block, from.count - at * kExactWide, dk_, cap,
                               begin * kExactWide - kept[piece], (end - begin) * kExactWide, to.keys + begin * block);
    });
}

void ExactKeys::raise(const Executor &executor, ExactLevel &level) const {
    const auto &kernels = executor.kernels();
    const size_t box = size_t(2 * dk_ + 2) * kExactWide, block = size_t(dk_ + 1) * kExactWide;
    for (int h = 0; h < level.heights; ++h) {
        const float *from = h == 0 ? level.keys : level.boxes[h - 1];
        const size_t node = h == 0 ? block : box;
        const uint32_t nodes = level.nodes[h];
        executor.parallel_for(ceil_div(nodes, kExactWide), kBlocksGrain, [&](size_t begin, size_t end, int) {
            const uint32_t last = std::min<uint32_t>(nodes, uint32_t(end) * kExactWide);
            kernels.exact_boxes(from + begin * kExactWide * node, last - uint32_t(begin) * kExactWide, dk_, h == 0,
                                level.boxes[h] + begin * box);
        });
    }
}

void ExactKeys::build(const Executor &executor, const float *k) {
    kernels_ = &executor.kernels();
    rows_ = k;
    for (uint32_t i = 0; i <= kExactShares; ++i)
        spread_[i] = std::pow(float(std::max(i, 1u)) / kExactShares, -2.0f / float(dk_));
    const ExactOrder order(executor, k, dk_);
    grid_ = order.fit(first_, m_);
    if (level_[0].count == 0) return;
    order.sort(grid_, first_, level_[0].count, words_,
               reinterpret_cast<uint64_t *>(level_[0].keys)); // 2 floats a key or more
    gather(executor, k);
    for (uint32_t i = 1; i < levels_; ++i) filter(executor, level_[i - 1], level_[i]);
    for (uint32_t i = 0; i < levels_; ++i) raise(executor, level_[i]);
}

// Level i holds count >> i keys.
uint32_t ExactKeys::level_of(uint32_t searchable) const {
    const uint32_t count = level_[0].count;
    if (searchable == 0) return levels_ - 1;
    if (searchable >= count) return 0;
    uint32_t i = uint32_t(__builtin_clz(searchable) - __builtin_clz(count));
    i -= (count >> i) < searchable;
    return std::min(i, levels_ - 1);
}

void ExactQueries::take(Scratch &scratch, uint32_t n, int) {
    n_ = n;
    words_ = scratch.take<uint64_t>(size_t(n) + kSortPad);
    order_ = scratch.take<uint32_t>(2 * size_t(n)); // and limit_, and while the words are sorted their temporary
}

// Queries sorted by level, and in each as they lie on the curve.
void ExactQueries::build(const Executor &executor, const ExactKeys &keys, const float *q, const uint32_t *limits) {
    rows_ = q;
    limit_ = order_ + n_;
    if (n_ > 0)
        ExactOrder(executor, q, keys.dk()).sort(keys.grid(), 0, n_, words_, reinterpret_cast<uint64_t *>(order_));
    const auto level_of = [&](uint32_t row) {
        return keys.level_of(limits[row] > keys.first() ? limits[row] - keys.first() : 0);
    };
    const uint32_t pieces = pieces_of(executor, n_);
    const auto edge = [&](size_t piece) { return size_t(n_) * piece / pieces; };
    uint32_t at[kPieces][kExactLevels] = {}; // queries of each piece and level, then where they go
    executor.parallel_for(pieces, 1, [&](size_t piece, size_t, int) {
        for (size_t i = edge(piece); i < edge(piece + 1); ++i)
            ++at[piece][level_of(uint32_t(words_[i] & kPositionMask))];
    });
    uint32_t total = 0;
    tiles_ = 0;
    for (uint32_t level = 0; level < kExactLevels; ++level) {
        begin_[level] = total;
        first_tile_[level] = tiles_;
        for (uint32_t piece = 0; piece < pieces; ++piece) total += std::exchange(at[piece][level], total);
        tiles_ += ceil_div(total - begin_[level], kTile);
    }
    begin_[kExactLevels] = n_;
    first_tile_[kExactLevels] = tiles_;
    executor.parallel_for(pieces, 1, [&](size_t piece, size_t, int) {
        for (size_t i = edge(piece); i < edge(piece + 1); ++i) {
            const uint32_t row = uint32_t(words_[i] & kPositionMask), to = at[piece][level_of(row)]++;
            order_[to] = row;
            limit_[to] = limits[row];
        }
    });
}

void ExactWork::take(Scratch &scratch, uint32_t neighbours, int dk) {
    listed = std::min(512 + 2 * neighbours, 2 * kGroups);
    nodes[0] = scratch.take<uint32_t>(kGroups * kExactWide + 32);
    nodes[1] = scratch.take<uint32_t>(kGroups * kExactWide + 32);
    gaps = scratch.take<float>(size_t(listed + 1) * kExactWide);
    masks = scratch.take<uint16_t>(listed + 32);
    picked = scratch.take<uint32_t>(std::max(listed, 256 + neighbours) + 32);
    room = 2 * neighbours + 512;
    ids = scratch.take<uint32_t>(kTile * slot());
    distances = scratch.take<float>(kTile * slot());
    words = scratch.take<uint64_t>(neighbours + 128);
    tile = scratch.take<float>(size_t(dk) * kExactWide);
    query = scratch.take<float>(size_t(dk) * kExactWide);
    level = nullptr;
    scale = 0;
    related = false;
    crowded = 0;
}

} // namespace zeta::cpu
