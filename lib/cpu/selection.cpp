// SPDX-License-Identifier: Apache-2.0
// The three sources of neighbours and the stages that prepare them: codes and sort, levels, placing queries.
#include "selection.hpp"

namespace zeta::cpu {

void SelectWork::take(Scratch &scratch, const Problem &p, Source source) {
    lists.take(scratch, list_room(p));
    if (source == Source::window) window.take(scratch, p);
    if (source == Source::exact) exact.take(scratch, uint32_t(p.neighbours), p.dk);
}

void Selection::take(Scratch &scratch, const Problem &p, const Unit &unit, Source source) {
    problem_ = &p;
    source_ = source;
    const uintptr_t begin = scratch.mark();
    lay_out(scratch, unit);
    block_ = scratch.measuring() ? Scratch() : Scratch(reinterpret_cast<void *>(begin), scratch.mark() - begin);
}

void Selection::begin(const Unit &unit) {
    Scratch scratch = block_;
    lay_out(scratch, unit);
}

void Selection::lay_out(Scratch &scratch, const Unit &unit) {
    unit_ = unit;
    const uint32_t first = uint32_t(std::min<int64_t>(problem_->first, unit.m)),
                   queries = std::min(unit.n, kPartQueries);
    if (source_ == Source::window) {
        levels_.take(scratch, unit.m, problem_->dk, first, problem_->causal);
        window_.take(scratch, queries);
    } else if (source_ == Source::exact) {
        exact_keys_.take(scratch, unit.m, problem_->dk, first, problem_->causal);
        exact_queries_.take(scratch, queries, problem_->dk);
        limits_ = scratch.take<uint32_t>(queries);
    }
}

void Selection::build_keys(const Executor &executor, Context &context, const float *k) {
    const Problem &p = *problem_;
    const Unit &unit = unit_;
    k_ = k;
    if (source_ == Source::window) {
        axes_ = axes_of(p.grid, unit.key_head, p.dk);
        {
            StageTimer timer(context, Stage::codes);
            levels_.encode_keys(executor, axes_, k);
        }
        {
            StageTimer timer(context, Stage::sort);
            levels_.sort_keys(executor);
        }
        StageTimer timer(context, Stage::levels);
        levels_.build(executor, k);
    } else if (source_ == Source::exact) {
        StageTimer timer(context, Stage::levels);
        exact_keys_.build(executor, k);
    }
}

void Selection::build_queries(const Executor &executor, Context &context, const Unit &part, const float *q) {
    unit_ = part;
    q_ = q;
    if (source_ == Source::window) {
        window_.count(part.n);
        {
            StageTimer timer(context, Stage::codes);
            window_.encode_queries(executor, axes_, q, problem_->dk);
        }
        {
            StageTimer timer(context, Stage::sort);
            window_.sort_queries(executor);
        }
        StageTimer timer(context, Stage::select);
        window_.place(executor, *problem_, unit_, levels_);
    } else if (source_ == Source::exact) {
        StageTimer timer(context, Stage::select);
        const uint32_t first = uint32_t(std::min<int64_t>(problem_->first, part.m));
        executor.parallel_for(part.n, 1 << 14, [&](size_t begin, size_t end, int) {
            for (size_t i = begin; i < end; ++i) limits_[i] = std::max(limit_of(*problem_, part, int64_t(i)), first);
        });
        exact_queries_.count(part.n);
        exact_queries_.build(executor, exact_keys_, q, limits_);
    }
}

size_t Selection::tiles() const {
    if (source_ == Source::window) return window_.tiles();
    if (source_ == Source::exact) return exact_queries_.tiles();
    return (unit_.n + kTile - 1) / kTile;
}

Selection::Ahead Selection::ahead(size_t tile) const {
    Ahead ahead;
    if (source_ != Source::window || tile >= window_.tiles()) return ahead;
    ahead.query_count = window_.queries(tile, &ahead.queries);
    const WindowQueries::Span span = window_.span(tile);
    const simd::Level &level = levels_.level(span.level);
    const uint32_t reach = std::min(uint32_t(problem_->window), 2 * uint32_t(problem_->neighbours)); // most lie within
    const uint32_t margin = reach * 5 / 4; // of keys of which half may be searched
    uint32_t begin = span.begin > margin ? span.begin - margin : 0;
    if (tile > 0) { // less what the tile before has asked for
        const WindowQueries::Span before = window_.span(tile - 1);
        if (before.level == span.level) begin = std::max(begin, std::min(before.end, span.end) + margin);
    }
    ahead.keys = level.position + begin;
    ahead.key_count = std::min(std::max(std::min(span.end + margin, level.count), begin) - begin, 16 * kTile);
    return ahead;
}

void Selection::select(const simd::Kernels &kernels, size_t tile, const uint32_t *hints_a, const uint32_t *hints_b,
                       SelectWork &work) const {
    if (source_ == Source::window) {
        window_.select(kernels, *problem_, unit_, levels_, q_, tile, hints_a, hints_b, work.window, work.lists);
        return;
    }
    if (source_ == Source::exact) {
        exact_queries_.select(exact_keys_, tile, uint32_t(problem_->neighbours), hints_a, work.exact, work.lists);
        return;
    }
    Lists &lists = work.lists;
    const uint32_t begin = uint32_t(tile) * kTile;
    lists.queries = uint32_t(std::min<int64_t>(kTile, unit_.n - begin));
    for (uint32_t i = 0; i < lists.queries; ++i) {
        const uint32_t query = begin + i;
        const int32_t *entries = given_.row<int32_t>(unit_.batch, given_head_, unit_.q_start + query);
        uint32_t n = 0;
        while (n < uint32_t(problem_->neighbours) && entries[n] >= 0) {
            lists.ids_of(i)[n] = uint32_t(entries[n] - unit_.k_start);
            ++n;
        }
        lists.query[i] = query;
        lists.count[i] = n;
        lists.hint_a[i] = lists.hint_b[i] = 0;
        kernels.attend_distances(q_ + size_t(query) * size_t(problem_->dk), k_, problem_->dk, lists.ids_of(i), n,
                                 lists.distances_of(i));
    }
}

} // namespace zeta::cpu
