// SPDX-License-Identifier: Apache-2.0
// Channels in groups that fit the stack; slices of a wide local window are weighed once for each group.
#include "wide_range.hpp"

#include "rows.hpp"

namespace zeta::cpu {

void attend_wide_range(const Weighed &w, ReadValues read, const float *mean_value, WeighWork &work, size_t dv,
                       float *row) {
    constexpr size_t kGroup = 256;
    for (size_t begin = 0; begin < dv; begin += kGroup) {
        const size_t width = std::min(kGroup, dv - begin);
        double sum[kGroup] = {}, weights = 0;
        float values[kGroup];
        const auto add = [&](double weight, const float *x) {
            for (size_t c = 0; c < width; ++c) sum[c] += weight * double(x[c]);
            weights += weight;
        };
        const auto add_key = [&](uint32_t id, float share) {
            read(id, begin, width, values);
            add(double(share), values);
        };
        if (w.has_mean) add(double(w.mean_weight), mean_value + begin);
        for (uint32_t i = 0; i < w.count; ++i) add_key(w.ids[i], w.weights[i]);
        for (uint32_t b = w.wide.begin; b < w.wide.end; b += kSlice) {
            const uint32_t n = w.slice(b, work);
            for (uint32_t i = 0; i < n; ++i) add_key(b + i, work.slice_weights[i]);
        }
        // The weights' sum is 1 but for rounding, which at FLT_MAX would overflow.
        for (size_t c = 0; c < width; ++c) row[begin + c] = rounded(sum[c] / weights);
    }
}

} // namespace zeta::cpu
