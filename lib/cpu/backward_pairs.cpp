// SPDX-License-Identifier: Apache-2.0
// One query's gradients: its own, and the pairs that its keys will add. Products with values are taken relative to the
// value of the heaviest key, so that values with a large common part cancel before they are multiplied, and one that
// hardly counts spoils no other's product.
#include "backward_call.hpp"
#include "fetch.hpp"

namespace zeta::cpu {
namespace {

// A point with zeros behind it: [slope_stride(dk)]. Four at a time: clearing the whole array, or a call that copies
// three numbers, takes as long as several keys' shares of a gradient.
void load_point(const float *row, size_t dk, float *point) {
    for (size_t d = 0; d < dk; d += 4)
        for (size_t e = d; e < d + 4; ++e) point[e] = e < dk ? row[e] : 0.0f;
}

void clear_point(size_t dk, double *point) {
    for (size_t d = 0; d < dk; d += 4)
        for (size_t e = d; e < d + 4; ++e) point[e] = 0;
}

} // namespace

Pairs BackwardUnit::gather(const Call &c, const HeadKeys &keys, int64_t head, uint32_t slot, const Channels &channels,
                           BackwardWork &work, float *coefficients, double &gamma) {
    const uint32_t query = work.current.query[slot];
    const Weighed &w = work.weighed[slot];
    if (c.p.mean) mean_.weight(query) = w.empty ? 0.0 : double(w.mean_weight);
    if (wide_ != nullptr) {
        wide_[query].minimum = w.minimum;
        wide_[query].sum = w.sum();
    }
    if (channels.first) gamma += slopes(c, keys, head, w, query, work, coefficients);
    return {query, w.count, w.ids, w.weights, coefficients};
}

bool BackwardUnit::adds_keys_at_once(const Call &c) {
    return c.threads == 1 && c.t.grad_k.present();
}

// dL/dq, dL/d mean key and the coefficients of the list. Returns dL/d gamma.
double BackwardUnit::slopes(const Call &c, const HeadKeys &keys, int64_t head, const Weighed &w, uint32_t query,
                            BackwardWork &work, float *coefficients) {
    const Problem &p = c.p;
    const simd::Kernels &kernels = *keys.kernels;
    const size_t dk = size_t(p.dk), dv = size_t(p.dv), stride = simd::slope_stride(dk);
    const bool dot = p.score == ZETA_SCORE_DOT;
    float point[ZETA_MAX_DK];
    double grad[ZETA_MAX_DK], gamma = 0;
    load_point(keys.q + size_t(query) * dk, dk, point);
    clear_point(dk, grad);
    for (size_t d = 0; p.mean && d < dk; ++d) mean_.key(query)[d] = 0;
    if (!w.empty) {
        const float *g = gradient_row(kernels, c.t, c.unit, head, query, dv, work.g);
        const bool none = w.count == 0 && w.wide.begin == w.wide.end; // the mean alone, relative to itself
        const float *reference = none ? nullptr : value_row(c, kernels, w.heaviest, work.reference);
        const ValueProducts products{c, kernels, g, reference};
        double sum = 0, weights = 0; // of products; of weights: 1 but for rounding
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            products(work.weigh.slice_ids, n, work.products);
            sum += kernels.slopes_average(work.weigh.slice_weights, work.products, n, &weights);
        }
        if (!none) products(w.ids, w.count, work.products);
        uint32_t list = w.count; // the mean's entry comes last
        if (w.has_mean)
            work.products[list++] = none ? 0.0f : float(mean_.product(query) - kernels.slopes_dot(g, reference, dv));
        sum += kernels.slopes_average(w.weights, work.products, list, &weights);
        const double inverse = 1 / weights; // at hand before the products are, as a quotient would not be
        const simd::SlopeShape shape{p.score, keys.gamma, w.minimum, w.normaliser, sum * inverse};
        if (wide_ != nullptr) {
            wide_[query].reference = w.heaviest;
            wide_[query].normaliser = w.normaliser;
            wide_[query].mean_product = shape.mean_product;
        }
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work.weigh);
            const WeighWork &s = work.weigh;
            products(s.slice_ids, n, work.own_values);
            float *of_slice = c.threads == 1 ? coefficients : work.coefficients; // have room for kSlice
            gamma += kernels.slopes_coefficients(shape, s.slice_weights, work.own_values, s.slice_distances,
                                                 s.slice_dots, n, of_slice);
            kernels.slopes_query(dot, point, keys_, stride, s.slice_ids, of_slice, n, grad);
        }
        gamma += kernels.slopes_coefficients(shape, w.weights, work.products, w.distances, w.dots, list, coefficients);
        if (adds_keys_at_once(c))
            kernels.slopes_pairs(dot, point, keys_, stride, w.ids, coefficients, w.count, grad, key_grad_);
        else
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
    void *out = row_pointer_out(c.t.grad_q, c.unit.batch, head, c.unit.q_start + query);
    float buffer[ZETA_MAX_DK], *row = c.t.grad_q.dtype == ZETA_F32 ? static_cast<float *>(out) : buffer;
    for (size_t d = 0; d < dk; ++d) row[d] = rounded(grad[d]);
    if (row == buffer) narrow(kernels, c.t.grad_q.dtype, row, dk, out);
    return gamma;
}

