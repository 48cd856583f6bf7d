// SPDX-License-Identifier: Apache-2.0
// Backward of one unit, told in data order. gather and scatter are in backward_pairs.cpp, the mean in
// backward_mean.cpp.
#include "backward.hpp"

#include "backward_call.hpp"
#include "fetch.hpp"

namespace zeta::cpu {
namespace {

constexpr size_t kSliceChannels = 32; // 128 bytes a key: the sums of 16-bit value gradients stay within promise 7
constexpr size_t kChunkTiles = 16;    // tiles of a chunk for each thread: pairs stay in L2, two barriers a chunk

} // namespace

void BackwardWork::take(Scratch &scratch, const Problem &p, Source source) {
    const size_t list = size_t(p.neighbours) + kInlineLocal + 2 * simd::kListPad;
    const size_t slice = p.local > int64_t(kInlineLocal) ? kSlice + simd::kListPad : 0;
    select.take(scratch, p, source);
    weigh.take(scratch, p, 1);
    g = scratch.take<float>(size_t(p.dv));
    reference = scratch.take<float>(size_t(p.dv));
    products = scratch.take<float>(std::max(list, slice));
    own_weights = scratch.take<float>(list);
    own_ids = scratch.take<uint32_t>(list);
    slice_coefficients = scratch.take<float>(slice);
}

void BackwardUnit::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t,
                        const Unit &unit) {
    const size_t n = unit.n, m = unit.m, dk = size_t(p.dk), dv = size_t(p.dv);
    k_.take(scratch, t.k, m);
    q_.take(scratch, t.q, n);
    selection_.take(scratch, executor, p, unit, source_of(p, t.given));
    if (p.mean) {
        mean_key_ = scratch.take<float>((p.causal ? n : 1) * dk);
        mean_product_ = scratch.take<double>(n);
        mean_weight_ = scratch.take<float>(n);
        mean_key_grad_ = scratch.take<float>(n * dk);
        const uintptr_t mark = scratch.mark();
        key_means_.take(scratch, executor, t.k, unit, p.causal, false);
        const uintptr_t end = scratch.mark();
        scratch.restore(mark); // the sums of keys are done with before those of values begin
        value_means_.take(scratch, executor, t.v, unit, p.causal, false);
        scratch.restore(std::max(end, scratch.mark())); // what follows lies behind both
    }
    gamma_ = scratch.take<double>(n);
    key_grad_ = scratch.take<double>(m * dk);
    suffix_ = scratch.take<double>((n / mean_block(dv) + 3) * std::max(dv, dk));
    if (t.grad_v.present() && t.grad_v.dtype != ZETA_F32)
        slice_ = scratch.take<float>(m * std::min(dv, kSliceChannels));
    chunk_tiles_ = executor.workers() > 1 ? kChunkTiles * size_t(executor.workers()) : 1;
    const size_t list = size_t(p.neighbours) + kInlineLocal + simd::kListPad, slots = chunk_tiles_ * kTile;
    pairs_ = scratch.take<Pairs>(slots);
    uint32_t *ids = scratch.take<uint32_t>(slots * list);
    float *weights = scratch.take<float>(slots * list), *coefficients = scratch.take<float>(slots * list);
    if (scratch.measuring() || scratch.overrun()) return;
    for (size_t i = 0; i < slots; ++i) pairs_[i] = {0, 0, ids + i * list, weights + i * list, coefficients + i * list};
}

void BackwardUnit::run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p,
                       const Tensors &t, const Unit &unit, const Saved &saved, BackwardWork *work, int threads,
                       int worker, double *grad_gamma) {
    const Call c{executor, context, progress, p, t, unit, saved, work, threads, worker, grad_gamma};
    k_.load(executor, t.k, unit.batch, unit.key_head, unit.k_start, unit.m);
    selection_.begin(unit);
    selection_.build_keys(executor, context, k_.data());
    if (p.mean) {
        StageTimer timer(context, Stage::mean);
        mean_keys(executor, key_means_, t.k, unit, p.causal, mean_key_);
    }
    std::fill_n(key_grad_, size_t(unit.m) * size_t(p.dk), 0.0);
    const size_t dv = size_t(p.dv);
    const bool direct = t.grad_v.present() && t.grad_v.dtype == ZETA_F32, sliced = t.grad_v.present() && !direct;
    const size_t step = sliced ? std::min(dv, kSliceChannels) : dv;
    for (size_t begin = 0; begin < dv; begin += step) {
        Channels channels{begin, t.grad_v.present() ? std::min(dv, begin + step) : begin, slice_, step, begin == 0};
        if (direct && unit.m > 0) {
            channels.rows = t.grad_v.row<float>(unit.batch, unit.key_head, unit.k_start);
            channels.stride = size_t(t.grad_v.row_stride);
        }
        for (uint32_t j = 0; j < unit.m; ++j)
            std::fill_n(channels.rows + j * channels.stride, channels.end - channels.begin, 0.0f);
        for (int64_t i = 0; i < p.heads_per_key(); ++i) {
            if (channels.first && grad_gamma != nullptr) grad_gamma[i] = 0;
            for_parts(unit, [&](const Unit &part) {
                Call of_part = c;
                of_part.unit = part;
                head(of_part, unit.key_head * p.heads_per_key() + i, channels);
            });
        }
        if (!sliced) break;
        for (uint32_t j = 0; j < unit.m; ++j)
            narrow(executor.kernels(), t.grad_v.dtype, slice_ + j * step, channels.end - channels.begin,
                   static_cast<uint16_t *>(row_pointer_out(t.grad_v, unit.batch, unit.key_head, unit.k_start + j)) +
                       begin);
    }
    finish_keys(c);
}

