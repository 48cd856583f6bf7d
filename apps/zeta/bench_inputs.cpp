// SPDX-License-Identifier: Apache-2.0
// Allocates and fills the tensors of a timed call.
#include "bench_inputs.hpp"

namespace zeta::app {

const std::vector<std::string> &bench_kinds() {
    static const std::vector<std::string> kinds{"gaussian", "clustered", "drift",  "equal",
                                                "sorted",   "crowded",   "outlier"};
    return kinds;
}

BenchInputs make_bench_inputs(const std::string &kind, const BenchShape &shape, bool grad_out) {
    BenchInputs inputs;
    inputs.q = Array(ZETA_F32, {1, shape.heads, shape.n, shape.dk});
    inputs.k = Array(ZETA_F32, {1, shape.groups, shape.m, shape.dk});
    inputs.v = Array(ZETA_F32, {1, shape.groups, shape.m, shape.dv});
    fill_bench_points(kind, shape, inputs.q.data<float>(), inputs.k.data<float>());
    fill_bench_values(shape, inputs.v.data<float>());
    if (grad_out) {
        inputs.grad_out = Array(ZETA_F32, {1, shape.heads, shape.n, shape.dv});
        fill_bench_gradient(shape, inputs.grad_out.data<float>());
    }
    return inputs;
}

} // namespace zeta::app
