// SPDX-License-Identifier: Apache-2.0
// Row kernels of spec section 6: products of the output gradient with value rows, and weighted additions to gradient
// rows. The product of a row does not depend on where in the list it stands; additions happen in list order.
#include <algorithm>

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

// The sums of four vectors' lanes.
HWY_INLINE void four_sums(Vf a, Vf b, Vf c, Vf d, float *out) {
    const F32 df;
#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE
    out[0] = hn::GetLane(hn::SumOfLanes(df, a));
    out[1] = hn::GetLane(hn::SumOfLanes(df, b));
    out[2] = hn::GetLane(hn::SumOfLanes(df, c));
    out[3] = hn::GetLane(hn::SumOfLanes(df, d));
#else
    // In each block of four lanes: a0+a2 b0+b2 a1+a3 b1+b3, likewise c and d, then all four.
    const hn::RepartitionToWide<F32> dw;
    const auto ab = hn::Add(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b));
    const auto cd = hn::Add(hn::InterleaveLower(df, c, d), hn::InterleaveUpper(df, c, d));
    const auto low = hn::InterleaveLower(dw, hn::BitCast(dw, ab), hn::BitCast(dw, cd));
    const auto high = hn::InterleaveUpper(dw, hn::BitCast(dw, ab), hn::BitCast(dw, cd));
    const auto blocks = hn::Add(hn::BitCast(df, low), hn::BitCast(df, high));
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
    const hn::Half<F32> d8;
    const hn::Half<hn::Half<F32>> d4;
    const auto half = hn::Add(hn::LowerHalf(d8, blocks), hn::UpperHalf(d8, blocks));
    hn::StoreU(hn::Add(hn::LowerHalf(d4, half), hn::UpperHalf(d4, half)), d4, out);
#elif HWY_TARGET == HWY_AVX2
    const hn::Half<F32> d4;
    hn::StoreU(hn::Add(hn::LowerHalf(d4, blocks), hn::UpperHalf(d4, blocks)), d4, out);
#else
    hn::StoreU(blocks, df, out);
#endif
#endif
}

// Adds g (row - reference) of one vector of channels.
template <class Row> HWY_INLINE Vf add_product(Vf g, Vf reference, const typename Row::Type *row, Vf sum) {
    return hn::MulAdd(g, hn::Sub(Row::Load(F32(), row), reference), sum);
}

// A list of rows from some channel on, and where their products are summed.
template <class Row> struct ProductRows {
    const uint32_t *ids;
    uint32_t n;
    const typename Row::Type *v;
    size_t stride;
    float *products;
    bool first; // the products start here

    // sum_of(row) for each row, in one vector of sums; four rows at a time.
    template <class Sum> HWY_INLINE void each(Sum sum_of) const {
        for (uint32_t i = 0; i < n; i += 4) { // the last row fills the places left
            const auto row = [&](uint32_t j) { return v + size_t(ids[HWY_MIN(i + j, n - 1)]) * stride; };
            float sums[4];
            const auto s0 = sum_of(row(0)), s1 = sum_of(row(1)), s2 = sum_of(row(2)), s3 = sum_of(row(3));
            four_sums(s0, s1, s2, s3, sums);
            for (uint32_t j = 0; j < HWY_MIN(4, n - i); ++j)
                products[i + j] = first ? sums[j] : products[i + j] + sums[j];
        }
    }
};

// Channels in blocks of four vectors, whose part of g and of the reference stays in registers; then one vector at a
// time. The last, partial vector is loaded whole, ending with the row, and the lanes already counted are cleared; rows
// shorter than a vector are loaded in part.
template <class Row>
void backward_products(const float *g, const float *reference, const uint32_t *ids, uint32_t n, const void *v,
                       size_t stride, size_t dv, float *products) {
    using Type = typename Row::Type;
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    const auto rows = [&](size_t c) {
        return ProductRows<Row>{ids, n, static_cast<const Type *>(v) + c, stride, products, c == 0};
    };
    size_t c = 0;
    for (; c + 4 * lanes <= dv; c += 4 * lanes) {
        const auto g0 = hn::LoadU(d, g + c), g1 = hn::LoadU(d, g + c + lanes), g2 = hn::LoadU(d, g + c + 2 * lanes),
                   g3 = hn::LoadU(d, g + c + 3 * lanes);
        const float *from = reference + c;
        const auto r0 = hn::LoadU(d, from), r1 = hn::LoadU(d, from + lanes), r2 = hn::LoadU(d, from + 2 * lanes),
                   r3 = hn::LoadU(d, from + 3 * lanes);
        rows(c).each([&](const Type *row) HWY_ATTR {
            auto sum = hn::Mul(g0, hn::Sub(Row::Load(d, row), r0));
            sum = add_product<Row>(g1, r1, row + lanes, sum);
            sum = add_product<Row>(g2, r2, row + 2 * lanes, sum);
            return add_product<Row>(g3, r3, row + 3 * lanes, sum);
        });
    }
    for (; c + lanes <= dv; c += lanes) {
        const auto g0 = hn::LoadU(d, g + c), r0 = hn::LoadU(d, reference + c);
        rows(c).each([&](const Type *row) HWY_ATTR { return hn::Mul(g0, hn::Sub(Row::Load(d, row), r0)); });
    }
    if (dv == 0) std::fill_n(products, n, 0.0f);
    if (c == dv) return;
    const size_t left = dv - c;
    if (c == 0) {
        const auto g0 = LoadTail(d, g, left), r0 = LoadTail(d, reference, left);
        rows(0).each([&](const Type *row) HWY_ATTR { return hn::Mul(g0, hn::Sub(Row::Tail(d, row, left), r0)); });
        return;
    }
    const size_t back = lanes - left;
    const auto g0 = hn::LoadU(d, g + c - back), r0 = hn::LoadU(d, reference + c - back);
    const auto counted = hn::FirstN(d, back);
    rows(c).each([&](const Type *row) HWY_ATTR {
        return hn::IfThenZeroElse(counted, hn::Mul(g0, hn::Sub(Row::Load(d, row - back), r0)));
    });
}

