// SPDX-License-Identifier: Apache-2.0
// Prepares keys and queries for exact selection: a grid fitted to the finite keys, places along its Hilbert curve, one
// sort, then prefix levels by filtering, and boxes. O(N log N), of which the sort is most; 2N keys in all levels
// together.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../problem.hpp"
#include "exact.hpp"

namespace zeta::cpu {

namespace {

constexpr uint32_t kSmallLevel = 256; // keys that a tile may as well search all
constexpr uint32_t kSample = 4096;    // keys that the grid is fitted to
constexpr size_t kCodesGrain = 4096, kBlocksGrain = 256;
constexpr size_t kCodesChunk = 256; // rows whose cells fit the stack: 32 KB at dk 32
constexpr size_t kSortPad = 64;

uint32_t ceil_div(uint32_t a, uint32_t b) {
    return a / b + (a % b != 0);
}

bool finite(const float *row, int dk) {
    float zero = 0; // 0 x is NaN for infinity and NaN
    for (int e = 0; e < dk; ++e) zero += row[e] * 0.0f;
    return zero == 0;
}

// words[i] = place of x[i] on the curve of keys' grid << 24 | (first_position + i).
void encode(const Executor &executor, const ExactKeys &keys, const float *x, size_t n, uint64_t first_position,
            uint64_t *words) {
    const auto &kernels = executor.kernels();
    const int dk = keys.dk(), bits = keys.bits();
    executor.parallel_for(n, kCodesGrain, [&](size_t begin, size_t end, int) {
        uint32_t cells[kExactMaxDk * kCodesChunk];
        for (size_t i = begin; i < end; i += kCodesChunk) {
            const size_t count = std::min(kCodesChunk, end - i);
            kernels.exact_cells(x + i * dk, count, dk, bits, keys.centre(), keys.inverse(), cells, kCodesChunk);
            kernels.codes_interleave(cells, kCodesChunk, count, dk, bits, first_position + i, words + i);
        }
    });
}

} // namespace

void ExactKeys::take(Scratch &scratch, uint32_t m, int dk, uint32_t first, bool causal) {
    dk_ = dk;
    bits_ = std::min(20, 40 / dk);
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

// Mean and deviation of some of the keys; coordinates too large to square are left out.
void ExactKeys::fit(const float *k) {
    const uint32_t step = std::max(1u, (m_ - first_) / kSample);
    for (int e = 0; e < dk_; ++e) {
        double sum = 0, squares = 0, count = 0;
        for (uint64_t i = first_; i < m_; i += step) {
            const double x = k[i * dk_ + e];
            if (!(std::fabs(x) < 1e18)) continue;
            sum += x;
            squares += x * x;
            count += 1;
        }
        const double mean = count > 0 ? sum / count : 0, variance = count > 0 ? squares / count - mean * mean : 0;
        centre_[e] = float(mean);
        inverse_[e] = variance > 1e-60 ? float(1 / std::sqrt(variance)) : 1.0f;
    }
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
    fit(k);
    if (level_[0].count == 0) return;
    encode(executor, *this, k + size_t(first_) * dk_, level_[0].count, first_, words_);
    executor.kernels().sort_words(words_, level_[0].count);
    gather(executor, k);
    for (uint32_t i = 1; i < levels_; ++i) {
        const ExactLevel &from = level_[i - 1];
        kernels_->exact_filter(from.keys, from.count, dk_, first_ + level_[i].count, level_[i].keys);
    }
    for (uint32_t i = 0; i < levels_; ++i) raise(executor, level_[i]);
}

uint32_t ExactKeys::level_of(uint32_t searchable) const {
    uint32_t i = 0;
    while (i + 1 < levels_ && level_[i + 1].count >= searchable) ++i;
    return i;
}

void ExactQueries::take(Scratch &scratch, uint32_t n, int) {
    n_ = n;
    words_ = scratch.take<uint64_t>(size_t(n) + kSortPad);
    order_ = scratch.take<uint32_t>(n);
    limit_ = scratch.take<uint32_t>(n);
}

void ExactQueries::build(const Executor &executor, const ExactKeys &keys, const float *q, const uint32_t *limits) {
    rows_ = q;
    encode(executor, keys, q, n_, 0, words_);
    if (n_ > 0) executor.kernels().sort_words(words_, n_);
    const auto level_of = [&](uint32_t row) {
        return keys.level_of(limits[row] > keys.first() ? limits[row] - keys.first() : 0);
    };
    uint32_t at[kExactLevels + 1] = {};
    for (uint32_t i = 0; i < n_; ++i) ++at[level_of(i) + 1];
    tiles_ = 0;
    for (uint32_t i = 0; i < kExactLevels; ++i) {
        first_tile_[i] = tiles_;
        tiles_ += ceil_div(at[i + 1], kTile);
        at[i + 1] += at[i];
        begin_[i] = at[i];
    }
    begin_[kExactLevels] = n_;
    first_tile_[kExactLevels] = tiles_;
    for (uint32_t i = 0; i < n_; ++i) {
        const uint32_t row = uint32_t(words_[i] & kPositionMask), to = at[level_of(row)]++;
        order_[to] = row;
        limit_[to] = limits[row];
    }
}

void ExactWork::take(Scratch &scratch, uint32_t neighbours, int dk) {
    const size_t listed = size_t(kGroups) * kExactWide + 32;
    nodes[0] = scratch.take<uint32_t>(listed);
    nodes[1] = scratch.take<uint32_t>(listed);
    masks = scratch.take<uint16_t>(listed);
    picked = scratch.take<uint32_t>(listed);
    room = 2 * neighbours + 512;
    ids = scratch.take<uint32_t>(room + 32);
    distances = scratch.take<float>(room + 32);
    words = scratch.take<uint64_t>(neighbours + 128);
    tile = scratch.take<float>(size_t(dk) * kExactWide);
    query = scratch.take<float>(size_t(dk) * kExactWide);
    level = nullptr;
    scale = 0;
    crowded = 0;
}

} // namespace zeta::cpu
