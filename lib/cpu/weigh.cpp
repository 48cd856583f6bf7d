// SPDX-License-Identifier: Apache-2.0
// Weights of one query's attended set, normalised.
#include "weigh.hpp"

#include <cmath>
#include <limits>

#include "rows.hpp"

namespace zeta::cpu {
void WeighWork::take(Scratch &scratch, const Problem &p, size_t lists, bool in_place) {
    stride = size_t(p.neighbours) + kInlineLocal + 2 * simd::kListPad;
    weights = in_place ? nullptr : scratch.take<float>(lists * stride);
    dots = scratch.take<float>(lists * stride);
    const size_t slice = p.local > int64_t(kInlineLocal) ? kSlice + simd::kListPad : 0;
    slice_ids = scratch.take<uint32_t>(slice);
    slice_distances = scratch.take<float>(slice);
    slice_dots = scratch.take<float>(slice);
    slice_weights = scratch.take<float>(slice);
}

uint32_t Weighed::fetch(uint32_t begin, WeighWork &work) const {
    const uint32_t n = std::min(kSlice, wide.end - begin);
    const Problem &p = *head_->problem;
    const float *keys = head_->slice_keys ? head_->slice_keys(begin, n) : head_->k;
    for (uint32_t i = 0; i < n; ++i) work.slice_ids[i] = head_->slice_keys ? i : begin + i;
    head_->kernels->attend_distances(point_, keys, p.dk, work.slice_ids, n, work.slice_distances);
    if (p.score == ZETA_SCORE_DOT) head_->kernels->attend_dots(point_, keys, p.dk, work.slice_ids, n, work.slice_dots);
    return n;
}

uint32_t Weighed::slice(uint32_t begin, WeighWork &work) const {
    const uint32_t n = fetch(begin, work);
    head_->kernels->attend_weights(head_->problem->score, head_->gamma, minimum, work.slice_distances, work.slice_dots,
                                   n, work.slice_weights);
    for (uint32_t i = 0; i < n; ++i) work.slice_weights[i] /= sum_;
    return n;
}

void Weighed::resume(const HeadKeys &head, uint32_t query, LocalRange range, float least, float sum) {
    head_ = &head;
    point_ = head.q + size_t(query) * size_t(head.problem->dk);
    wide = range;
    minimum = least;
    sum_ = sum;
}

float normaliser_of(int score, float gamma, float minimum, double sum) {
    const double g = gamma, low = minimum;
    switch (score) {
    case ZETA_SCORE_GAUSSIAN:
        return rounded(std::log(sum) - low / (g * g));
    case ZETA_SCORE_LAPLACE:
        return rounded(std::log(sum) - std::sqrt(low) / g);
    case ZETA_SCORE_DOT:
        return rounded(std::log(sum) - low / g);
    default:
        return rounded(sum);
    }
}

// Everything but distances and weights.
void Weighed::begin(const HeadKeys &head, Lists &lists, uint32_t slot, WeighWork &work) {
    const Problem &p = *head.problem;
    const uint32_t query = lists.query[slot];
    head_ = &head;
    point_ = head.q + size_t(query) * size_t(p.dk);
    ids = lists.ids_of(slot);
    distances = lists.distances_of(slot);
    dots = work.dots + slot * work.stride;
    weights = work.weights != nullptr ? work.weights + slot * work.stride : distances;
    count = lists.count[slot];
    wide = local_of(p, *head.unit, query);
    has_mean = head.mean_key != nullptr && head.unit->m > 0;
    empty = count == 0 && wide.begin == wide.end && !has_mean;
    minimum = 0;
}

// The slices of a wide local window, and the list, relative to all.
void Weighed::weigh_slices(WeighWork &work) {
    const Problem &p = *head_->problem;
    const simd::Kernels &kernels = *head_->kernels;
    const uint32_t list = count + (has_mean ? 1 : 0);
    for (uint32_t b = wide.begin; exponential(p.score) && b < wide.end; b += kSlice) {
        const uint32_t n = fetch(b, work);
        minimum = std::min(minimum, kernels.attend_minimum(p.score, work.slice_distances, work.slice_dots, n));
    }
    double sum = kernels.attend_weights(p.score, head_->gamma, minimum, distances, dots, list, weights);
    heaviest = wide.begin;
    float most = 0;
    if (head_->heaviest && count > 0) {
        const uint32_t i = kernels.attend_heaviest(weights, count);
        most = weights[i];
        heaviest = ids[i];
    }
    for (uint32_t b = wide.begin; b < wide.end; b += kSlice) {
        const uint32_t n = fetch(b, work);
        sum += double(kernels.attend_weights(p.score, head_->gamma, minimum, work.slice_distances, work.slice_dots, n,
                                             work.slice_weights));
        if (!head_->heaviest) continue;
        const uint32_t i = kernels.attend_heaviest(work.slice_weights, n);
        if (work.slice_weights[i] > most) {
            most = work.slice_weights[i];
            heaviest = b + i;
        }
    }
    sum_ = float(sum);
    for (uint32_t i = 0; i < list; ++i) weights[i] /= sum_;
}

void weigh_tile(const HeadKeys &head, Lists &lists, Weighed *weighed, WeighWork &work) {
    const Problem &p = *head.problem;
    const simd::Kernels &kernels = *head.kernels;
    const bool dot = p.score == ZETA_SCORE_DOT;
    uint32_t own[kTile] = {}, rows[kTile] = {}, zeros[kTile] = {}, counts[kTile], singles = 0;
    float measured[kTile], products[kTile] = {}, minima[kTile] = {}, sums[kTile] = {};
    uint8_t slots[kTile];
    for (uint32_t s = 0; s < lists.queries; ++s) {
        Weighed &w = weighed[s];
        w.begin(head, lists, s, work);
        const uint32_t local = w.wide.end - w.wide.begin;
        w.has_own = local == 1;
        if (local == 0 || local > kInlineLocal) continue;
        for (uint32_t i = 0; i < local; ++i) w.ids[w.count + i] = w.wide.begin + i;
        if (local == 1) {
            rows[singles] = lists.query[s];
            own[singles] = w.wide.begin;
            slots[singles++] = uint8_t(s);
        } else {
            kernels.attend_distances(w.point_, head.k, p.dk, w.ids + w.count, local, w.distances + w.count);
        }
        w.count += local;
        w.wide = {0, 0};
    }
    if (head.near == nullptr) kernels.attend_pairs(false, head.q, rows, head.k, own, p.dk, singles, measured);
    for (uint32_t i = 0; i < singles; ++i)
        weighed[slots[i]].distances[weighed[slots[i]].count - 1] =
            head.near == nullptr ? measured[i] : head.near[2 * size_t(rows[i])];
    const bool mean = head.mean_key != nullptr && head.unit->m > 0;
    if (mean && head.near != nullptr) {
        for (uint32_t s = 0; s < lists.queries; ++s) measured[s] = head.near[2 * size_t(lists.query[s]) + 1];
    } else if (mean) { // the last entry of each list
        const uint32_t *mean_rows = p.causal ? lists.query : zeros;
        kernels.attend_pairs(false, head.q, lists.query, head.mean_key, mean_rows, p.dk, lists.queries, measured);
        if (dot)
            kernels.attend_pairs(true, head.q, lists.query, head.mean_key, mean_rows, p.dk, lists.queries, products);
    }
    bool slices = false;
    for (uint32_t s = 0; s < lists.queries; ++s) {
        Weighed &w = weighed[s];
        if (dot) kernels.attend_dots(w.point_, head.k, p.dk, w.ids, w.count, w.dots);
        if (mean) {
            w.mean_key = head.mean_key + (p.causal ? size_t(lists.query[s]) * size_t(p.dk) : 0);
            w.distances[w.count] = measured[s];
            if (dot) w.dots[w.count] = products[s];
        }
        counts[s] = w.count + (mean ? 1 : 0);
        if (exponential(p.score)) w.minimum = kernels.attend_minimum(p.score, w.distances, w.dots, counts[s]);
        minima[s] = w.minimum;
        if (w.wide.begin == w.wide.end) continue;
        slices = true;
        counts[s] = 0; // weighed below
    }
    kernels.attend_weigh({p.score, head.gamma, lists.queries, counts, minima, lists.distances, lists.stride, work.dots,
                          work.weights != nullptr ? work.weights : lists.distances, work.stride, sums});
    for (uint32_t s = 0; s < lists.queries; ++s) {
        Weighed &w = weighed[s];
        w.sum_ = sums[s];
        if (slices && w.wide.begin != w.wide.end)
            w.weigh_slices(work);
        else if (head.heaviest && w.count > 0)
            w.heaviest = w.ids[kernels.attend_heaviest(w.weights, w.count)];
        if (mean) w.mean_weight = w.weights[w.count];
        w.normaliser = !w.empty               ? normaliser_of(p.score, head.gamma, w.minimum, w.sum_)
                       : exponential(p.score) ? -std::numeric_limits<float>::infinity()
                                              : 0.0f;
    }
}

} // namespace zeta::cpu
