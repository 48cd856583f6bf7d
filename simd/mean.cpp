// SPDX-License-Identifier: Apache-2.0
// Prefix sums and means of spec section 4, in float64: mean[c] = float32((before[c] + running[c]) / count), the
// quotient rounded to float64 first. The division stays one: a product with 1 / count, checked for the cases where its
// rounding differs, took half as long again (64 channels, Zen 4, avx512: 32 ns against 21).
#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mean.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

// Highway's conversion to float32 is not IEEE's beyond its range on these targets.
void mean_step(const float *v, size_t dv, const double *before, double *running, double count, float *mean) {
    for (size_t c = 0; c < dv; ++c) {
        running[c] += static_cast<double>(v[c]);
        mean[c] = static_cast<float>((before[c] + running[c]) / count);
    }
}

void mean_add(const float *v, size_t dv, double *running) {
    for (size_t c = 0; c < dv; ++c) running[c] += static_cast<double>(v[c]);
}

#else

using HalfF32 = hn::Rebind<float, F64>;

HWY_INLINE hn::Vec<HalfF32> mean_of(hn::Vec<F64> total, hn::Vec<F64> count) {
    return hn::DemoteTo(HalfF32(), hn::Div(total, count));
}

void mean_step(const float *v, size_t dv, const double *before, double *running, double count, float *mean) {
    const F64 d;
    const HalfF32 df;
    const size_t lanes = hn::Lanes(d);
    const auto divisor = hn::Set(d, count);
    size_t c = 0;
    for (; c + lanes <= dv; c += lanes) {
        const auto sum = hn::Add(hn::LoadU(d, running + c), hn::PromoteTo(d, hn::LoadU(df, v + c)));
        hn::StoreU(sum, d, running + c);
        hn::StoreU(mean_of(hn::Add(hn::LoadU(d, before + c), sum), divisor), df, mean + c);
    }
    if (c == dv) return;
    const size_t rest = dv - c;
    const auto sum = hn::Add(LoadTail(d, running + c, rest), hn::PromoteTo(d, LoadTail(df, v + c, rest)));
    StoreTail(sum, d, running + c, rest);
    StoreTail(mean_of(hn::Add(LoadTail(d, before + c, rest), sum), divisor), df, mean + c, rest);
}

void mean_add(const float *v, size_t dv, double *running) {
    const F64 d;
    const HalfF32 df;
    const size_t lanes = hn::Lanes(d);
    size_t c = 0;
    for (; c + lanes <= dv; c += lanes) {
        const auto row = hn::PromoteTo(d, hn::LoadU(df, v + c));
        hn::StoreU(hn::Add(hn::LoadU(d, running + c), row), d, running + c);
    }
    if (c == dv) return;
    const size_t rest = dv - c;
    const auto row = hn::PromoteTo(d, LoadTail(df, v + c, rest));
    StoreTail(hn::Add(LoadTail(d, running + c, rest), row), d, running + c, rest);
}

#endif

void mean_fill(Kernels &kernels) {
    kernels.mean_step = mean_step;
    kernels.mean_add = mean_add;
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(mean)
} // namespace zeta::simd
#endif
