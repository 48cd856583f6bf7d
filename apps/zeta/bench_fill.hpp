// SPDX-License-Identifier: Apache-2.0
// Inputs for timing, the same on every run and machine: a splitmix64 stream per tensor and head with a fixed seed, made
// normal by the Box-Muller transform. Raw memory in and out, so that programs without the library's tensors use them
// too.
#pragma once

#include <cstdint>
#include <string>

namespace zeta::app {

struct BenchShape {
    int64_t heads = 1, groups = 1, n = 0, m = 0, dk = 3, dv = 64;
};

// q [heads, n, dk] and k [groups, m, dk] of a kind:
// - gaussian: N(0, 1);
// - clustered: around 256 centres of N(0, 1), with spread 0.05;
// - drift: k the running sum of 0.05 N(0, 1) divided by its standard deviation per coordinate, q = k + 0.01 N(0, 1);
// - equal: all 0.25;
// - sorted: gaussian, then q and k each sorted per coordinate.
void fill_bench_points(const std::string &kind, const BenchShape &shape, float *q, float *k);

void fill_bench_values(const BenchShape &shape, float *v);          // [groups, m, dv], N(0, 1)
void fill_bench_gradient(const BenchShape &shape, float *grad_out); // [heads, n, dv], N(0, 1)

} // namespace zeta::app
