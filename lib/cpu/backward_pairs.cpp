// SPDX-License-Identifier: Apache-2.0
// One query's gradients: its own, and the pairs that its keys will add. Products with values are taken relative to the
// first attended value, so that values with a large common part cancel before they are multiplied.
#include <cmath>

#include "backward_call.hpp"

namespace zeta::cpu {
namespace {

using ProductsKernel = void (*)(const float *, const float *, const uint32_t *, uint32_t, const void *, size_t, size_t,
                                float *);

ProductsKernel products_kernel(const simd::Kernels &kernels, int32_t dtype) {
    switch (dtype) {
    case ZETA_BF16:
        return kernels.backward_products_bf16;
    case ZETA_F16:
        return kernels.backward_products_f16;
    default:
        return kernels.backward_products_f32;
    }
}

// d ln s / dD, or for dot d ln s / d(q.k) (spec section 5); cauchy has its own way below.
float slope(int score, float gamma, float distance) {
    switch (score) {
    case ZETA_SCORE_CAUCHY:
        return -1.0f / (distance + gamma * gamma);
    case ZETA_SCORE_GAUSSIAN:
        return -1.0f / (gamma * gamma);
    case ZETA_SCORE_LAPLACE:
        return -0.5f / (gamma * std::sqrt(distance));
    case ZETA_SCORE_INVERSE: {
        const float root = std::sqrt(distance);
        return -0.5f / ((root + gamma) * root);
    }
    default:
        return 1.0f / gamma;
    }
}

// d ln s / d gamma, up to a constant that is the same for all candidates of a query and drops out of the sum.
double gamma_slope(int score, double gamma, double distance, double dot, double minimum) {
    switch (score) {
    case ZETA_SCORE_CAUCHY:
        return -2.0 * gamma / (distance + gamma * gamma);
    case ZETA_SCORE_GAUSSIAN:
        return 2.0 * (distance - minimum) / (gamma * gamma * gamma);
    case ZETA_SCORE_LAPLACE:
        return (std::sqrt(distance) - std::sqrt(minimum)) / (gamma * gamma);
    case ZETA_SCORE_INVERSE:
        return -1.0 / (std::sqrt(distance) + gamma);
    default:
        return -(dot + minimum) / (gamma * gamma);
    }
}

// Gradients of one candidate: into the query's sums; returns the coefficient for its key.
struct Query {
    const Problem *p;
    const float *point;
    float gamma, minimum, normaliser;
    double mean_product; // sum of p <g, v - reference>
    double grad[ZETA_MAX_DK] = {}, grad_gamma = 0;

