// SPDX-License-Identifier: Apache-2.0
// The attended set of one query and its weights (spec section 5): neighbours, local positions, history mean. Forward
// and backward weigh through this one class, so backward's weights have forward's bits.
//
// Up to kInlineLocal local positions are appended to the list of neighbours; a wider local window is visited in slices,
// once for the smallest exponent, once for the sum and once more by whoever uses the weights.
#pragma once

#include "../function_ref.hpp"
#include "lists.hpp"
#include "unit.hpp"

namespace zeta::cpu {

constexpr uint32_t kInlineLocal = 64;
constexpr uint32_t kSlice = 256;

// Per thread.
struct WeighWork {
    float *weights = nullptr, *dots = nullptr; // [lists, stride] of lists weighed and not yet done with
    size_t stride = 0;                         // K + kInlineLocal + pad, as of the lists
    uint32_t *slice_ids = nullptr;             // [kSlice + pad] ... of a slice of local positions
    float *slice_distances = nullptr, *slice_dots = nullptr, *slice_weights = nullptr;

    // in_place: weights take the place of distances, and less of the cache.
    void take(Scratch &scratch, const Problem &p, size_t lists, bool in_place = false);
};

// What is the same for all queries of a head.
struct HeadKeys {
    const simd::Kernels *kernels;
    const Problem *problem;
    const Unit *unit;
    const float *q, *k;    // [n, dk], [m, dk]
    const float *mean_key; // [n, dk] (not causal: [1, dk]), NULL: no mean
    float gamma;
    bool heaviest = false; // whether Weighed::heaviest is wanted
    // If given, the keys of a slice of local positions: rows begin .. begin + n - 1, which are then not read from k.
    using SliceKeys = FunctionRef<const float *(uint32_t begin, uint32_t n)>;
    SliceKeys slice_keys{};
    // If given, the squared distances of each query to its own key, the only local one, and to its mean key: [n, 2].
    const float *near = nullptr;
};

class Weighed {
public:
    // The list: neighbours and, if few, the local positions. Weights are p = s / sum s.
    uint32_t count = 0;
    uint32_t *ids = nullptr;
    float *distances = nullptr, *dots = nullptr, *weights = nullptr;
    // The mean's.
    bool has_mean = false;
    float mean_weight = 0;
    const float *mean_key = nullptr;

    // Whether the list's last key is the query's own, the only local position.
    bool has_own = false;
    // The weight of a mean value with the query's own mixed in, which then is not of the list.
    float mixed_weight() const { return has_own ? mean_weight + weights[count - 1] : mean_weight; }

    uint32_t heaviest = 0; // the first key of the largest weight, if HeadKeys asks for it and any is attended

    bool empty = true;
    float normaliser = 0;
    float minimum = 0; // see attend_minimum

    float sum() const { return sum_; } // of the weights before they were normalised
    // As weigh() left it, for slices of `range` alone.
    void resume(const HeadKeys &head, uint32_t query, LocalRange range, float least, float sum);

    // Local positions that are not in the list, in slices of at most kSlice: ids (with slice_keys, counted from the
    // slice's first) and p in work.slice_*.
    LocalRange wide{0, 0};
    uint32_t slice(uint32_t begin, WeighWork &work) const; // returns its length

private:
    friend void weigh_tile(const HeadKeys &head, Lists &lists, Weighed *weighed, WeighWork &work);

    void begin(const HeadKeys &head, Lists &lists, uint32_t slot, WeighWork &work);
    void weigh_slices(WeighWork &work);
    uint32_t fetch(uint32_t begin, WeighWork &work) const; // ids, distances and dots of a slice

    const HeadKeys *head_ = nullptr;
    const float *point_ = nullptr;
    float sum_ = 0;
};

// Weighs every query of a tile, whose lists have room for kInlineLocal + 1 more: weighed[slot] belongs to slot.
void weigh_tile(const HeadKeys &head, Lists &lists, Weighed *weighed, WeighWork &work);

// Z of spec section 5 from the sum of weights relative to `minimum`.
float normaliser_of(int score, float gamma, float minimum, double sum);

inline bool exponential(int score) {
    return score == ZETA_SCORE_GAUSSIAN || score == ZETA_SCORE_LAPLACE || score == ZETA_SCORE_DOT;
}

} // namespace zeta::cpu
