// SPDX-License-Identifier: Apache-2.0
// Placing queries in levels and selecting their windows.
#include "window.hpp"

namespace zeta::cpu {

void WindowQueries::take(Scratch &scratch, uint32_t n) {
    n_ = n;
    words_ = scratch.take<uint64_t>(n);
    temporary_ = scratch.take<uint64_t>(n);
    query_ = scratch.take<uint32_t>(n);
    rank_ = scratch.take<uint32_t>(n);
    passed_ = scratch.take<uint32_t>(n);
    passed_rank_ = scratch.take<uint32_t>(n);
}

void WindowQueries::encode_queries(const Executor &executor, const Axes &axes, const float *q, int dk) {
    encode(executor, axes, q, n_, dk, 0, words_);
}

void WindowQueries::sort_queries(const Executor &executor) {
    sort(executor, words_, temporary_, n_);
}

void WindowQueries::place(const Executor &executor, const Problem &p, const Unit &unit, const Levels &levels) {
    const uint64_t *keys = levels.words();
    const uint32_t m = levels.level(0).count;
    executor.parallel_for(n_, 1 << 14, [&](size_t begin, size_t end, int) {
        if (begin == end) return;
        // p of spec section 4: keys whose code is at most the query's, that is whose word is below the next code's
        // first.
        const auto bound = [&](size_t i) { return (words_[i] | kPositionMask); };
        size_t rank = size_t(std::upper_bound(keys, keys + m, bound(begin)) - keys), i = begin;
        while (i < end) { // one step advances a key or emits a query, without a branch on the data
            const uint64_t limit = bound(i);
            const bool advance = rank < m && keys[rank] <= limit;
            passed_rank_[i] = uint32_t(rank);
            rank += advance;
            i += !advance;
        }
        for (i = begin; i < end; ++i) passed_[i] = uint32_t(words_[i] & kPositionMask);
    });
    levels_ = levels.count();
    uint32_t alive = n_, placed = 0;
    for (int l = 0; l < levels_; ++l) {
        query_begin_[l] = placed;
        const bool last = l + 1 == levels_;
        const uint32_t next_cap = last ? 0 : levels.cap(l + 1);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < alive; ++i) {
            const uint32_t query = passed_[i], rank = passed_rank_[i];
            const bool down = !last && limit_of(p, unit, query) <= next_cap;
            query_[placed] = query;
            rank_[placed] = rank;
            placed += !down;
            passed_[kept] = query;
            if (!last) passed_rank_[kept] = levels.rank_below(l, rank);
            kept += down;
        }
        alive = kept;
    }
    query_begin_[levels_] = placed;
    tile_begin_[0] = 0;
    for (int l = 0; l < levels_; ++l)
        tile_begin_[l + 1] = tile_begin_[l] + (query_begin_[l + 1] - query_begin_[l] + kTile - 1) / kTile;
}

WindowQueries::At WindowQueries::at(size_t tile) const {
    int l = 0;
    while (tile >= tile_begin_[l + 1]) ++l;
    const uint32_t begin = query_begin_[l] + uint32_t(tile - tile_begin_[l]) * kTile;
    return {l, begin, std::min(kTile, query_begin_[l + 1] - begin)};
}

WindowQueries::Span WindowQueries::span(size_t tile) const {
    const At a = at(tile);
    return {a.level, rank_[a.begin], rank_[a.begin + a.count - 1]};
}

void WindowQueries::select(const simd::Kernels &kernels, const Problem &p, const Unit &unit, const Levels &levels,
                           const float *q, size_t tile, const uint32_t *hints_a, const uint32_t *hints_b,
                           WindowWork &work, Lists &lists) const {
    const At a = at(tile);
    const simd::Level &level = levels.level(a.level);
    lists.queries = a.count;
    for (uint32_t i = 0; i < a.count; ++i) {
        const uint32_t query = query_[a.begin + i], limit = limit_of(p, unit, query);
        const float *point = q + size_t(query) * size_t(p.dk);
        uint32_t lo, hi;
        if (hints_a != nullptr) {
            lo = hints_a[query];
            hi = hints_b[query];
        } else {
            kernels.select_window(level, rank_[a.begin + i], limit, uint32_t(p.window), &lo, &hi);
        }
        lists.query[i] = query;
        lists.hint_a[i] = lo;
        lists.hint_b[i] = hi;
        if (!p.reranked()) {
            lists.count[i] =
                kernels.select_emit(level, lo, hi, limit, point, p.dk, lists.ids_of(i), lists.distances_of(i));
            continue;
        }
        const uint32_t found = kernels.select_emit(level, lo, hi, limit, point, p.dk, work.ids, work.distances);
        float kth;
        lists.count[i] = kernels.select_nearest(work.ids, work.distances, found, uint32_t(p.neighbours), &kth);
        std::copy_n(work.ids, lists.count[i], lists.ids_of(i));
        std::copy_n(work.distances, lists.count[i], lists.distances_of(i));
    }
}

} // namespace zeta::cpu
