// SPDX-License-Identifier: Apache-2.0
// The history mean (paper section 3.4): mean key and mean value of positions 0..t for every query, from float64 prefix
// sums in blocks of fixed size, added in position order (spec section 4). Not causal: one mean of all keys.
#pragma once

#include "../scratch.hpp"
#include "rows.hpp"

namespace zeta::cpu {

// Rows per block: a constant of the number of channels alone, since the sums depend on it.
inline size_t mean_block(size_t channels) {
    return 512 * ((channels + 4095) / 4096);
}

// Prefix sums over rows of one head of `view`: the sum before each block, and, if row() will be called, a running sum
// inside the block at every `spacing`-th query.
class MeanRows {
public:
    // checkpoints: row() will be called on a causal unit.
    void take(Scratch &scratch, const Executor &executor, const View &view, const Unit &unit, bool causal,
              bool checkpoints);

    // Makes the sums, and then one of the following with the mean rows of a causal unit's queries.
    void build(const Executor &executor, const View &view, const Unit &unit, bool causal);
    void build_into(const Executor &executor, const View &view, const Unit &unit, float *rows, size_t stride);
    // With each query's own row mixed in by its two shares [n, 2], own first. apart [n]: 1 where that is not finite,
    // else 0; such a row is the mean row alone.
    void build_mixed(const Executor &executor, const View &view, const Unit &unit, const float *shares, uint8_t *apart,
                     float *rows, size_t stride);
    // visit(first, n, means, worker): means [n, channels] of query rows first, first + 1, ...
    using Visit = FunctionRef<void(size_t first, size_t n, const float *means, int worker)>;
    void build_visit(const Executor &executor, const View &view, const Unit &unit, Visit visit);

    // The mean row of query row i after build().
    void row(const Executor &executor, uint32_t i, int worker, float *mean) const;
    // The same after any of them, for a causal unit: adds all rows of its block before it.
    void row_of_block(const Executor &executor, uint32_t i, int worker, float *mean) const;

private:
    template <class Queries> void sweep(const Executor &executor, bool by_columns, Queries queries);
    void start(const View &view, const Unit &unit, bool causal);
    struct Columns {
        size_t begin, end;
    };
    // What add() writes: nothing, or mean rows from the first one's on, mixed if there are shares.
    struct Target {
        float *means = nullptr;
        size_t stride = 0;
        const float *shares = nullptr;
        uint8_t *apart = nullptr;
        bool stream = false;
    };
    void add(const Executor &executor, size_t begin, size_t end, Columns columns, const double *before, double *running,
             const Target &target) const;
    void finish_row(const Executor &executor, size_t j, size_t t, int worker, float *mean) const;
    void restore(const Executor &executor, const uint8_t *apart, float *rows, size_t stride) const;

    size_t channels_ = 0, block_ = 0, spacing_ = 1, blocks_ = 0;
    bool causal_ = true;
    View view_;
    Unit unit_{};
    double *before_ = nullptr;  // [blocks + 1, channels] sum of all rows before a block
    double *inside_ = nullptr;  // [n / spacing + 2, channels] running sums inside the block, before query i * spacing
    float *mean_ = nullptr;     // [workers, kVisited, channels] what `visit` gets
    double *running_ = nullptr; // [workers, channels]
    size_t origin_ = 0;         // position of query row 0
};

} // namespace zeta::cpu
