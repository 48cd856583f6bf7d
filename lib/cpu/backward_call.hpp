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

    // parallel_for, or on the thread that has this unit to itself.
    template <class Body> void each(size_t n, size_t grain, Body body) const {
        if (threads > 1) {
            executor.parallel_for(n, grain, body);
        } else if (n > 0) {
            body(size_t{0}, n, worker);
        }
    }
};

// Row of dL/d out as float32, widened into `buffer` if need be.
inline const float *gradient_row(const simd::Kernels &kernels, const Tensors &t, const Unit &u, int64_t head,
                                 uint32_t query, size_t dv, float *buffer) {
    const void *p = row_pointer(t.grad_out, u.batch, head, u.q_start + query);
    if (t.grad_out.dtype == ZETA_F32) return static_cast<const float *>(p);
    widen(kernels, t.grad_out.dtype, p, dv, buffer);
    return buffer;
}

// Value row of key `key` as float32, widened into `buffer` if need be.
template <class Call> const float *value_row(const Call &c, const simd::Kernels &kernels, uint32_t key, float *buffer) {
    const void *p = row_pointer(c.t.v, c.unit.batch, c.unit.key_head, c.unit.k_start + key);
    if (c.t.v.dtype == ZETA_F32) return static_cast<const float *>(p);
    widen(kernels, c.t.v.dtype, p, size_t(c.p.dv), buffer);
    return buffer;
}

// products[i] = <g, v[ids[i]] - reference>.
template <class Call> struct ValueProducts {
    const Call &c;
    const simd::Kernels &kernels;
    const float *g, *reference;

    void operator()(const uint32_t *ids, uint32_t n, float *products) const {
        const void *v = row_pointer(c.t.v, c.unit.batch, c.unit.key_head, c.unit.k_start);
        const auto kernel = c.t.v.dtype == ZETA_BF16  ? kernels.backward_products_bf16
                            : c.t.v.dtype == ZETA_F16 ? kernels.backward_products_f16
                                                      : kernels.backward_products_f32;
        kernel(g, reference, ids, n, v, size_t(c.t.v.row_stride), size_t(c.p.dv), products);
    }
};
template <class Call>
ValueProducts(const Call &, const simd::Kernels &, const float *, const float *) -> ValueProducts<Call>;

} // namespace zeta::cpu
