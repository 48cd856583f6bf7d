// SPDX-License-Identifier: Apache-2.0
// Forward of one unit, told in data order: rows, codes and sort, levels, then per head the queries' places, the means,
// and select + attend over tiles. While one tile does its sums, the rows the next one will read are fetched.
#include "attend.hpp"

#include "fetch.hpp"
#include "wide_range.hpp"

namespace zeta::cpu {
namespace {

using ValuesKernel = bool (*)(const uint32_t *, const float *, uint32_t, const void *, size_t, size_t, const float *,
                              float, float *, float *);

ValuesKernel values_kernel(const simd::Kernels &kernels, int32_t dtype) {
    switch (dtype) {
    case ZETA_BF16:
        return kernels.attend_values_bf16;
    case ZETA_F16:
        return kernels.attend_values_f16;
    default:
        return kernels.attend_values_f32;
    }
}

} // namespace

void ForwardUnit::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t,
                       const Unit &unit) {
    k_.take(scratch, t.k, unit.m);
    q_.take(scratch, t.q, unit.n);
    selection_.take(scratch, p, unit, source_of(p, t.given));
    mean_.take(scratch, executor, p, t, unit, HistoryMean::Values::mixed);
}

void ForwardUnit::run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p,
                      const Tensors &t, const Unit &unit, const Saved &saved, AttendWork *work) {
    k_.load(executor, t.k, unit.batch, unit.key_head, unit.k_start, unit.m);
    selection_.begin(unit);
    selection_.build_keys(executor, context, k_.data());
    mean_.build_keys(executor, context, p, t, unit);
    for (int64_t i = 0; i < p.heads_per_key(); ++i)
        for_parts(unit, [&](const Unit &part) {
            head(executor, context, progress, p, t, part, unit.key_head * p.heads_per_key() + i, saved, work);
        });
}

void ForwardUnit::head(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p,
                       const Tensors &t, const Unit &unit, int64_t head, const Saved &saved, AttendWork *work) {
    q_.load(executor, t.q, unit.batch, head, unit.q_start, unit.n);
    selection_.build_queries(executor, context, unit, q_.data());
    selection_.use_given(t.given, head);
    mean_.mix(executor, context, p, unit, p.gamma_of(head), q_.data(), k_.data());
    mean_.build_values(executor, context, p, t, unit, head);
    HeadKeys keys{&executor.kernels(), &p, &unit, q_.data(), k_.data(), mean_.key(), p.gamma_of(head)};
    keys.near = mean_.near();
    const HeadRun run{executor,
                      keys,
                      t,
                      head,
                      saved.row(saved.a, p, unit.batch, head, unit.q_start),
                      saved.row(saved.b, p, unit.batch, head, unit.q_start)};
    StageTimer timer(context, Stage::attend);
    executor.parallel_for(selection_.tiles(), 32, [&](size_t begin, size_t end, int worker) {
        AttendWork &mine = work[worker];
        if (selection_.needs_early()) selection_.select(executor.kernels(), begin, nullptr, nullptr, mine.select);
        for (size_t at = begin; at < end; ++at) tile(run, at, at + 1 < end, worker, mine);
        progress.advance((end - begin) * kTile);
    });
}

// One tile; `more`: the next one follows on this thread, and what it reads is fetched meanwhile.
void ForwardUnit::tile(const HeadRun &run, size_t at, bool more, int worker, AttendWork &work) const {
    const simd::Kernels &kernels = run.executor.kernels();
    const bool early = selection_.needs_early();
    if (early) std::swap(work.select.lists, work.current);
    if (!early || more) selection_.select(kernels, early ? at + 1 : at, nullptr, nullptr, work.select);
    Lists &lists = early ? work.current : work.select.lists;
    Selection::Ahead ahead;
    if (more && !early) ahead = selection_.ahead(at + 1);
    if (run.t.neighbours.present())
        for (uint32_t i = 0; i < lists.queries; ++i) emit_neighbours(run, lists, i);
    weigh_tile(run.keys, lists, work.weighed, work.weigh);
    for (uint32_t i = 0; i < lists.queries; ++i) {
        if (!early)
            fetch_part(run, ahead, i);
        else if (more)
            fetch_list(run, work.select.lists, i);
        if (run.save_a != nullptr) {
            run.save_a[lists.query[i]] = lists.hint_a[i];
            run.save_b[lists.query[i]] = lists.hint_b[i];
        }
        attend(run, lists.query[i], work.weighed[i], worker, work);
    }
}

// A sixteenth of the rows that the next tile will read: without this every row is a cache miss waited for.
void ForwardUnit::fetch_part(const HeadRun &run, const Selection::Ahead &ahead, uint32_t part) const {
    if (part < ahead.query_count) fetch_query(run, ahead.queries[part]);
    const uint32_t share = (ahead.key_count + kTile - 1) / kTile, begin = std::min(part * share, ahead.key_count);
    fetch_values(run, ahead.keys + begin, std::min(share, ahead.key_count - begin));
}

