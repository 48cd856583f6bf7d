// SPDX-License-Identifier: Apache-2.0
// Forward of one unit, told in data order: rows, codes and sort, levels, then per head the queries' places, the means,
// and select + attend over tiles. While one tile does its sums, the rows the next one will read are fetched.
#include "attend.hpp"

#include "fetch.hpp"

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

// The weighted sum again in float64, for rows whose float32 partial sums left the range although values near FLT_MAX
// have a mean that does not, for denormal values, and for rows with true NaN or infinities, which come out the same.
// Channels in groups that fit the stack; slices of a wide local window are weighed once for each group.
void attend_wide_range(const HeadKeys &keys, const Tensors &t, const Weighed &w, const float *mean_value,
                       WeighWork &work, size_t dv, float *row) {
    constexpr size_t kGroup = 256;
    const Unit &u = *keys.unit;
    const size_t bytes = float_size(t.v.dtype);
    for (size_t begin = 0; begin < dv; begin += kGroup) {
        const size_t width = std::min(kGroup, dv - begin);
        double sum[kGroup] = {}, weights = 0;
        float values[kGroup];
        const auto add = [&](double weight, const float *x) {
            for (size_t c = 0; c < width; ++c) sum[c] += weight * double(x[c]);
            weights += weight;
        };
        const auto add_keys = [&](const uint32_t *ids, const float *shares, uint32_t n) {
            for (uint32_t i = 0; i < n; ++i) {
                const void *p = row_pointer(t.v, u.batch, u.key_head, u.k_start + ids[i]);
                widen(*keys.kernels, t.v.dtype, static_cast<const char *>(p) + begin * bytes, width, values);
                add(double(shares[i]), values);
            }
        };
        if (w.has_mean) add(double(w.mean_weight), mean_value + begin);
        add_keys(w.ids, w.weights, w.count);
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice)
            add_keys(work.slice_ids, work.slice_weights, w.slice(b, work));
        // The weights' sum is 1 but for rounding, which at FLT_MAX would overflow.
        for (size_t c = 0; c < width; ++c) row[begin + c] = float(sum[c] / weights);
    }
}

} // namespace

void ForwardUnit::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t,
                       const Unit &unit) {
    k_.take(scratch, t.k, unit.m);
    q_.take(scratch, t.q, unit.n);
    selection_.take(scratch, p, unit, source_of(p, t.given));
    mean_.take(scratch, executor, p, t, unit, true);
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
    mean_.build_values(executor, context, p, t, unit, head);
    const HeadKeys keys{&executor.kernels(), &p, &unit, q_.data(), k_.data(), mean_.key(), p.gamma_of(head)};
    uint32_t *save_a = saved.row(saved.a, p, unit.batch, head, unit.q_start);
    uint32_t *save_b = saved.row(saved.b, p, unit.batch, head, unit.q_start);
    StageTimer timer(context, Stage::attend);
    executor.parallel_for(selection_.tiles(), 32, [&](size_t begin, size_t end, int worker) {
        AttendWork &mine = work[worker];
        for (size_t tile = begin; tile < end; ++tile) {
            selection_.select(executor.kernels(), tile, nullptr, nullptr, mine.select);
            Lists &lists = mine.select.lists;
            const Selection::Ahead ahead = tile + 1 < end ? selection_.ahead(tile + 1) : Selection::Ahead();
            if (t.neighbours.present())
                for (uint32_t i = 0; i < lists.queries; ++i) emit_neighbours(keys, t, head, lists, i);
            weigh_tile(keys, lists, mine.weighed, mine.weigh);
            for (uint32_t i = 0; i < lists.queries; ++i) {
                fetch_ahead(keys, t, head, ahead, i);
                if (save_a != nullptr) {
                    save_a[lists.query[i]] = lists.hint_a[i];
                    save_b[lists.query[i]] = lists.hint_b[i];
                }
                attend(executor, keys, t, head, i, worker, mine);
            }
        }
        progress.advance((end - begin) * kTile);
    });
}

