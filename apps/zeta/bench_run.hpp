// SPDX-License-Identifier: Apache-2.0
// Times zeta_forward or zeta_backward on given inputs: one warm-up, then repeats; tensors, scratch and saved state are
// allocated once, before the first.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench_inputs.hpp"
#include "session.hpp"

namespace zeta::app {

struct BenchPlan {
    bool backward = false; // times zeta_backward alone, given saved state
    bool copy = false;     // times a memcpy of q, k, v and out after each call
    int repeat = 5;
};

struct BenchResult {
    double median_ms = 0, min_ms = 0;
    double copy_ms = 0;                                 // median
    std::vector<std::pair<std::string, double>> stages; // of the run at the median, in ms
};

// Inputs must have the type to run. `params` may carry no progress callback: the bar shows runs.
BenchResult run_bench(const Context &context, const zeta_attention_params &params, const BenchInputs &inputs,
                      const BenchPlan &plan);

} // namespace zeta::app