    float add(float weight, double product, float distance, float dot, const float *key) {
        if (std::isinf(distance)) return 0.0f; // its weight is 0
        const double e = double(weight) * (product - mean_product);
        const bool dots = p->score == ZETA_SCORE_DOT;
        double change;                       // dL/dD, or for dot dL/d(q.k)
        if (p->score == ZETA_SCORE_CAUCHY) { // both slopes are multiples of s, which is at hand: no division
            const double s = double(weight) * double(normaliser);
            grad_gamma -= e * 2.0 * double(gamma) * s;
            change = -e * s;
        } else {
            grad_gamma += e * gamma_slope(p->score, gamma, distance, dot, minimum);
            change = e * double(slope(p->score, gamma, distance));
        }
        if (!dots && distance == 0.0f) return 0.0f; // nothing flows where D = 0
        const float coefficient = float(change);
        for (int d = 0; d < p->dk; ++d)
            grad[d] +=
                dots ? double(coefficient) * double(key[d]) : 2.0 * double(coefficient) * double(point[d] - key[d]);
        return coefficient;
    }
};

} // namespace

void BackwardUnit::gather(const Call &c, const HeadKeys &keys, int64_t head, uint32_t slot, const Channels &channels,
                          BackwardWork &work, Pairs &pairs) {
    const Problem &p = c.p;
    const Unit &u = c.unit;
    const simd::Kernels &kernels = *keys.kernels;
    const size_t dk = size_t(p.dk), dv = size_t(p.dv);
    Lists &lists = work.select.lists;
    const uint32_t query = lists.query[slot];
    Weighed w;
    w.weigh(keys, query, lists.ids_of(slot), lists.distances_of(slot), lists.count[slot], 0, work.weigh);
    pairs.query = query;
    pairs.count = w.count;
    std::copy_n(w.ids, w.count, pairs.ids);
    std::copy_n(w.weights, w.count, pairs.weights);
    std::fill_n(pairs.coefficients, w.count, 0.0f);
    if (p.mean) mean_weight_[query] = w.empty ? 0.0f : w.mean_weight;
    const float *g = gradient_row(kernels, c.t, u, head, query, dv, work.g);
    const void *v = row_pointer(c.t.v, u.batch, u.key_head, u.k_start);
    const size_t stride = size_t(c.t.v.row_stride);
    const auto scatter_wide = [&](bool with_coefficients, Query *own) {
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            std::fill_n(work.slice_coefficients, n, 0.0f);
            if (with_coefficients) {
                products_kernel(kernels, c.t.v.dtype)(g, work.reference, work.weigh.slice_ids, n, v, stride, dv,
                                                      work.products);
                for (uint32_t i = 0; i < n; ++i)
                    work.slice_coefficients[i] =
                        own->add(work.weigh.slice_weights[i], double(work.products[i]), work.weigh.slice_distances[i],
                                 work.weigh.slice_dots[i], keys.k + size_t(b + i) * dk);
            }
            scatter_list(c, keys, channels, query, g, work.weigh.slice_ids, work.weigh.slice_weights,
                         work.slice_coefficients, n);
        }
    };
    if (!channels.first) {
        scatter_wide(false, nullptr);
        return;
    }
    gamma_[query] = 0;
    if (p.mean) std::fill_n(mean_key_grad_ + query * dk, dk, 0.0f);
    Query own{&p, keys.q + size_t(query) * dk, keys.gamma, w.minimum, w.normaliser, 0.0};
    if (!w.empty) {
        const uint32_t first = w.count > 0 ? w.ids[0] : w.wide.begin;
        if (w.count > 0 || w.wide.begin != w.wide.end)
            widen(kernels, c.t.v.dtype, row_pointer(c.t.v, u.batch, u.key_head, u.k_start + first), dv, work.reference);
        else
            std::fill_n(work.reference, dv, 0.0f);
        const auto products = products_kernel(kernels, c.t.v.dtype);
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            products(g, work.reference, work.weigh.slice_ids, n, v, stride, dv, work.products);
            own.mean_product += dot_product(work.weigh.slice_weights, work.products, n);
        }
        const double mean_product = w.has_mean ? mean_product_[query] - dot_product(g, work.reference, dv) : 0.0;
        if (w.has_mean) own.mean_product += double(w.mean_weight) * mean_product;
        products(g, work.reference, w.ids, w.count, v, stride, dv, work.products);
        own.mean_product += dot_product(w.weights, work.products, w.count);
        for (uint32_t i = 0; i < w.count; ++i)
            pairs.coefficients[i] =
                own.add(w.weights[i], double(work.products[i]), w.distances[i],
                        p.score == ZETA_SCORE_DOT ? w.dots[i] : 0.0f, keys.k + size_t(w.ids[i]) * dk);
        if (w.has_mean) {
            const float coefficient = own.add(w.mean_weight, mean_product, w.mean_distance, w.mean_dot, w.mean_key);
            for (size_t d = 0; d < dk; ++d)
                mean_key_grad_[query * dk + d] = p.score == ZETA_SCORE_DOT
                                                     ? coefficient * own.point[d]
                                                     : -2.0f * coefficient * (own.point[d] - w.mean_key[d]);
        }
        scatter_wide(true, &own);
    }
    gamma_[query] = own.grad_gamma;
    if (!c.t.grad_q.present()) return;
    float row[ZETA_MAX_DK];
    for (size_t d = 0; d < dk; ++d) row[d] = float(own.grad[d]);
    narrow(kernels, c.t.grad_q.dtype, row, dk, row_pointer_out(c.t.grad_q, u.batch, head, u.q_start + query));
}

void BackwardUnit::scatter_list(const Call &c, const HeadKeys &keys, const Channels &channels, uint32_t query,
                                const float *g, const uint32_t *ids, const float *weights, const float *coefficients,
                                uint32_t n) {
    const size_t dk = size_t(c.p.dk), width = channels.end - channels.begin;
    if (width > 0)
        keys.kernels->backward_scatter(g + channels.begin, ids, weights, n, channels.rows, channels.stride, width);
    if (!channels.first || !c.t.grad_k.present()) return;
    const float *point = keys.q + size_t(query) * dk;
    const bool dots = c.p.score == ZETA_SCORE_DOT;
    for (uint32_t i = 0; i < n; ++i) {
        const double coefficient = coefficients[i];
        if (coefficient == 0.0) continue;
        double *row = key_grad_ + size_t(ids[i]) * dk;
        const float *key = keys.k + size_t(ids[i]) * dk;
        for (size_t d = 0; d < dk; ++d)
            row[d] += dots ? coefficient * double(point[d]) : -2.0 * coefficient * double(point[d] - key[d]);
    }
}

void BackwardUnit::scatter(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels,
                           const Pairs *pairs, size_t n, int shard, int shards, BackwardWork &work) {
    for (size_t i = 0; i < n; ++i) {
        const Pairs &from = pairs[i];
        if (from.count == 0) continue;
        const float *g = gradient_row(*keys.kernels, c.t, c.unit, head, from.query, size_t(c.p.dv), work.g);
        if (shards == 1) {
            scatter_list(c, keys, channels, from.query, g, from.ids, from.weights, from.coefficients, from.count);
            continue;
        }
        uint32_t own = 0; // keys are dealt to threads in groups of four, so that even few keys are shared fairly
        for (uint32_t j = 0; j < from.count; ++j) {
            work.own_ids[own] = from.ids[j];
            work.own_weights[own] = from.weights[j];
            work.products[own] = from.coefficients[j];
            own += from.ids[j] / 4 % uint32_t(shards) == uint32_t(shard);
        }
        scatter_list(c, keys, channels, from.query, g, work.own_ids, work.own_weights, work.products, own);
    }
}

} // namespace zeta::cpu
