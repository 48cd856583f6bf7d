// SPDX-License-Identifier: Apache-2.0
// Inputs for timing, the same on every run and machine: a splitmix64 stream per tensor and head with a fixed seed, made
// normal by the Box-Muller transform.
#pragma once

#include <string>

#include "array.hpp"

namespace zeta::app {

struct BenchShape {
    int64_t heads = 1, groups = 1, n = 0, m = 0, dk = 3, dv = 64;
};

struct BenchInputs {
    Array q, k, v,
        grad_out; // float32 [1, H, N, dk], [1, G, M, dk], [1, G, M, dv], [1, H, N, dv] (empty if not asked for)
};

// kind: gaussian   q, k ~ N(0, 1)
//       clustered  around 256 centres ~ N(0, 1) with spread 0.05
//       drift      k the running sum of 0.05 N(0, 1) divided by its standard deviation per coordinate, q = k + 0.01
//       N(0, 1) equal      all 0.25 sorted     gaussian, then q and k each sorted per coordinate
// v and grad_out ~ N(0, 1).
BenchInputs make_bench_inputs(const std::string &kind, const BenchShape &shape, bool grad_out);

} // namespace zeta::app
