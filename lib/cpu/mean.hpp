// SPDX-License-Identifier: Apache-2.0
// The history mean (paper section 3.4): mean key and mean value of positions 0..t for every query, from float64 prefix
// sums in blocks of fixed size, added in position order (spec section 4). Not causal: one mean of all keys.
#pragma once

#include "../scratch.hpp"
#include "rows.hpp"

namespace zeta::cpu {

// Prefix sums over rows of one head of `view`, kept so that the mean row of any query can be made: the sum before each
// block, and inside a block a running sum at every `spacing`-th position.
class MeanRows {
public:
    // checkpoints: row() will be called; otherwise only build's `each` (or the one mean, if not causal) is wanted.
    void take(Scratch &scratch, const Executor &executor, const View &view, const Unit &unit, bool causal,
              bool checkpoints);
    // Makes the sums; each(i, mean) is called once per query row i with its mean row [channels], if given (causal).
    using Each = FunctionRef<void(uint32_t i, const float *mean)>;
    void build(const Executor &executor, const View &view, const Unit &unit, bool causal, Each each);
    // The mean row of query row i, as build's `each` gave it, made again.
    void row(const Executor &executor, uint32_t i, int worker, float *mean) const;

private:
    size_t channels_ = 0, block_ = 0, spacing_ = 1, blocks_ = 0;
    bool causal_ = true;
    View view_;
    Unit unit_{};
    double *before_ = nullptr; // [blocks + 1, channels] sum of all rows before a block
    double *inside_ = nullptr; // [n / spacing + 1, channels] running sums inside the block, before position c * spacing
    float *row_ = nullptr;     // [workers, channels] a row widened
    float *mean_ = nullptr;    // [workers, channels] what `each` gets
    double *running_ = nullptr; // [workers, channels]
    size_t origin_ = 0;         // position of query row 0
};

// Mean keys of a unit: [n, dk] (causal) or [1, dk].
void mean_keys(const Executor &executor, MeanRows &means, const View &k, const Unit &unit, bool causal,
               float *mean_key);

} // namespace zeta::cpu
