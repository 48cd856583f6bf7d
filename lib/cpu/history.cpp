// SPDX-License-Identifier: Apache-2.0
// Where mean keys and mean values are kept.
#include "history.hpp"

namespace zeta::cpu {
namespace {

constexpr int32_t kShortRow = 64; // channels: 256 bytes a query stay within promise 7

bool in_out(const Problem &p, const Tensors &t) {
    return p.causal && t.out.dtype == ZETA_F32;
}

} // namespace

bool mixes_own(const Problem &p) {
    return p.mean && p.causal && p.local == 1 && p.score != ZETA_SCORE_DOT;
}

void HistoryMean::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit,
                       Values wanted) {
    if (!p.mean) return;
    key_ = scratch.take<float>((p.causal ? size_t(unit.n) : 1) * size_t(p.dk));
    const bool values = wanted != Values::none;
    const size_t mixed = wanted == Values::mixed && mixes_own(p) ? size_t(unit.n) : 0;
    near_ = mixed != 0 ? scratch.take<float>(2 * mixed) : nullptr;
    shares_ = mixed != 0 ? scratch.take<float>(2 * mixed) : nullptr;
    apart_ = mixed != 0 ? scratch.take<uint8_t>(mixed) : nullptr;
    const bool rows = values && p.causal && !in_out(p, t) && p.dv <= kShortRow;
    rows_ = rows ? scratch.take<float>(size_t(unit.n) * size_t(p.dv)) : nullptr;
    const uintptr_t mark = scratch.mark();
    keys_.take(scratch, executor, t.k, unit, p.causal, false);
    const uintptr_t end = scratch.mark();
    scratch.restore(mark); // the sums of keys are done with before those of values begin
    values_.take(scratch, executor, t.v, unit, p.causal, values && !rows && !in_out(p, t));
    scratch.restore(std::max(end, scratch.mark())); // what follows lies behind both
}

void HistoryMean::build_keys(const Executor &executor, Context &context, const Problem &p, const Tensors &t,
                             const Unit &unit) {
    if (!p.mean) return;
    StageTimer timer(context, Stage::mean);
    if (p.causal) {
        keys_.build_into(executor, t.k, unit, key_, size_t(p.dk));
        return;
    }
    keys_.build(executor, t.k, unit, false);
    if (unit.m > 0) keys_.row(executor, 0, 0, key_);
}

void HistoryMean::mix(const Executor &executor, Context &context, const Problem &p, const Unit &part, float gamma,
                      const float *q, const float *k) {
    if (near_ == nullptr) return;
    StageTimer timer(context, Stage::mean);
    const size_t dk = size_t(p.dk), first = size_t(position_of(part, 0));
    executor.parallel_for(size_t(part.n), 4096, [&](size_t begin, size_t end, int) {
        const simd::Kernels &kernels = executor.kernels();
        kernels.near_distances(q + begin * dk, k + (first + begin) * dk, key_ + begin * dk, p.dk, end - begin,
                               near_ + 2 * begin);
        kernels.near_shares(p.score, gamma, near_ + 2 * begin, end - begin, shares_ + 2 * begin);
        for (size_t i = begin; i < end && int64_t(first + i) < p.first; ++i) { // no local position
            shares_[2 * i] = 0;
            shares_[2 * i + 1] = 1;
        }
    });
}

void HistoryMean::build_values(const Executor &executor, Context &context, const Problem &p, const Tensors &t,
                               const Unit &part, int64_t head) {
    if (!p.mean) return;
    StageTimer timer(context, Stage::mean);
    if (!in_out(p, t) && rows_ == nullptr) {
        values_.build(executor, t.v, part, p.causal);
        return;
    }
    float *rows = rows_ != nullptr ? rows_ : t.out.row<float>(part.batch, head, part.q_start);
    const size_t stride = rows_ != nullptr ? size_t(p.dv) : size_t(t.out.row_stride);
    if (near_ != nullptr)
        values_.build_mixed(executor, t.v, part, shares_, apart_, rows, stride);
    else
        values_.build_into(executor, t.v, part, rows, stride);
}

bool HistoryMean::made_late(const Problem &p, const Tensors &t) const {
    return !in_out(p, t) && rows_ == nullptr;
}

HistoryMean::Value HistoryMean::value(const Executor &executor, const Problem &p, const Tensors &t, const Unit &part,
                                      int64_t head, uint32_t query, int worker, float *buffer,
                                      float *own_buffer) const {
    if (!made_late(p, t)) {
        const float *out =
            rows_ != nullptr ? waiting(p, query) : t.out.row<float>(part.batch, head, part.q_start + query);
        return {out, near_ != nullptr && apart_[query] == 0};
    }
    values_.row(executor, query, worker, buffer);
    if (near_ == nullptr) return {buffer, false};
    const simd::Kernels &kernels = executor.kernels();
    const void *own = row_pointer(t.v, part.batch, part.key_head, part.k_start + position_of(part, query));
    const float *shares = shares_ + 2 * size_t(query);
    widen(kernels, t.v.dtype, own, size_t(p.dv), own_buffer);
    const bool finite = kernels.mean_mix(own_buffer, buffer, size_t(p.dv), shares[0], shares[1], own_buffer);
    return {finite ? own_buffer : buffer, finite};
}

} // namespace zeta::cpu