// The same for a query whose keys are known.
void ForwardUnit::fetch_list(const HeadRun &run, const Lists &lists, uint32_t slot) const {
    if (slot >= lists.queries) return;
    fetch_query(run, lists.query[slot]);
    fetch_values(run, lists.ids_of(slot), lists.count[slot]);
}

void ForwardUnit::fetch_query(const HeadRun &run, uint32_t query) const {
    const Problem &p = *run.keys.problem;
    const Unit &u = *run.keys.unit;
    const size_t dk = size_t(p.dk), point = dk * sizeof(float);
    fetch(run.keys.q + query * dk, point);
    if (run.keys.near != nullptr) {
        fetch(run.keys.near + 2 * size_t(query), 2 * sizeof(float));
        if (mean_.made_late(p, run.t)) fetch_row(run.t.v, u.batch, u.key_head, u.k_start + position_of(u, query));
    } else if (p.causal) {
        if (run.keys.mean_key != nullptr) fetch(run.keys.mean_key + query * dk, point);
        const int64_t position = position_of(u, query);
        fetch(run.keys.k + size_t(position) * dk, point);
        if (p.local > 0) fetch_row(run.t.v, u.batch, u.key_head, u.k_start + position);
    }
    fetch_row(run.t.out, u.batch, run.head, u.q_start + query);
    if (const float *mean = mean_.waiting(p, query)) fetch(mean, size_t(p.dv) * sizeof *mean);
}

void ForwardUnit::fetch_values(const HeadRun &run, const uint32_t *ids, uint32_t n) const {
    const Unit &u = *run.keys.unit;
    const View &v = run.t.v;
    const char *rows = static_cast<const char *>(row_pointer(v, u.batch, u.key_head, u.k_start));
    const size_t stride = size_t(v.row_stride) * float_size(v.dtype);
    const size_t bytes = std::min<size_t>(size_t(v.channels) * float_size(v.dtype), 1024);
    for (uint32_t i = 0; i < n; ++i) fetch(rows + size_t(ids[i]) * stride, bytes);
}

void ForwardUnit::emit_neighbours(const HeadRun &run, const Lists &lists, uint32_t slot) const {
    const Unit &u = *run.keys.unit;
    int32_t *out = run.t.neighbours.row<int32_t>(u.batch, run.head, u.q_start + lists.query[slot]);
    const uint32_t *ids = lists.ids_of(slot);
    for (uint32_t i = 0; i < lists.count[slot]; ++i) out[i] = int32_t(ids[i] + u.k_start);
    std::sort(out, out + lists.count[slot]);
    std::fill(out + lists.count[slot], out + run.keys.problem->neighbours, -1);
}

void ForwardUnit::attend(const HeadRun &run, uint32_t query, const Weighed &w, int worker, AttendWork &work) const {
    const HeadKeys &keys = run.keys;
    const Tensors &t = run.t;
    const Unit &u = *keys.unit;
    const size_t dv = size_t(keys.problem->dv);
    if (t.normaliser.present()) *t.normaliser.row<float>(u.batch, run.head, u.q_start + query) = w.normaliser;
    void *out = row_pointer_out(t.out, u.batch, run.head, u.q_start + query);
    const bool in_place = t.out.dtype == ZETA_F32;
    float *row = in_place ? static_cast<float *>(out) : work.row;
    HistoryMean::Value value{nullptr, false};
    if (!w.empty && w.has_mean)
        value = mean_.value(run.executor, *keys.problem, t, u, run.head, query, worker, work.mean, work.own);
    const float *mean = value.row;
    const bool mixed = value.mixed;
    const uint32_t listed = w.count - (mixed && w.has_own ? 1 : 0);
    float *kept = mean == row && !mixed ? work.mean : nullptr; // row is written over
    const ValuesKernel values = values_kernel(*keys.kernels, t.v.dtype);
    const void *v = row_pointer(t.v, u.batch, u.key_head, u.k_start);
    const size_t stride = size_t(t.v.row_stride);
    const float mean_weight = mixed ? w.mixed_weight() : w.mean_weight;
    bool in_range = values(w.ids, w.weights, listed, v, stride, dv, mean, mean_weight, kept, row);
    if (w.wide.begin < w.wide.end) {
        work.wide.begin(row, dv);
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            values(work.weigh.slice_ids, work.weigh.slice_weights, n, v, stride, dv, nullptr, 0, nullptr,
                   work.wide.part());
            work.wide.add(dv);
        }
        in_range = work.wide.finish(row, dv);
    }
    if (!w.empty && !in_range) {
        const auto read = [&](uint32_t id, size_t begin, size_t width, float *values_of) {
            const void *p = row_pointer(t.v, u.batch, u.key_head, u.k_start + id);
            widen(*keys.kernels, t.v.dtype, static_cast<const char *>(p) + begin * float_size(t.v.dtype), width,
                  values_of);
        };
        if (mixed) mean_.value_alone(run.executor, query, worker, work.mean);
        attend_wide_range(w, read, mixed || kept != nullptr ? work.mean : mean, work.weigh, dv, row);
    }
    if (!in_place) narrow(*keys.kernels, t.out.dtype, row, dv, out);
}

} // namespace zeta::cpu
