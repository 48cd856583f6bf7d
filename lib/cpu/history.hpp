// SPDX-License-Identifier: Apache-2.0
// The history mean of one unit as attention takes it: mean keys made once, mean values once for each query head. Mean
// values of float32 outputs wait in the rows of out. For other outputs they have rows of their own as long as these are
// short; long ones are made again from checkpoints when they are asked for, since memory must not grow with N dv.
//
// Where every query attends itself and no other local position, its own value is mixed into its mean value, in the
// proportion of their weights: made in advance, both are read side by side, not at random by whoever comes to the query
// in curve order. Rows for which that is not finite stay apart.
#pragma once

#include "../context.hpp"
#include "mean.hpp"

namespace zeta::cpu {

// Whether value() has a query's own value mixed in where it can. Decode follows the same rule, for the same bits.
bool mixes_own(const Problem &p);

class HistoryMean {
public:
    // What value() will be asked for: nothing; mean rows; mean rows with the query's own mixed in if mixes_own().
    enum class Values { none, mean, mixed };
    void take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit,
              Values values);
    void build_keys(const Executor &executor, Context &context, const Problem &p, const Tensors &t, const Unit &unit);
    // q [n, dk] and k [m, dk]: rows of the head, if values are mixed.
    void mix(const Executor &executor, Context &context, const Problem &p, const Unit &part, float gamma,
             const float *q, const float *k);
    void build_values(const Executor &executor, Context &context, const Problem &p, const Tensors &t, const Unit &part,
                      int64_t head);

    const float *key() const { return key_; } // [n, dk] (not causal: [1, dk]); NULL: no mean
    MeanRows &values() { return values_; }
    // Squared distances of each query to its own key and to its mean key [n, 2], after mix(); NULL: not mixed.
    const float *near() const { return near_; }
    // The mean value of query row `query`: [dv], in one of the buffers [dv] if it has to be made; mixed or not.
    struct Value {
        const float *row;
        bool mixed;
    };
    Value value(const Executor &executor, const Problem &p, const Tensors &t, const Unit &part, int64_t head,
                uint32_t query, int worker, float *buffer, float *own_buffer) const;
    // The mean value of a mixed query without its own: slow.
    void value_alone(const Executor &executor, uint32_t query, int worker, float *mean) const {
        values_.row_of_block(executor, query, worker, mean);
    }
    // Whether it is made when it is asked for, from the query's own value too.
    bool made_late(const Problem &p, const Tensors &t) const;
    // Where it will be read, to be fetched; NULL: nowhere, or in out.
    const float *waiting(const Problem &p, uint32_t query) const {
        return rows_ == nullptr ? nullptr : rows_ + size_t(query) * size_t(p.dv);
    }

private:
    MeanRows keys_, values_;
    float *key_ = nullptr;
    float *rows_ = nullptr;                     // [n, dv]
    float *near_ = nullptr, *shares_ = nullptr; // [n, 2] or NULL
    uint8_t *apart_ = nullptr;                  // [n]
};

} // namespace zeta::cpu
