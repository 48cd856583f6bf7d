// SPDX-License-Identifier: Apache-2.0
// Row kernels of spec section 6: products of the output gradient with value rows, and weighted additions to gradient
// rows. The product of a row does not depend on where in the list it stands; additions happen in list order.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using Vf = hn::Vec<F32>;

// <g, v - reference> of four rows at once, each in one vector of sums. The last, partial vector of channels is loaded
// whole, ending with the row, and the lanes already counted are cleared; rows shorter than a vector are loaded in part.
template <class Row> struct Products {
    using Type = typename Row::Type;
    const float *g, *reference;
    size_t dv;

    HWY_INLINE void add(const Type *row, size_t c, Vf g_c, Vf reference_c, Vf &sum) const {
        sum = hn::MulAdd(g_c, hn::Sub(Row::Load(F32(), row + c), reference_c), sum);
    }

    HWY_INLINE void add_tail(const Type *row, size_t c, Vf &sum) const {
        const F32 d;
        const size_t lanes = hn::Lanes(d), left = dv - c;
        if (c == 0) {
            const auto difference = hn::Sub(Row::Tail(d, row, left), LoadTail(d, reference, left));
            sum = hn::MulAdd(LoadTail(d, g, left), difference, sum);
        } else {
            const size_t at = dv - lanes;
            const auto difference = hn::Sub(Row::Load(d, row + at), hn::LoadU(d, reference + at));
            const auto counted = hn::FirstN(d, lanes - left);
            const auto product = hn::Mul(hn::LoadU(d, g + at), difference);
            sum = hn::Add(sum, hn::IfThenZeroElse(counted, product));
        }
    }

    HWY_INLINE void four(const Type *r0, const Type *r1, const Type *r2, const Type *r3, float *out) const {
        const F32 d;
        const size_t lanes = hn::Lanes(d);
        auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
        size_t c = 0;
        for (; c + lanes <= dv; c += lanes) {
            const auto g_c = hn::LoadU(d, g + c), reference_c = hn::LoadU(d, reference + c);
            add(r0, c, g_c, reference_c, s0);
            add(r1, c, g_c, reference_c, s1);
            add(r2, c, g_c, reference_c, s2);
            add(r3, c, g_c, reference_c, s3);
        }
        if (c < dv) {
            add_tail(r0, c, s0);
            add_tail(r1, c, s1);
            add_tail(r2, c, s2);
            add_tail(r3, c, s3);
        }
        out[0] = hn::GetLane(hn::SumOfLanes(d, s0));
        out[1] = hn::GetLane(hn::SumOfLanes(d, s1));
        out[2] = hn::GetLane(hn::SumOfLanes(d, s2));
        out[3] = hn::GetLane(hn::SumOfLanes(d, s3));
    }
};

template <class Row>
void backward_products(const float *g, const float *reference, const uint32_t *ids, uint32_t n, const void *v,
                       size_t stride, size_t dv, float *products) {
    const auto *rows = static_cast<const typename Row::Type *>(v);
    const Products<Row> product{g, reference, dv};
    const auto row = [&](size_t i) { return rows + size_t(ids[i]) * stride; };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) product.four(row(i), row(i + 1), row(i + 2), row(i + 3), products + i);
    if (i == n) return;
    const size_t last = size_t{n} - 1;
    float rest[4]; // the last row fills the places left
    product.four(row(i), row(HWY_MIN(i + 1, last)), row(HWY_MIN(i + 2, last)), row(last), rest);
    for (size_t j = 0; i + j < n; ++j) products[i + j] = rest[j];
}

void backward_scatter(const float *g, const uint32_t *ids, const float *weights, uint32_t n, float *rows, size_t stride,
                      size_t channels) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    for (size_t i = 0; i < n; ++i) {
        float *row = rows + size_t(ids[i]) * stride;
        const auto weight = hn::Set(d, weights[i]);
        size_t c = 0;
        for (; c + lanes <= channels; c += lanes)
            hn::StoreU(hn::MulAdd(weight, hn::LoadU(d, g + c), hn::LoadU(d, row + c)), d, row + c);
        if (c == channels) continue;
        const size_t left = channels - c;
        StoreTail(hn::MulAdd(weight, LoadTail(d, g + c, left), LoadTail(d, row + c, left)), d, row + c, left);
    }
}

} // namespace

void backward_fill(Kernels &kernels) {
    kernels.backward_products_f32 = backward_products<RowF32>;
    kernels.backward_products_bf16 = backward_products<RowBf16>;
    kernels.backward_products_f16 = backward_products<RowF16>;
    kernels.backward_scatter = backward_scatter;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(backward)
} // namespace zeta::simd
#endif