HWY_INLINE void add_to(Vf weight, Vf g, float *row) {
    const F32 d;
    hn::StoreU(hn::MulAdd(weight, g, hn::LoadU(d, row)), d, row);
}

void backward_scatter(const float *g, const uint32_t *ids, const float *weights, uint32_t n, float *rows, size_t stride,
                      size_t channels) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    size_t c = 0;
    for (; c + 4 * lanes <= channels; c += 4 * lanes) {
        const auto g0 = hn::LoadU(d, g + c), g1 = hn::LoadU(d, g + c + lanes), g2 = hn::LoadU(d, g + c + 2 * lanes),
                   g3 = hn::LoadU(d, g + c + 3 * lanes);
        for (uint32_t i = 0; i < n; ++i) {
            float *row = rows + size_t(ids[i]) * stride + c;
            const auto weight = hn::Set(d, weights[i]);
            add_to(weight, g0, row);
            add_to(weight, g1, row + lanes);
            add_to(weight, g2, row + 2 * lanes);
            add_to(weight, g3, row + 3 * lanes);
        }
    }
    if (c + 2 * lanes <= channels) { // as when two threads share 64 channels
        const auto g0 = hn::LoadU(d, g + c), g1 = hn::LoadU(d, g + c + lanes);
        for (uint32_t i = 0; i < n; ++i) {
            float *row = rows + size_t(ids[i]) * stride + c;
            const auto weight = hn::Set(d, weights[i]);
            add_to(weight, g0, row);
            add_to(weight, g1, row + lanes);
        }
        c += 2 * lanes;
    }
    for (; c + lanes <= channels; c += lanes) {
        const auto g0 = hn::LoadU(d, g + c);
        for (uint32_t i = 0; i < n; ++i) add_to(hn::Set(d, weights[i]), g0, rows + size_t(ids[i]) * stride + c);
    }
    if (c == channels) return;
    const size_t left = channels - c;
    const auto g0 = LoadTail(d, g + c, left);
    for (uint32_t i = 0; i < n; ++i) {
        float *row = rows + size_t(ids[i]) * stride + c;
        StoreTail(hn::MulAdd(hn::Set(d, weights[i]), g0, LoadTail(d, row, left)), d, row, left);
    }
}

HWY_INLINE void add_to(hn::Vec<F64> weight, hn::Vec<F64> g, double *row) {
    const F64 d;
    hn::StoreU(hn::MulAdd(weight, g, hn::LoadU(d, row)), d, row);
}

void backward_scatter_f64(const float *g, const uint32_t *ids, const float *weights, uint32_t n, double *rows,
                          size_t stride, size_t channels) {
    const F64 d;
    const hn::Rebind<float, F64> df;
    const size_t lanes = hn::Lanes(d);
    const auto load = [&](size_t c) HWY_ATTR { return hn::PromoteTo(d, hn::LoadU(df, g + c)); };
    size_t c = 0;
    for (; c + 8 * lanes <= channels; c += 8 * lanes) {
        const auto g0 = load(c), g1 = load(c + lanes), g2 = load(c + 2 * lanes), g3 = load(c + 3 * lanes),
                   g4 = load(c + 4 * lanes), g5 = load(c + 5 * lanes), g6 = load(c + 6 * lanes),
                   g7 = load(c + 7 * lanes);
        for (uint32_t i = 0; i < n; ++i) {
            double *row = rows + size_t(ids[i]) * stride + c;
            const auto weight = hn::Set(d, double(weights[i]));
            add_to(weight, g0, row);
            add_to(weight, g1, row + lanes);
            add_to(weight, g2, row + 2 * lanes);
            add_to(weight, g3, row + 3 * lanes);
            add_to(weight, g4, row + 4 * lanes);
            add_to(weight, g5, row + 5 * lanes);
            add_to(weight, g6, row + 6 * lanes);
            add_to(weight, g7, row + 7 * lanes);
        }
    }
    for (; c + lanes <= channels; c += lanes) {
        const auto g0 = load(c);
        for (uint32_t i = 0; i < n; ++i) add_to(hn::Set(d, double(weights[i])), g0, rows + size_t(ids[i]) * stride + c);
    }
    if (c == channels) return;
    const size_t left = channels - c;
    const auto g0 = hn::PromoteTo(d, LoadTail(df, g + c, left));
    for (uint32_t i = 0; i < n; ++i) {
        double *row = rows + size_t(ids[i]) * stride + c;
        StoreTail(hn::MulAdd(hn::Set(d, double(weights[i])), g0, LoadTail(d, row, left)), d, row, left);
    }
}

} // namespace

void backward_fill(Kernels &kernels) {
    kernels.backward_products_f32 = backward_products<RowF32>;
    kernels.backward_products_bf16 = backward_products<RowBf16>;
    kernels.backward_products_f16 = backward_products<RowF16>;
    kernels.backward_scatter = backward_scatter;
    kernels.backward_scatter_f64 = backward_scatter_f64;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(backward)
} // namespace zeta::simd
#endif
