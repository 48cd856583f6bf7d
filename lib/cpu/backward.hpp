// SPDX-License-Identifier: Apache-2.0
// Backward of one unit (spec section 6). Each query gathers: its weights again, its own gradient, and a list of pairs
// (key, weight, coefficient). Pairs are then added to the keys' rows in query order, so the bits never depend on
// threads: one thread adds at once; several gather items of some tiles and add those that are ready, an item after the
// other. Where one adder cannot keep pace, shards of the channels of dL/dv (and of its keys, if there are more shards
// than channels) and of the keys of dL/dk follow each other.
// A wide local window follows by blocks of keys, and last the mean's share, a reversed cumulative sum over positions.
// 16-bit value gradients are summed in float32 for a slice of channels at a time, and rounded once. Where keys are few,
// so that each has very many pairs, these are summed in float64.
#pragma once

#include "attend.hpp"

namespace zeta::cpu {

// Per thread, on cache lines of its own.
struct alignas(Scratch::kAlignment) BackwardWork {
    SelectWork select;
    Lists current; // of the tile in hand, where select.lists are those of the next one
    WeighWork weigh;
    Weighed weighed[kTile];
    float *g = nullptr, *reference = nullptr; // [dv]
    float *products = nullptr;                // [list + pad] of one query, or of a slice
    float *coefficients = nullptr;            // [kTile, stride] of the lists of a tile; the first also of a slice
    size_t stride = 0;
    uint32_t *own_ids = nullptr; // [list + pad] the pairs of a shard's keys
    float *own_values = nullptr; // their weights or coefficients
    double *running = nullptr;   // [dv]
    float *block = nullptr;      // [kSlice, dv] dL/dv of a block of keys, if windows are very wide

    void take(Scratch &scratch, const Problem &p, Source source);
};

// The pairs of one query.
struct Pairs {
    uint32_t query, count;
    uint32_t *ids;
    float *weights, *coefficients; // p, and dL/dD (dot: dL/d(q.k)) of each
};

// What a query with a wide local window keeps until the keys of that window are summed.
struct WidePairs {
    float minimum, sum, normaliser; // of its weights
    uint32_t reference;             // key whose value its products are relative to
    double mean_product;
};

// What each query leaves of the mean, side by side since queries come in curve order: <g, mean value>, the mean's
// weight, and dL/d mean key.
class MeanSlots {
public:
    void take(Scratch &scratch, size_t n, int32_t dk) {
        stride_ = 2 + size_t(dk);
        slots_ = scratch.take<double>(n * stride_);
    }
    double &product(size_t i) const { return slots_[i * stride_]; }
    double &weight(size_t i) const { return slots_[i * stride_ + 1]; }
    double *key(size_t i) const { return slots_ + i * stride_ + 2; }
    size_t bytes() const { return stride_ * sizeof(double); }

private:
    size_t stride_ = 0;
    double *slots_ = nullptr;
};

class BackwardUnit {
public:
    // threads: how many a unit may use.
    void take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit,
              int threads);
    // grad_gamma: [heads per key] sums of this unit.
    void run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p, const Tensors &t,
             const Unit &unit, const Saved &saved, BackwardWork *work, int threads, int worker, double *grad_gamma);

private:
    struct Call; // the arguments of run, passed on
    struct Channels {
        size_t begin, end; // of dv that this pass sums
        float *rows;       // dL/dv of key 0, channel `begin`
        size_t stride;
        bool first;             // the pass that also does everything but dL/dv
        double *sums = nullptr; // if given, pairs are added here: [m, sum_stride], of key 0, channel `begin`
        size_t sum_stride = 0;
    };
    void clear(const Call &c, const Channels &channels);
    void head(const Call &c, int64_t head, const Channels &channels);
    void fetch_ahead(const Call &c, const HeadKeys &keys, int64_t head, const Selection::Ahead &ahead);
    void prepare_mean_products(const Call &c, int64_t head);
    void select(const Call &c, int64_t head, size_t tile, BackwardWork &work);
    template <class Room, class Use>
    void gather_tile(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, size_t tile,
                     bool more, BackwardWork &work, Room room, Use use);
    void add_tile(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, size_t tile, bool more,
                  BackwardWork &work, const Pairs *pairs);
    void add_tiles(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels);
    void gather_item(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, size_t start,
                     size_t count, Pairs *pairs, BackwardWork &work);
    void share_tiles(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels);
    Pairs gather(const Call &c, const HeadKeys &keys, int64_t head, uint32_t slot, const Channels &channels,
                 BackwardWork &work, float *coefficients, double &gamma);
    double slopes(const Call &c, const HeadKeys &keys, int64_t head, const Weighed &w, uint32_t query,
                  BackwardWork &work, float *coefficients);
    void wide_keys(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels);
    struct Shard {
        uint32_t index, count;
    };
    void scatter_item(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, size_t start,
                      size_t count, const Pairs *pairs, Shard shard, BackwardWork &work);
    void scatter_values(const HeadKeys &keys, const Channels &channels, const float *g, const Pairs &pairs);
    static bool adds_keys_at_once(const Call &c); // one thread: a pair's share of dL/dk is added with that of dL/dq
    void scatter_keys(const Call &c, const HeadKeys &keys, const Pairs &pairs);
    void fetch_gradients(const Call &c, const Selection::Ahead &ahead, const Channels &channels);
    void add_mean_values(const Call &c, int64_t head, size_t begin, size_t end, const Channels &channels,
                         const double *after, double *running, bool to_rows) const;
    void mean_values(const Call &c, int64_t head, const Channels &channels);
    void mean_key_rows(const Call &c);
    void add_sums(const Call &c, const Channels &channels);
    void finish_keys(const Call &c);

    Rows k_, q_;
    Selection selection_;
    HistoryMean history_;
    MeanSlots mean_;                    // [n]
    WidePairs *wide_ = nullptr;         // [n], if the local window is wide
    double *gamma_ = nullptr;           // [tiles] dL/d gamma
    float *keys_ = nullptr;             // [m, slope_stride(dk)]
    double *key_grad_ = nullptr;        // [m, slope_stride(dk)]
    double *suffix_ = nullptr;          // [blocks + 1, slice channels]
    float *slice_ = nullptr;            // [m, kSliceChannels] float32 sums of 16-bit gradients
    double *sums_ = nullptr;            // [m, channels of a pass] of dL/dv, where each key has very many pairs
    Pairs *pairs_ = nullptr;            // [items, item tiles, kTile]
    size_t items_ = 1, item_tiles_ = 1; // under way in the pipeline, and tiles of each
};

} // namespace zeta::cpu
