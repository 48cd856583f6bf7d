// SPDX-License-Identifier: Apache-2.0
// The weighted sum of values over a list and the slices of a wide local window. Each part is summed in float32, parts
// in float64, rounded once: the error of a running float32 sum grows with the window. Forward and decode sum through
// this one class, so that their bits agree; the cost is one addition per channel and slice.
#pragma once

#include <cmath>
#include <limits>

#include "weigh.hpp"

namespace zeta::cpu {

// Per thread.
class WideSum {
public:
    // channels: at most, of one sum.
    void take(Scratch &scratch, int64_t local, size_t channels) {
        const size_t n = local > int64_t(kInlineLocal) ? channels : 0;
        sum_ = scratch.take<double>(n);
        part_ = scratch.take<float>(n);
    }

    void begin(const float *list, size_t channels) {
        for (size_t c = 0; c < channels; ++c) sum_[c] = double(list[c]);
    }
    float *part() { return part_; } // where a slice's sum is put before it is added
    void add(size_t channels) {
        for (size_t c = 0; c < channels; ++c) sum_[c] += double(part_[c]);
    }
    // Returns whether all are 0 or in a range where 2^24 additions near float32's smallest numbers lost nothing.
    bool finish(float *row, size_t channels) const {
        bool in_range = true;
        for (size_t c = 0; c < channels; ++c) {
            row[c] = float(sum_[c]);
            const float size = std::fabs(row[c]);
            in_range &= size == 0 || (size >= 0x1p-100f && size < std::numeric_limits<float>::infinity());
        }
        return in_range;
    }

private:
    double *sum_ = nullptr;
    float *part_ = nullptr;
};

} // namespace zeta::cpu
