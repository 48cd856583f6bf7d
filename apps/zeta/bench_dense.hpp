// SPDX-License-Identifier: Apache-2.0
// The opponent of `zeta bench decode`: one step of dense float32 decode, every query against all keys, as a plain loop
// would have it that is written for speed. Cauchy weights with gamma 1, which need no exponential. Keys are kept by
// coordinate, values in rows; both are read once, for all query heads that share them. O(M (dk + dv)) per head.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench_fill.hpp"

namespace zeta::app {

class DenseTeam;

class DenseStep {
public:
    // k [G, shape.m, dk] and v [G, shape.m, dv], of which the first `keys` of each head are attended. v must outlive
    // this object.
    DenseStep(const BenchShape &shape, const float *k, const float *v, int64_t keys, int threads);
    ~DenseStep();
    DenseStep(const DenseStep &) = delete;
    DenseStep &operator=(const DenseStep &) = delete;

    void run(const float *q, float *out); // [H, dk], [H, dv]

private:
    void attend_part(int part, const float *q);

    BenchShape shape_;
    const float *v_;
    int64_t keys_;
    int threads_;
    const float *q_ = nullptr;                // of the step in progress
    std::vector<float> planes_;               // [G, dk, keys]
    std::vector<std::vector<float>> partial_; // of each thread [H, dv + 1], the sum of weights last
    std::unique_ptr<DenseTeam> team_;
};

} // namespace zeta::app
