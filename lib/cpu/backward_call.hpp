// SPDX-License-Identifier: Apache-2.0
// The arguments of one BackwardUnit::run, shared by its stages.
#pragma once

#include "backward.hpp"

namespace zeta::cpu {

struct BackwardUnit::Call {
    const Executor &executor;
    Context &context;
    ProgressMeter &progress;
    const Problem &p;
    const Tensors &t;
    Unit unit;
    const Saved &saved;
    BackwardWork *work;
    int threads, worker;
    double *grad_gamma;
};

// Rows of the fixed blocks in which the mean's gradients are summed: a constant of the number of channels alone.
inline size_t mean_block(size_t channels) {
    return 512 * ((channels + 4095) / 4096);
}

// Row of dL/d out as float32, widened into `buffer` if need be.
inline const float *gradient_row(const simd::Kernels &kernels, const Tensors &t, const Unit &u, int64_t head,
                                 uint32_t query, size_t dv, float *buffer) {
    const void *p = row_pointer(t.grad_out, u.batch, head, u.q_start + query);
    if (t.grad_out.dtype == ZETA_F32) return static_cast<const float *>(p);
    widen(kernels, t.grad_out.dtype, p, dv, buffer);
    return buffer;
}

// In float64, on eight running sums: one would wait for itself at every addition.
inline double dot_product(const float *a, const float *b, size_t n) {
    double sums[8] = {};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; ++j) sums[j] += double(a[i + j]) * double(b[i + j]);
    for (; i < n; ++i) sums[i % 8] += double(a[i]) * double(b[i]);
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

} // namespace zeta::cpu
