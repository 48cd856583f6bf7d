// SPDX-License-Identifier: Apache-2.0
// One query's gradients: its own, and the pairs that its keys will add. Products with values are taken relative to the
// first attended value, so that values with a large common part cancel before they are multiplied.
#include "backward_call.hpp"

namespace zeta::cpu {

Pairs BackwardUnit::gather(const Call &c, const HeadKeys &keys, int64_t head, uint32_t slot, const Channels &channels,
                           BackwardWork &work, double &gamma) {
    const Lists &lists = work.select.lists;
    const uint32_t query = lists.query[slot];
    Weighed w;
    w.weigh(keys, query, lists.ids_of(slot), lists.distances_of(slot), lists.count[slot], slot, work.weigh);
    float *coefficients = work.coefficients + slot * work.stride;
    if (c.p.mean) mean_.weight(query) = w.empty ? 0.0 : double(w.mean_weight);
    if (channels.first) gamma += slopes(c, keys, head, w, query, work, coefficients);
    return {query, w.count, w.ids, w.weights, coefficients};
}

// dL/dq, dL/d mean key and the coefficients of the list. Returns dL/d gamma.
double BackwardUnit::slopes(const Call &c, const HeadKeys &keys, int64_t head, const Weighed &w, uint32_t query,
                            BackwardWork &work, float *coefficients) {
    const Problem &p = c.p;
    const simd::Kernels &kernels = *keys.kernels;
    const size_t dk = size_t(p.dk), dv = size_t(p.dv), stride = simd::slope_stride(dk);
    const bool dot = p.score == ZETA_SCORE_DOT;
    float point[ZETA_MAX_DK] = {};
    double grad[ZETA_MAX_DK] = {}, gamma = 0;
    std::copy_n(keys.q + size_t(query) * dk, dk, point);
    if (p.mean) std::fill_n(mean_.key(query), dk, 0.0);
    if (!w.empty) {
        const float *g = gradient_row(kernels, c.t, c.unit, head, query, dv, work.g);
        const bool none = w.count == 0 && w.wide.begin == w.wide.end; // the mean alone
        const uint32_t first = w.count > 0 ? w.ids[0] : w.wide.begin;
        const float *reference = work.reference;
        if (none)
            std::fill_n(work.reference, dv, 0.0f);
        else
            reference = value_row(c, kernels, first, work.reference);
        const ValueProducts products{c, kernels, g, reference};
        simd::SlopeShape shape{p.score, keys.gamma, w.minimum, w.normaliser, 0.0};
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            products(work.weigh.slice_ids, n, work.products);
            shape.mean_product += kernels.slopes_dot(work.weigh.slice_weights, work.products, n);
        }
        products(w.ids, w.count, work.products);
        uint32_t list = w.count; // the mean's entry comes last
        if (w.has_mean) work.products[list++] = float(mean_.product(query) - kernels.slopes_dot(g, reference, dv));
        shape.mean_product += kernels.slopes_dot(w.weights, work.products, list);
        if (wide_ != nullptr) wide_[query] = {w.minimum, w.sum(), first, w.normaliser, shape.mean_product};
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            const WeighWork &s = work.weigh;
            products(s.slice_ids, n, work.own_weights);
            gamma += kernels.slopes_coefficients(shape, s.slice_weights, work.own_weights, s.slice_distances,
                                                 s.slice_dots, n, coefficients);
            kernels.slopes_query(dot, point, keys_, stride, s.slice_ids, coefficients, n, grad);
        }
        gamma += kernels.slopes_coefficients(shape, w.weights, work.products, w.distances, w.dots, list, coefficients);
        kernels.slopes_query(dot, point, keys_, stride, w.ids, coefficients, w.count, grad);
        if (w.has_mean) {
            const double coefficient = coefficients[w.count];
            for (size_t d = 0; d < dk && coefficient != 0; ++d) {
                const double apart = 2 * coefficient * double(point[d] - w.mean_key[d]);
                grad[d] += dot ? coefficient * double(w.mean_key[d]) : apart;
                mean_.key(query)[d] = dot ? coefficient * double(point[d]) : -apart;
            }
        }
    }
    if (!c.t.grad_q.present()) return gamma;
    float row[ZETA_MAX_DK];
    for (size_t d = 0; d < dk; ++d) row[d] = float(grad[d]);
    narrow(kernels, c.t.grad_q.dtype, row, dk, row_pointer_out(c.t.grad_q, c.unit.batch, head, c.unit.q_start + query));
    return gamma;
}

void BackwardUnit::scatter_list(const Call &c, const HeadKeys &keys, const Channels &channels, const float *g,
                                const Pairs &pairs) {
    const size_t dk = size_t(c.p.dk), width = channels.end - channels.begin;
    float point[ZETA_MAX_DK] = {};
    if (width > 0)
        keys.kernels->backward_scatter(g + channels.begin, pairs.ids, pairs.weights, pairs.count, channels.rows,
                                       channels.stride, width);
    if (!channels.first || !c.t.grad_k.present()) return;
    std::copy_n(keys.q + size_t(pairs.query) * dk, dk, point);
    keys.kernels->slopes_keys(c.p.score == ZETA_SCORE_DOT, point, keys_, simd::slope_stride(dk), pairs.ids,
                              pairs.coefficients, pairs.count, key_grad_);
}

void BackwardUnit::scatter(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels,
                           const Pairs *pairs, size_t n, int shard, int shards, BackwardWork &work) {
    for (size_t i = 0; i < n; ++i) {
        const Pairs &from = pairs[i];
        if (from.count == 0) continue;
        const float *g = gradient_row(*keys.kernels, c.t, c.unit, head, from.query, size_t(c.p.dv), work.g);
        if (shards == 1) {
            scatter_list(c, keys, channels, g, from);
            continue;
        }
        uint32_t own = 0; // keys are dealt to threads in groups of four, so that even few keys are shared fairly
        for (uint32_t j = 0; j < from.count; ++j) {
            work.own_ids[own] = from.ids[j];
            work.own_weights[own] = from.weights[j];
            work.own_coefficients[own] = from.coefficients[j];
            own += from.ids[j] / 4 % uint32_t(shards) == uint32_t(shard);
        }
        scatter_list(c, keys, channels, g, {from.query, own, work.own_ids, work.own_weights, work.own_coefficients});
    }
}

} // namespace zeta::cpu
