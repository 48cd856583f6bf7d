// SPDX-License-Identifier: Apache-2.0
// The history mean of one unit as attention takes it: mean keys made once, mean values once for each query head. Mean
// values of float32 outputs wait in the rows of out; others are made again from checkpoints when they are asked for.
#pragma once

#include "../context.hpp"
#include "mean.hpp"

namespace zeta::cpu {

class HistoryMean {
public:
    // values: value() will be called.
    void take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit,
              bool values);
    void build_keys(const Executor &executor, Context &context, const Problem &p, const Tensors &t, const Unit &unit);
    void build_values(const Executor &executor, Context &context, const Problem &p, const Tensors &t, const Unit &part,
                      int64_t head);

    const float *key() const { return key_; } // [n, dk] (not causal: [1, dk]); NULL: no mean
    MeanRows &values() { return values_; }
    // Whether mean values wait in the rows of out.
    static bool in_out(const Problem &p, const Tensors &t) { return p.causal && t.out.dtype == ZETA_F32; }
    // The mean value of query row `query` into `mean` [dv], which is its row of out if mean values wait there.
    void value(const Executor &executor, const Problem &p, const Tensors &t, uint32_t query, int worker,
               float *mean) const;

private:
    MeanRows keys_, values_;
    float *key_ = nullptr;
};

} // namespace zeta::cpu
