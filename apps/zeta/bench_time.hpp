// SPDX-License-Identifier: Apache-2.0
// Clock and statistics of the benchmarks.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace zeta::app {

using Clock = std::chrono::steady_clock;

inline double microseconds(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double, std::micro>(end - begin).count();
}

template <class Call> double timed_ms(const Call &call) {
    const auto begin = Clock::now();
    call();
    return microseconds(begin, Clock::now()) / 1000;
}

inline double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// The least value that a `share` of all values does not exceed; `sorted` ascending, not empty.
inline double quantile_of(const std::vector<double> &sorted, double share) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted[std::min(std::max<size_t>(rank, 1), sorted.size()) - 1];
}

} // namespace zeta::app