// A sixteenth of the rows that the next tile will read: without this every row is a cache miss waited for.
void ForwardUnit::fetch_ahead(const HeadKeys &keys, const Tensors &t, int64_t head, const Selection::Ahead &ahead,
                              uint32_t part) const {
    const Unit &u = *keys.unit;
    const size_t dk = size_t(keys.problem->dk), point = dk * sizeof(float);
    const size_t value = std::min<size_t>(size_t(keys.problem->dv) * float_size(t.v.dtype), 1024);
    const size_t out = std::min<size_t>(size_t(keys.problem->dv) * float_size(t.out.dtype), 1024);
    if (part < ahead.query_count) {
        const uint32_t query = ahead.queries[part];
        fetch(keys.q + query * dk, point);
        if (keys.mean_key != nullptr && keys.problem->causal) fetch(keys.mean_key + query * dk, point);
        if (keys.problem->causal) fetch(keys.k + size_t(position_of(u, query)) * dk, point);
        fetch(row_pointer(t.out, u.batch, head, u.q_start + query), out);
        if (const float *mean = mean_.waiting(*keys.problem, query))
            fetch(mean, size_t(keys.problem->dv) * sizeof *mean);
        if (keys.problem->local > 0)
            fetch(row_pointer(t.v, u.batch, u.key_head, u.k_start + position_of(u, query)), value);
    }
    const uint32_t share = (ahead.key_count + kTile - 1) / kTile;
    for (uint32_t i = part * share; i < std::min((part + 1) * share, ahead.key_count); ++i)
        fetch(row_pointer(t.v, u.batch, u.key_head, u.k_start + ahead.keys[i]), value);
}

void ForwardUnit::emit_neighbours(const HeadKeys &keys, const Tensors &t, int64_t head, const Lists &lists,
                                  uint32_t slot) const {
    const Unit &u = *keys.unit;
    int32_t *out = t.neighbours.row<int32_t>(u.batch, head, u.q_start + lists.query[slot]);
    const uint32_t *ids = lists.ids_of(slot);
    for (uint32_t i = 0; i < lists.count[slot]; ++i) out[i] = int32_t(ids[i] + u.k_start);
    std::sort(out, out + lists.count[slot]);
    std::fill(out + lists.count[slot], out + keys.problem->neighbours, -1);
}

void ForwardUnit::attend(const Executor &executor, const HeadKeys &keys, const Tensors &t, int64_t head, uint32_t slot,
                         int worker, AttendWork &work) const {
    const Unit &u = *keys.unit;
    const size_t dv = size_t(keys.problem->dv);
    const uint32_t query = work.select.lists.query[slot];
    const Weighed &w = work.weighed[slot];
    if (t.normaliser.present()) *t.normaliser.row<float>(u.batch, head, u.q_start + query) = w.normaliser;
    void *out = row_pointer_out(t.out, u.batch, head, u.q_start + query);
    const bool in_place = t.out.dtype == ZETA_F32;
    float *row = in_place ? static_cast<float *>(out) : work.row;
    const float *mean = nullptr;
    if (!w.empty && w.has_mean) mean = mean_.value(executor, *keys.problem, t, u, head, query, worker, work.mean);
    float *kept = mean == row ? work.mean : nullptr; // row is written over
    const ValuesKernel values = values_kernel(*keys.kernels, t.v.dtype);
    const void *v = row_pointer(t.v, u.batch, u.key_head, u.k_start);
    const size_t stride = size_t(t.v.row_stride);
    bool in_range = values(w.ids, w.weights, w.count, v, stride, dv, mean, w.mean_weight, kept, row);
    for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
        const uint32_t n = w.slice(b, work.weigh);
        in_range = values(work.weigh.slice_ids, work.weigh.slice_weights, n, v, stride, dv, row, 1.0f, nullptr, row);
    }
    if (!w.empty && !in_range) attend_wide_range(keys, t, w, kept != nullptr ? kept : mean, work.weigh, dv, row);
    if (!in_place) narrow(*keys.kernels, t.out.dtype, row, dv, out);
}

} // namespace zeta::cpu
