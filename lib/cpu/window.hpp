// SPDX-License-Identifier: Apache-2.0
// Window selection (spec section 4): each query takes the keys around its insertion point on the curve; with W > K the
// K nearest of W are kept. The queries of one head, sorted along the curve, each placed in its level with its rank
// there.
#pragma once

#include "levels.hpp"
#include "lists.hpp"

namespace zeta::cpu {

// Per thread: the candidates of a few queries before re-ranking, of one where W is large.
struct WindowWork {
    uint32_t *ids = nullptr, lists = 0;
    float *distances = nullptr;
    int32_t *columns = nullptr;
    size_t stride = 0;

    void take(Scratch &scratch, const Problem &p) {
        constexpr int32_t kLarge = 1024;
        if (!p.reranked()) return;
        lists = p.window <= kLarge ? kTile : 1;
        stride = (size_t(p.window) + 63) / 64 * 64 + 2 * simd::kListPad;
        ids = scratch.take<uint32_t>(lists * stride);
        distances = scratch.take<float>(lists * stride);
        columns = scratch.take<int32_t>((lists + 3) / 4 * 4 * stride); // lists side by side, by fours
    }
};

class WindowQueries {
public:
    void take(Scratch &scratch, uint32_t n);
    void count(uint32_t n) { n_ = n; } // queries from now on, at most as many as were taken for
    void encode_queries(const Executor &executor, const Axes &axes, const float *q, int dk);
    void sort_queries(const Executor &executor);
    // Ranks the sorted queries in levels whose words are still there, and deals them out to the levels.
    void place(const Executor &executor, const Problem &p, const Unit &unit, const Levels &levels);

    size_t tiles() const { return tile_begin_[levels_]; }
    // The neighbours of tile `tile`'s queries. hints: NULL, or the two words of each query row that forward saved.
    void select(const simd::Kernels &kernels, const Problem &p, const Unit &unit, const Levels &levels, const float *q,
                size_t tile, const uint32_t *hints_a, const uint32_t *hints_b, WindowWork &work, Lists &lists) const;
    // First and last rank, in its level, of a tile's queries: where the values of its neighbours lie.
    struct Span {
        int level;
        uint32_t begin, end;
    };
    Span span(size_t tile) const;
    // The query rows of a tile; returns how many.
    uint32_t queries(size_t tile, const uint32_t **rows) const {
        const At a = at(tile);
        *rows = query_ + a.begin;
        return a.count;
    }

private:
    struct At {
        int level;
        uint32_t begin, count; // of the queries of a tile, in query_ and rank_
    };
    At at(size_t tile) const;
    uint32_t first_above(const Problem &p, const Unit &unit, uint32_t cap) const;
    uint32_t descend(const Executor &executor, const Levels &levels, int l, uint32_t threshold, uint32_t alive,
                     uint32_t placed);

    uint32_t n_ = 0;
    int levels_ = 0;
    uint64_t *words_ = nullptr, *temporary_ = nullptr;
    uint32_t *query_ = nullptr, *rank_ = nullptr;         // [n], grouped by level, in curve order
    uint32_t *passed_ = nullptr, *passed_rank_ = nullptr; // [n] queries on their way down
    uint32_t *next_ = nullptr, *next_rank_ = nullptr;     // [n] those of the next level
    uint32_t query_begin_[Levels::kMaxLevels + 1] = {};
    size_t tile_begin_[Levels::kMaxLevels + 1] = {};
};

} // namespace zeta::cpu
