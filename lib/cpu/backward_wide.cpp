// SPDX-License-Identifier: Apache-2.0
// Gradients of the keys in wide local windows. A list of a window's pairs would be as long as the window: instead each
// block of keys visits, in order, the queries whose windows reach into it, and weighs that part again. Of windows of
// thousands each key has as many pairs: dL/dv is then summed for some queries at a time, so that no float32 sum is of
// very many terms.
#include "backward_call.hpp"

namespace zeta::cpu {

constexpr int64_t kRun = 128; // queries whose shares of dL/dv are added before they are added to those of others

void BackwardUnit::wide_keys(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels) {
    const Problem &p = c.p;
    const simd::Kernels &kernels = *keys.kernels;
    const int64_t origin = position_of(c.unit, 0), m = c.unit.m;
    const size_t width = channels.end - channels.begin;
    const auto block = [&](int64_t first, int64_t last, BackwardWork &work) { // keys [first, last)
        const bool apart = width > 0 && channels.sums == nullptr && work.block != nullptr;
        Channels sums = channels;
        if (apart) { // keys are counted from the block's first
            sums.rows = work.block;
            sums.stride = width;
            std::fill_n(work.block, size_t(last - first) * width, 0.0f);
        }
        const auto add_sums = [&] {
            for (int64_t j = first; apart && j < last; ++j) {
                float *from = work.block + size_t(j - first) * width, *to = channels.rows + size_t(j) * channels.stride;
                for (size_t d = 0; d < width; ++d) to[d] += from[d];
                std::fill_n(from, width, 0.0f);
            }
        };
        const int64_t to = std::min(m - origin, last - 1 + p.local - origin);
        for (int64_t i = std::max<int64_t>(0, first - origin); i < to; ++i) {
            const uint32_t query = uint32_t(i);
            if (i % kRun == 0) add_sums();
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
            Pairs own = slice;
            own.ids = apart ? work.own_ids : slice.ids;
            for (uint32_t j = 0; apart && j < n; ++j) own.ids[j] = slice.ids[j] - uint32_t(first);
            scatter_values(keys, sums, g, own);
            if (channels.first) scatter_keys(c, keys, slice);
        }
        add_sums();
    };
    c.each((size_t(m) + kSlice - 1) / kSlice, 1, [&](size_t begin, size_t end, int worker) {
        for (size_t b = begin; b < end; ++b)
            block(int64_t(b * kSlice), std::min<int64_t>(m, int64_t((b + 1) * kSlice)), c.work[worker]);
    });
}

} // namespace zeta::cpu
