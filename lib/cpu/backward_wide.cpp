// SPDX-License-Identifier: Apache-2.0
// Gradients of the keys in wide local windows. A list of a window's pairs would be as long as the window: instead each
// block of keys visits, in order, the queries whose windows reach into it, and weighs that part again.
#include "backward_call.hpp"

namespace zeta::cpu {

void BackwardUnit::wide_keys(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels) {
    const Problem &p = c.p;
    const simd::Kernels &kernels = *keys.kernels;
    const int64_t origin = position_of(c.unit, 0), m = c.unit.m;
    const auto block = [&](int64_t first, int64_t last, BackwardWork &work) { // keys [first, last)
        const int64_t to = std::min(m - origin, last - 1 + p.local - origin);
        for (int64_t i = std::max<int64_t>(0, first - origin); i < to; ++i) {
            const uint32_t query = uint32_t(i);
            const LocalRange range = local_of(p, c.unit, i);
            const uint32_t begin = std::max(range.begin, uint32_t(first)), end = std::min(range.end, uint32_t(last));
            if (begin >= end || range.end - range.begin <= kInlineLocal) continue; // those are in the pairs
            const WidePairs &pairs = wide_[query];
            Weighed w;
            w.resume(keys, query, {begin, end}, pairs.minimum, pairs.sum);
            const uint32_t n = w.slice(begin, work.weigh);
            const float *g = gradient_row(kernels, c.t, c.unit, head, query, size_t(p.dv), work.g);
            if (channels.first) {
                const float *reference = value_row(c, kernels, pairs.reference, work.reference);
                ValueProducts{c, kernels, g, reference}(work.weigh.slice_ids, n, work.products);
                const simd::SlopeShape shape{p.score, keys.gamma, pairs.minimum, pairs.normaliser, pairs.mean_product};
                kernels.slopes_coefficients(shape, work.weigh.slice_weights, work.products, work.weigh.slice_distances,
                                            work.weigh.slice_dots, n, work.coefficients);
            }
            const Pairs slice{query, n, work.weigh.slice_ids, work.weigh.slice_weights, work.coefficients};
            scatter_values(keys, channels, g, slice);
            if (channels.first) scatter_keys(c, keys, slice);
        }
    };
    c.each((size_t(m) + kSlice - 1) / kSlice, 1, [&](size_t begin, size_t end, int worker) {
        for (size_t b = begin; b < end; ++b)
            block(int64_t(b * kSlice), std::min<int64_t>(m, int64_t((b + 1) * kSlice)), c.work[worker]);
    });
}

} // namespace zeta::cpu
