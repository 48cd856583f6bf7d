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
    next_ = scratch.take<uint32_t>(n);
    next_rank_ = scratch.take<uint32_t>(n);
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
        const uint32_t down =
            descend(executor, levels, l, last ? 0 : first_above(p, unit, levels.cap(l + 1)), alive, placed);
        placed += alive - down;
        alive = down;
    }
    query_begin_[levels_] = placed;
    tile_begin_[0] = 0;
    for (int l = 0; l < levels_; ++l)
        tile_begin_[l + 1] = tile_begin_[l] + (query_begin_[l + 1] - query_begin_[l] + kTile - 1) / kTile;
}

// The first query whose limit is above `cap`: limits never fall from one query to the next.
uint32_t WindowQueries::first_above(const Problem &p, const Unit &unit, uint32_t cap) const {
    uint32_t low = 0, high = n_;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (limit_of(p, unit, middle) > cap)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// Leaves the queries of level l, of the `alive` that have come down to it, at `placed`, and passes those below
// `threshold` on. Returns how many these are.
uint32_t WindowQueries::descend(const Executor &executor, const Levels &levels, int l, uint32_t threshold,
                                uint32_t alive, uint32_t placed) {
    const simd::Kernels &kernels = executor.kernels();
    const Pieces pieces(executor, alive);
    uint32_t first[Pieces::kMost + 1] = {}; // queries that go down before each piece
    if (pieces.count() > 1)
        executor.parallel_for(pieces.count(), 1, [&](size_t begin, size_t end, int) {
            for (size_t i = begin; i < end; ++i)
                first[i + 1] =
                    kernels.levels_count(passed_ + pieces.edge(i), pieces.edge(i + 1) - pieces.edge(i), threshold);
        });
    else
        first[1] = kernels.levels_count(passed_, alive, threshold);
    for (size_t i = 0; i < pieces.count(); ++i) first[i + 1] += first[i];
    executor.parallel_for(pieces.count(), 1, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i) {
            const uint32_t from = pieces.edge(i), stay = placed + from - first[i];
            kernels.levels_descend(passed_ + from, passed_rank_ + from, pieces.edge(i + 1) - from, threshold,
                                   levels.kept(l), levels.before(l), query_ + stay, rank_ + stay, next_ + first[i],
                                   next_rank_ + first[i]);
        }
    });
    std::swap(passed_, next_);
    std::swap(passed_rank_, next_rank_);
    return first[pieces.count()];
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
    uint32_t limits[kTile];
    lists.queries = a.count;
    for (uint32_t i = 0; i < a.count; ++i) {
        const uint32_t query = query_[a.begin + i];
        lists.query[i] = query;
        limits[i] = limit_of(p, unit, query);
        if (hints_a == nullptr) continue;
        lists.hint_a[i] = hints_a[query];
        lists.hint_b[i] = hints_b[query];
    }
    if (!p.reranked()) {
        kernels.select_tile(level, {a.count, uint32_t(p.window), hints_a == nullptr, p.dk, q, lists.query,
                                    rank_ + a.begin, limits, lists.stride, lists.ids, lists.distances, lists.count,
                                    lists.hint_a, lists.hint_b});
        return;
    }
    uint32_t found[kTile];
    for (uint32_t from = 0; from < a.count; from += work.lists) {
        const uint32_t n = std::min(work.lists, a.count - from);
        kernels.select_tile(level, {n, uint32_t(p.window), hints_a == nullptr, p.dk, q, lists.query + from,
                                    rank_ + a.begin + from, limits + from, work.stride, work.ids, work.distances, found,
                                    lists.hint_a + from, lists.hint_b + from});
        kernels.select_nearest_lists({n, uint32_t(p.neighbours), found, work.ids, work.distances, work.stride,
                                      work.columns, lists.ids_of(from), lists.distances_of(from), lists.stride,
                                      lists.count + from});
    }
}

} // namespace zeta::cpu
