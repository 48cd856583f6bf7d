// SPDX-License-Identifier: Apache-2.0
// The tensors of a timed call, filled by bench_fill.hpp.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"
#include "bench_fill.hpp"

namespace zeta::app {

struct BenchInputs {
    Array q, k, v, grad_out; // float32 [1, H, N, dk], [1, G, M, dk], [1, G, M, dv], [1, H, N, dv] or empty
};

// The kinds of fill_bench_points.
const std::vector<std::string> &bench_kinds();

// `kind` is one of bench_kinds(). grad_out stays empty unless it is asked for.
BenchInputs make_bench_inputs(const std::string &kind, const BenchShape &shape, bool grad_out);

} // namespace zeta::app
