// SPDX-License-Identifier: Apache-2.0
// The mean's share of the gradients: each key gets 1/(t + 1) of what every later query's mean got, a cumulative sum
// from the last query back, in float64 and in blocks of fixed size so that threads do not change its bits.
#include "backward_call.hpp"

namespace zeta::cpu {

void BackwardUnit::prepare_mean_products(const Call &c, int64_t head) {
    const size_t dv = size_t(c.p.dv);
    const auto product = [&](uint32_t i, const float *mean) {
        const void *p = row_pointer(c.t.grad_out, c.unit.batch, head, c.unit.q_start + i);
        double sum = 0;
        if (c.t.grad_out.dtype == ZETA_F32) {
            const float *g = static_cast<const float *>(p);
            sum = dot_product(g, mean, dv);
        } else {
            float g[64];
            for (size_t d = 0; d < dv; d += 64) {
                const size_t n = std::min<size_t>(64, dv - d);
                widen(c.executor.kernels(), c.t.grad_out.dtype, static_cast<const uint16_t *>(p) + d, n, g);
                sum += dot_product(g, mean + d, n);
            }
        }
        mean_product_[i] = sum;
    };
    if (c.p.causal) {
        value_means_.build(c.executor, c.t.v, c.unit, true, product);
        return;
    }
    value_means_.build(c.executor, c.t.v, c.unit, false, {});
    float *mean = c.work[c.worker].reference;
    if (c.unit.m > 0) value_means_.row(c.executor, 0, c.worker, mean);
    for (uint32_t i = 0; i < c.unit.n && c.unit.m > 0; ++i) product(i, mean);
}

void BackwardUnit::mean_values(const Call &c, int64_t head, const Channels &channels) {
    const size_t width = channels.end - channels.begin, dv = size_t(c.p.dv), block = mean_block(dv);
    if (width == 0 || c.unit.m == 0) return;
    const size_t blocks = (c.unit.n + block - 1) / block, origin = c.p.causal ? c.unit.m - c.unit.n : 0;
    const auto add = [&](uint32_t i, float *buffer, double *sum) {
        const float *g = gradient_row(c.executor.kernels(), c.t, c.unit, head, i, dv, buffer) + channels.begin;
        const double share = double(mean_weight_[i]) / double(c.p.causal ? origin + i + 1 : c.unit.m);
        for (size_t d = 0; d < width; ++d) sum[d] += share * double(g[d]);
    };
    // suffix_[b]: the sum over all rows of blocks >= b; one spare row per thread is not needed: blocks own their rows.
    std::fill_n(suffix_ + blocks * width, width, 0.0);
    const auto sums = [&](size_t begin, size_t end, int worker) {
        for (size_t b = begin; b < end; ++b) {
            double *sum = suffix_ + b * width;
            std::fill_n(sum, width, 0.0);
            for (size_t i = std::min<size_t>(c.unit.n, (b + 1) * block); i-- > b * block;)
                add(uint32_t(i), c.work[worker].g, sum);
        }
    };
    c.executor.parallel_for(blocks, 1, sums);
    for (size_t b = blocks; b-- > 0;)
        for (size_t d = 0; d < width; ++d) suffix_[b * width + d] += suffix_[(b + 1) * width + d];
    const auto add_row = [&](size_t j, const double *after, const double *running) {
        float *row = channels.rows + j * channels.stride;
        for (size_t d = 0; d < width; ++d) row[d] += float(after[d] + (running ? running[d] : 0.0));
    };
    if (!c.p.causal) {
        for (size_t j = 0; j < c.unit.m; ++j) add_row(j, suffix_, nullptr);
        return;
    }
    const auto rows = [&](size_t begin, size_t end, int worker) {
        double running[4096];
        for (size_t b = begin; b < end; ++b)
            for (size_t d0 = 0; d0 < width; d0 += 4096) { // beyond 4096 channels: columns one group after another
                const size_t part = std::min<size_t>(4096, width - d0);
                std::fill_n(running, part, 0.0);
                for (size_t i = std::min<size_t>(c.unit.n, (b + 1) * block); i-- > b * block;) {
                    const float *g =
                        gradient_row(c.executor.kernels(), c.t, c.unit, head, uint32_t(i), dv, c.work[worker].g) +
                        channels.begin + d0;
                    const double share = double(mean_weight_[i]) / double(origin + i + 1);
                    float *row = channels.rows + (origin + i) * channels.stride + d0;
                    const double *after = suffix_ + (b + 1) * width + d0;
                    for (size_t d = 0; d < part; ++d) {
                        running[d] += share * double(g[d]);
                        row[d] += float(after[d] + running[d]);
                    }
                }
            }
    };
    c.executor.parallel_for(blocks, 1, rows);
    for (size_t j = 0; j < origin; ++j) add_row(j, suffix_, nullptr);
}

void BackwardUnit::mean_key_rows(const Call &c) {
    const size_t dk = size_t(c.p.dk), origin = c.p.causal ? c.unit.m - c.unit.n : 0;
    double sum[ZETA_MAX_DK] = {};
    for (size_t i = c.unit.n; i-- > 0;) {
        const double share = 1.0 / double(c.p.causal ? origin + i + 1 : c.unit.m);
        for (size_t e = 0; e < dk; ++e) {
            sum[e] += share * double(mean_key_grad_[i * dk + e]);
            if (c.p.causal) key_grad_[(origin + i) * dk + e] += sum[e];
        }
    }
    const size_t rest = c.p.causal ? origin : c.unit.m;
    for (size_t j = 0; j < rest; ++j)
        for (size_t e = 0; e < dk; ++e) key_grad_[j * dk + e] += sum[e];
}

} // namespace zeta::cpu
