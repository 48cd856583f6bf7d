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

void HistoryMean::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit,
                       bool values) {
    if (!p.mean) return;
    key_ = scratch.take<float>((p.causal ? size_t(unit.n) : 1) * size_t(p.dk));
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

void HistoryMean::build_values(const Executor &executor, Context &context, const Problem &p, const Tensors &t,
                               const Unit &part, int64_t head) {
    if (!p.mean) return;
    StageTimer timer(context, Stage::mean);
    if (in_out(p, t))
        values_.build_into(executor, t.v, part, t.out.row<float>(part.batch, head, part.q_start),
                           size_t(t.out.row_stride));
    else if (rows_ != nullptr)
        values_.build_into(executor, t.v, part, rows_, size_t(p.dv));
    else
        values_.build(executor, t.v, part, p.causal);
}

const float *HistoryMean::value(const Executor &executor, const Problem &p, const Tensors &t, const Unit &part,
                                int64_t head, uint32_t query, int worker, float *buffer) const {
    if (in_out(p, t)) return t.out.row<float>(part.batch, head, part.q_start + query);
    if (rows_ != nullptr) return waiting(p, query);
    values_.row(executor, query, worker, buffer);
    return buffer;
}

} // namespace zeta::cpu
