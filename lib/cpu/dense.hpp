// SPDX-License-Identifier: Apache-2.0
// Dense attention of one unit, the control: the weights of spec section 5 over every key a query may attend. O(n m)
// time, linear memory.
//
// Queries are worked in blocks of kDenseRows positions, keys in chunks of kDenseKeys. A chunk that every position of a
// block may attend is one matrix product; in any other, each row adds its own keys alone, so that no weight of 0 meets
// a NaN from the future. Blocks and chunks lie on a fixed grid of positions: a row's bits depend on its past alone.
// Sums run in float64: neither long sequences nor values near FLT_MAX need care.
#pragma once

#include "../context.hpp"
#include "../progress.hpp"
#include "history.hpp"
#include "weigh.hpp"

namespace zeta::cpu {

constexpr size_t kDenseRows = 64, kDenseKeys = 128;

// Per thread, on cache lines of its own.
struct alignas(Scratch::kAlignment) DenseWork {
    float *keys = nullptr;                                           // [dk, kDenseKeys + pad] of a chunk
    float *distances = nullptr, *dots = nullptr, *weights = nullptr; // [kDenseKeys + pad] of a row
    float *row = nullptr;                                            // [dv]
    double *values = nullptr;                                        // [kDenseKeys, dv + 1] of a chunk, and 1
    double *shares = nullptr;  // [kDenseRows, kDenseKeys] weights of a block and chunk
    double *sums = nullptr;    // [kDenseRows, dv + 1] weighted sums of values, and of weights
    float minimum[kDenseRows]; // see dense_minimum

    void take(Scratch &scratch, const Problem &p);
};

// Memory and stages of one unit in flight.
class DenseUnit {
public:
    void take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit);
    void run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p, const Tensors &t,
             const Unit &unit, DenseWork *work);

private:
    void head(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p, const Tensors &t,
              const Unit &unit, int64_t head, DenseWork *work);
    void attend(const Executor &executor, ProgressMeter &progress, const HeadKeys &keys, const Tensors &t, int64_t head,
                DenseWork *work) const;

    Rows k_, q_;
    HistoryMean mean_;
};

} // namespace zeta::cpu
