// SPDX-License-Identifier: Apache-2.0
// Backward of one unit (spec section 6). Each query gathers: its weights again, its own gradient, and a list of pairs
// (key, weight, coefficient). Pairs are then added to the keys' rows in query order, so the bits never depend on
// threads: each thread owns some keys and walks all pairs. The mean's share is a reversed cumulative sum over
// positions. 16-bit value gradients are summed in float32 for a slice of channels at a time, and rounded once.
#pragma once

#include "attend.hpp"

namespace zeta::cpu {

// Per thread.
struct BackwardWork {
    SelectWork select;
    WeighWork weigh;
    float *g = nullptr, *reference = nullptr; // [dv]
    float *products = nullptr, *own_weights = nullptr;
    uint32_t *own_ids = nullptr;         // [list + pad] the pairs of this thread's keys
    float *slice_coefficients = nullptr; // [kSlice + pad]

    void take(Scratch &scratch, const Problem &p, Source source);
};

// The pairs of one query, in a chunk of queries.
struct Pairs {
    uint32_t query, count;
    uint32_t *ids;
    float *weights, *coefficients; // p, and dL/dD (dot: dL/d(q.k)) of each
};

class BackwardUnit {
public:
    void take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit);
    // threads: how many this unit may use; grad_gamma: [heads per key] sums of this unit.
    void run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p, const Tensors &t,
             const Unit &unit, const Saved &saved, BackwardWork *work, int threads, int worker, double *grad_gamma);

private:
    struct Call; // the arguments of run, passed on
    struct Channels {
        size_t begin, end; // of dv that this pass sums
        float *rows;       // dL/dv of key 0, channel `begin`
        size_t stride;
        bool first; // the pass that also does everything but dL/dv
    };
    void head(const Call &c, int64_t head, const Channels &channels);
    void fetch_ahead(const Call &c, const HeadKeys &keys, int64_t head, const Selection::Ahead &ahead);
    void prepare_mean_products(const Call &c, int64_t head);
    void gather(const Call &c, const HeadKeys &keys, int64_t head, uint32_t slot, const Channels &channels,
                BackwardWork &work, Pairs &pairs);
    void scatter(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, const Pairs *pairs,
                 size_t n, int shard, int shards, BackwardWork &work);
    void scatter_list(const Call &c, const HeadKeys &keys, const Channels &channels, uint32_t query, const float *g,
                      const uint32_t *ids, const float *weights, const float *coefficients, uint32_t n);
    void mean_values(const Call &c, int64_t head, const Channels &channels);
    void mean_key_rows(const Call &c);
    void finish_keys(const Call &c);

    Rows k_, q_;
    Selection selection_;
    MeanRows key_means_, value_means_;
    float *mean_key_ = nullptr;      // [n, dk]
    double *mean_product_ = nullptr; // [n] <g_t, mean value>
    float *mean_weight_ = nullptr;   // [n]
    float *mean_key_grad_ = nullptr; // [n, dk] dL/d mean key
    double *gamma_ = nullptr;        // [n] dL/d gamma of each query
    double *key_grad_ = nullptr;     // [m, dk]
    double *suffix_ = nullptr;       // [blocks + 2, slice channels]
    float *slice_ = nullptr;         // [m, kSliceChannels] float32 sums of 16-bit gradients
    Pairs *pairs_ = nullptr;         // [chunk]
    size_t chunk_tiles_ = 1;
};

} // namespace zeta::cpu
