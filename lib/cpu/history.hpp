// SPDX-License-Identifier: Apache-2.0
// The history mean of one unit as attention takes it: mean keys made once, mean values once for each query head. Mean
// values of float32 outputs wait in the rows of out. For other outputs they have rows of their own as long as these are
// short; long ones are made again from checkpoints when they are asked for, since memory must not grow with N dv.
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
    // The mean value of query row `query`: [dv], in `buffer` if it has to be made.
    const float *value(const Executor &executor, const Problem &p, const Tensors &t, const Unit &part, int64_t head,
                       uint32_t query, int worker, float *buffer) const;
    // Where it will be read, to be fetched; NULL: nowhere, or in out.
    const float *waiting(const Problem &p, uint32_t query) const {
        return rows_ == nullptr ? nullptr : rows_ + size_t(query) * size_t(p.dv);
    }

private:
    MeanRows keys_, values_;
    float *key_ = nullptr;
    float *rows_ = nullptr; // [n, dv]
};

} // namespace zeta::cpu
