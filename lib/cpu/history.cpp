// SPDX-License-Identifier: Apache-2.0
// Where mean keys and mean values are kept.
#include "history.hpp"

namespace zeta::cpu {
void HistoryMean::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit,
                       bool values) {
    if (!p.mean) return;
    key_ = scratch.take<float>((p.causal ? size_t(unit.n) : 1) * size_t(p.dk));
    const uintptr_t mark = scratch.mark();
    keys_.take(scratch, executor, t.k, unit, p.causal, false);
    const uintptr_t end = scratch.mark();
    scratch.restore(mark); // the sums of keys are done with before those of values begin
    values_.take(scratch, executor, t.v, unit, p.causal, values && !in_out(p, t));
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
    else
        values_.build(executor, t.v, part, p.causal);
}

void HistoryMean::value(const Executor &executor, const Problem &p, const Tensors &t, uint32_t query, int worker,
                        float *mean) const {
    if (!in_out(p, t)) values_.row(executor, query, worker, mean);
}

} // namespace zeta::cpu