void BackwardUnit::scatter_values(const HeadKeys &keys, const Channels &channels, const float *g, const Pairs &pairs) {
    if (channels.sums != nullptr)
        keys.kernels->backward_scatter_f64(g + channels.begin, pairs.ids, pairs.weights, pairs.count, channels.sums,
                                           channels.sum_stride, channels.end - channels.begin);
    else if (channels.end > channels.begin)
        keys.kernels->backward_scatter(g + channels.begin, pairs.ids, pairs.weights, pairs.count, channels.rows,
                                       channels.stride, channels.end - channels.begin);
}

void BackwardUnit::scatter_keys(const Call &c, const HeadKeys &keys, const Pairs &pairs) {
    if (!c.t.grad_k.present()) return;
    const size_t dk = size_t(c.p.dk);
    float point[ZETA_MAX_DK];
    load_point(keys.q + size_t(pairs.query) * dk, dk, point);
    keys.kernels->slopes_keys(c.p.score == ZETA_SCORE_DOT, point, keys_, simd::slope_stride(dk), pairs.ids,
                              pairs.coefficients, pairs.count, key_grad_);
}

// One shard of an item's pairs. Shards share the channels of dL/dv as far as these go round, and beyond that the keys;
// dL/dk is shared by keys.
void BackwardUnit::scatter_item(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels,
                                size_t start, size_t count, const Pairs *pairs, Shard shard, BackwardWork &work) {
    constexpr size_t kLine = 16; // channels of a cache line
    const simd::Kernels &kernels = *keys.kernels;
    const bool early = selection_.needs_early();
    const size_t lines = (channels.end - channels.begin + kLine - 1) / kLine;
    const uint32_t columns = uint32_t(std::min<size_t>(shard.count, std::max<size_t>(lines, 1)));
    const uint32_t groups = shard.count / columns, column = shard.index % columns, group = shard.index / columns;
    const size_t from = lines * column / columns * kLine,
                 to = std::min(lines * (column + 1) / columns * kLine, channels.end - channels.begin);
    const size_t bytes = float_size(c.t.grad_out.dtype);
    Channels share{channels.begin + from, channels.begin + to, channels.rows + from, channels.stride, channels.first};
    if (channels.sums != nullptr) {
        share.sums = channels.sums + from;
        share.sum_stride = channels.sum_stride;
    }
    for (size_t tile = 0; tile < count; ++tile) {
        const Selection::Ahead ahead = selection_.ahead(start + tile + 1);
        if (!early) fetch_gradients(c, ahead, share);
        for (uint32_t i = 0; i < ahead.query_count; ++i) {
            const void *g = row_pointer(c.t.grad_out, c.unit.batch, head, c.unit.q_start + ahead.queries[i]);
            fetch(static_cast<const char *>(g) + share.begin * bytes, (share.end - share.begin) * bytes);
        }
        for (size_t i = tile * kTile; i < (tile + 1) * kTile; ++i) {
            const Pairs &all = pairs[i], &next = pairs[std::min(i + kTile, count * kTile - 1)];
            if (early) fetch_gradients(c, {&next.query, next.ids, 1, next.count}, share);
            if (all.count == 0) continue;
            if (group < groups && share.end > share.begin) {
                const float *g = gradient_row(kernels, c.t, c.unit, head, all.query, size_t(c.p.dv), work.g);
                Pairs own = all;
                if (groups > 1) {
                    own.ids = work.own_ids;
                    own.weights = work.own_values;
                    own.count =
                        kernels.slopes_own(all.ids, all.weights, all.count, groups, group, own.ids, own.weights);
                }
                scatter_values(keys, share, g, own);
            }
            if (!channels.first) continue;
            Pairs own = all;
            if (shard.count > 1) {
                own.ids = work.own_ids;
                own.coefficients = work.own_values;
                own.count = kernels.slopes_own(all.ids, all.coefficients, all.count, shard.count, shard.index, own.ids,
                                               own.coefficients);
            }
            scatter_keys(c, keys, own);
        }
    }
}

} // namespace zeta::cpu
