// SPDX-License-Identifier: Apache-2.0
// The weighted sum of values again in float64, for rows whose float32 partial sums left the range although values near
// FLT_MAX have a mean that does not, for denormal values, and for rows with true NaN or infinities, which come out the
// same.
#pragma once

#include "weigh.hpp"

namespace zeta::cpu {

// Channels [begin, begin + width) of the value row of key `id`, as float32.
using ReadValues = FunctionRef<void(uint32_t id, size_t begin, size_t width, float *values)>;

// row [dv]: the sum over what `w` weighed. mean_value: [dv], read if w.has_mean. Not for an empty set.
void attend_wide_range(const Weighed &w, ReadValues read, const float *mean_value, WeighWork &work, size_t dv,
                       float *row);

} // namespace zeta::cpu