void BackwardUnit::fetch_ahead(const Call &c, const HeadKeys &keys, int64_t head, const Selection::Ahead &ahead) {
    const size_t dk = size_t(c.p.dk), point = dk * sizeof(float);
    for (uint32_t i = 0; i < ahead.query_count; ++i) {
        const uint32_t query = ahead.queries[i];
        fetch(keys.q + query * dk, point);
        fetch_row(c.t.grad_out, c.unit.batch, head, c.unit.q_start + query);
        if (!c.p.causal) continue;
        if (keys.mean_key != nullptr) fetch(keys.mean_key + query * dk, point);
        const int64_t position = position_of(c.unit, query);
        fetch(keys.k + size_t(position) * dk, point);
        fetch_row(c.t.v, c.unit.batch, c.unit.key_head, c.unit.k_start + position);
        if (c.t.grad_v.present()) fetch_row(c.t.grad_v, c.unit.batch, c.unit.key_head, c.unit.k_start + position);
    }
    for (uint32_t i = 0; i < ahead.key_count; ++i) {
        const uint32_t key = ahead.keys[i];
        fetch(keys.k + key * dk, point);
        fetch(key_grad_ + key * dk, dk * sizeof(double));
        fetch_row(c.t.v, c.unit.batch, c.unit.key_head, c.unit.k_start + key);
        if (c.t.grad_v.present()) fetch_row(c.t.grad_v, c.unit.batch, c.unit.key_head, c.unit.k_start + key);
    }
}

void BackwardUnit::head(const Call &c, int64_t head, const Channels &channels) {
    q_.load(c.executor, c.t.q, c.unit.batch, head, c.unit.q_start, c.unit.n);
    selection_.build_queries(c.executor, c.context, c.unit, q_.data());
    selection_.use_given(c.t.given, head);
    if (c.p.mean && channels.first) {
        StageTimer timer(c.context, Stage::mean);
        prepare_mean_products(c, head);
    }
    const HeadKeys keys{&c.executor.kernels(), &c.p, &c.unit, q_.data(), k_.data(), c.p.mean ? mean_key_ : nullptr,
                        c.p.gamma_of(head)};
    const uint32_t *hints_a = c.saved.row(c.saved.a, c.p, c.unit.batch, head, c.unit.q_start);
    const uint32_t *hints_b = c.saved.row(c.saved.b, c.p, c.unit.batch, head, c.unit.q_start);
    // A wide local window does not fit the pairs: its slices are scattered as they are gathered, on one thread.
    const bool wide = c.p.causal && c.p.local > int64_t(kInlineLocal);
    const int threads = wide ? 1 : c.threads;
    const size_t tiles = selection_.tiles(), chunk = threads > 1 ? chunk_tiles_ : 1;
    StageTimer timer(c.context, Stage::attend);
    for (size_t start = 0; start < tiles; start += chunk) {
        const size_t count = std::min(chunk, tiles - start);
        const auto gather_tiles = [&](size_t begin, size_t end, int worker) {
            BackwardWork &work = c.work[worker];
            for (size_t i = begin; i < end; ++i) {
                selection_.select(c.executor.kernels(), start + i, hints_a, hints_b, work.select);
                fetch_ahead(c, keys, head, selection_.ahead(start + i + 1));
                for (uint32_t s = 0; s < kTile; ++s) {
                    Pairs &pairs = pairs_[i * kTile + s];
                    pairs.count = 0;
                    if (s < work.select.lists.queries) gather(c, keys, head, s, channels, work, pairs);
                }
            }
        };
        const auto scatter_pairs = [&](size_t begin, size_t end, int worker) {
            for (size_t shard = begin; shard < end; ++shard)
                scatter(c, keys, head, channels, pairs_, count * kTile, int(shard), threads, c.work[worker]);
        };
        if (threads == 1) {
            gather_tiles(0, count, c.worker);
            scatter_pairs(0, 1, c.worker);
        } else {
            c.executor.parallel_for(count, 2, gather_tiles);
            c.executor.parallel_for(size_t(threads), 1, scatter_pairs);
        }
        if (channels.first) c.progress.advance(count * kTile);
    }
    if (c.p.mean) {
        mean_values(c, head, channels);
        if (channels.first) mean_key_rows(c);
    }
    if (!channels.first || c.grad_gamma == nullptr) return;
    double sum = 0;
    for (uint32_t i = 0; i < c.unit.n; ++i) sum += gamma_[i];
    c.grad_gamma[head - c.unit.key_head * c.p.heads_per_key()] += sum;
}

void BackwardUnit::finish_keys(const Call &c) {
    if (!c.t.grad_k.present()) return;
    const size_t dk = size_t(c.p.dk);
    float row[ZETA_MAX_DK];
    for (uint32_t j = 0; j < c.unit.m; ++j) {
        for (size_t e = 0; e < dk; ++e) row[e] = float(key_grad_[j * dk + e]);
        narrow(c.executor.kernels(), c.t.grad_k.dtype, row, dk,
               row_pointer_out(c.t.grad_k, c.unit.batch, c.unit.key_head, c.unit.k_start + j));
    }
}

} // namespace zeta::cpu
