// SPDX-License-Identifier: Apache-2.0
// Forward of one unit: for every query head, selection, weights and weighted sums of values, tile by tile.
#pragma once

#include "../progress.hpp"
#include "history.hpp"
#include "selection.hpp"
#include "wide_sum.hpp"

namespace zeta::cpu {

// Per thread, on cache lines of its own.
struct alignas(Scratch::kAlignment) AttendWork {
    SelectWork select;
    Lists current; // of the tile in hand, if select.lists are those of the next one already
    WeighWork weigh;
    Weighed weighed[kTile];
    float *row = nullptr, *mean = nullptr, *own = nullptr; // [dv]
    WideSum wide;

    void take(Scratch &scratch, const Problem &p, Source source) {
        select.take(scratch, p, source);
        current.take(scratch, list_room(p));
        weigh.take(scratch, p, kTile, true);
        row = scratch.take<float>(size_t(p.dv));
        mean = scratch.take<float>(size_t(p.dv));
        own = scratch.take<float>(size_t(p.dv));
        wide.take(scratch, p.local, size_t(p.dv));
    }
};

// What forward leaves for backward, and where: two words per query of every head.
struct Saved {
    uint32_t *a = nullptr, *b = nullptr; // [B, H, N] each

    uint32_t *row(uint32_t *base, const Problem &p, int64_t b_, int64_t h, int64_t start) const {
        return base == nullptr ? nullptr : base + (b_ * p.query_heads + h) * p.queries + start;
    }
};

// One query head at work.
struct HeadRun {
    const Executor &executor;
    const HeadKeys &keys;
    const Tensors &t;
    int64_t head;
    uint32_t *save_a, *save_b; // [n] or NULL
};

// Memory and stages of one unit in flight.
class ForwardUnit {
public:
    void take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit);
    void run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p, const Tensors &t,
             const Unit &unit, const Saved &saved, AttendWork *work);

private:
    void head(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p, const Tensors &t,
              const Unit &unit, int64_t head, const Saved &saved, AttendWork *work);
    void tile(const HeadRun &run, size_t at, bool more, int worker, AttendWork &work) const;
    void fetch_list(const HeadRun &run, const Lists &lists, uint32_t slot) const;
    void fetch_query(const HeadRun &run, uint32_t query) const;
    void fetch_values(const HeadRun &run, const uint32_t *ids, uint32_t n) const;
    void fetch_part(const HeadRun &run, const Selection::Ahead &ahead, uint32_t part) const;
    void emit_neighbours(const HeadRun &run, const Lists &lists, uint32_t slot) const;
    void attend(const HeadRun &run, uint32_t query, const Weighed &w, int worker, AttendWork &work) const;

    Rows k_, q_;
    Selection selection_;
    HistoryMean mean_;
};

} // namespace zeta::cpu
