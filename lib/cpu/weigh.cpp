// SPDX-License-Identifier: Apache-2.0
// Weights of one query's attended set, normalised.
#include "weigh.hpp"

#include <cmath>
#include <limits>

namespace zeta::cpu {
namespace {

// One distance and one dot product as the kernels make them, for the few rows that are not worth a call.
float distance_of(const float *q, const float *k, size_t dk) {
    float sum = 0;
    for (size_t e = 0; e < dk; ++e) {
        const float d = q[e] - k[e], square = d * d;
        sum = e == 0 ? square : sum + square;
    }
    return sum;
}

float dot_of(const float *q, const float *k, size_t dk) {
    float sum = 0;
    for (size_t e = 0; e < dk; ++e) {
        const float product = q[e] * k[e];
        sum = e == 0 ? product : sum + product;
    }
    return sum;
}

} // namespace

void WeighWork::take(Scratch &scratch, const Problem &p, size_t lists) {
    stride = size_t(p.neighbours) + kInlineLocal + 2 * simd::kListPad;
    weights = scratch.take<float>(lists * stride);
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
    for (uint32_t i = 0; i < n; ++i) work.slice_ids[i] = begin + i;
    head_->kernels->attend_distances(point_, head_->k, p.dk, work.slice_ids, n, work.slice_distances);
    if (p.score == ZETA_SCORE_DOT)
        head_->kernels->attend_dots(point_, head_->k, p.dk, work.slice_ids, n, work.slice_dots);
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
        return float(std::log(sum) - low / (g * g));
    case ZETA_SCORE_LAPLACE:
        return float(std::log(sum) - std::sqrt(low) / g);
    case ZETA_SCORE_DOT:
        return float(std::log(sum) - low / g);
    default:
        return float(sum);
    }
}

void Weighed::weigh(const HeadKeys &head, uint32_t query, uint32_t *list_ids, float *list_distances,
                    uint32_t neighbours, uint32_t slot, WeighWork &work) {
    head_ = &head;
    const Problem &p = *head.problem;
    const simd::Kernels &kernels = *head.kernels;
    const size_t dk = size_t(p.dk);
    const bool dot = p.score == ZETA_SCORE_DOT;
    point_ = head.q + size_t(query) * dk;
    ids = list_ids;
    distances = list_distances;
    dots = work.dots + slot * work.stride;
    weights = work.weights + slot * work.stride;
    count = neighbours;
    wide = local_of(p, *head.unit, query);
    if (wide.end - wide.begin <= kInlineLocal) {
        const uint32_t local = wide.end - wide.begin;
        for (uint32_t i = 0; i < local; ++i) ids[count + i] = wide.begin + i;
        if (local == 1)
            distances[count] = distance_of(point_, head.k + size_t(wide.begin) * dk, dk);
        else
            kernels.attend_distances(point_, head.k, p.dk, ids + count, local, distances + count);
        count += local;
        wide = {0, 0};
    }
    if (dot) kernels.attend_dots(point_, head.k, p.dk, ids, count, dots);
    has_mean = head.mean_key != nullptr && head.unit->m > 0;
    empty = count == 0 && wide.begin == wide.end && !has_mean;
    if (empty) {
        normaliser = exponential(p.score) ? -std::numeric_limits<float>::infinity() : 0.0f;
        return;
    }
    uint32_t list = count; // entries that weigh in: the mean's comes last
    if (has_mean) {
        mean_key = head.mean_key + (p.causal ? size_t(query) * dk : 0);
        mean_distance = distances[list] = distance_of(point_, mean_key, dk);
        if (dot) mean_dot = dots[list] = dot_of(point_, mean_key, dk);
        ++list;
    }
    minimum = 0;
    if (exponential(p.score)) {
        minimum = kernels.attend_minimum(p.score, distances, dots, list);
        for (uint32_t b = wide.begin; b < wide.end; b += kSlice) {
            const uint32_t n = fetch(b, work);
            minimum = std::min(minimum, kernels.attend_minimum(p.score, work.slice_distances, work.slice_dots, n));
        }
    }
    sum_ = kernels.attend_weights(p.score, head.gamma, minimum, distances, dots, list, weights);
    for (uint32_t b = wide.begin; b < wide.end; b += kSlice) {
        const uint32_t n = fetch(b, work);
        sum_ += kernels.attend_weights(p.score, head.gamma, minimum, work.slice_distances, work.slice_dots, n,
                                       work.slice_weights);
    }
    normaliser = normaliser_of(p.score, head.gamma, minimum, sum_);
    const float scale = 1.0f / sum_;
    if (scale < std::numeric_limits<float>::infinity() && sum_ < std::numeric_limits<float>::infinity()) {
        for (uint32_t i = 0; i < list; ++i) weights[i] *= scale;
    } else { // the sum is 0, denormal, infinite or NaN: the division says what the row is
        for (uint32_t i = 0; i < list; ++i) weights[i] /= sum_;
    }
    if (has_mean) mean_weight = weights[count];
}

} // namespace zeta::cpu
