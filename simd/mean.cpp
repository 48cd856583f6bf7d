// SPDX-License-Identifier: Apache-2.0
// Prefix sums and means of spec section 4, in float64. mean[c] = float32((before[c] + running[c]) / count), the
// quotient rounded to float64 first. A division costs four times the rest, so the quotient is taken as a product with 1
// / count, within 2 units of its last place; where that could change the float32, the vector is divided after all. Bits
// are those of the division.
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

HWY_INLINE hn::Vec<HalfF32> mean_of(hn::Vec<F64> total, hn::Vec<F64> count, hn::Vec<F64> inverse) {
    const F64 d;
    const U64 du;
    const auto guess = hn::Mul(total, inverse);
    const auto bits = hn::BitCast(du, guess);
    // The 29 bits that float32 drops: near one half the rounding is in doubt. 16 units on either side are plenty.
    const auto dropped = hn::And(hn::Sub(bits, hn::Set(du, (1u << 28) - 16)), hn::Set(du, (1u << 29) - 1));
    const auto doubtful = hn::MaskFromVec(hn::BitCast(d, hn::VecFromMask(du, hn::Lt(dropped, hn::Set(du, 32)))));
    // Denormal float32, overflow, infinity and NaN drop other bits. Zero is zero either way.
    const auto size = hn::Abs(guess);
    const auto usual = hn::And(hn::Ge(size, hn::Set(d, 0x1p-126)), hn::Lt(size, hn::Set(d, 0x1p127)));
    const auto plain = hn::Or(usual, hn::Eq(total, hn::Zero(d)));
    const auto quotient = HWY_LIKELY(hn::AllTrue(d, hn::AndNot(doubtful, plain))) ? guess : hn::Div(total, count);
    return hn::DemoteTo(HalfF32(), quotient);
}

void mean_step(const float *v, size_t dv, const double *before, double *running, double count, float *mean) {
    const F64 d;
    const HalfF32 df;
    const size_t lanes = hn::Lanes(d);
    const auto divisor = hn::Set(d, count);
    const auto inverse = hn::Set(d, 1.0 / count);
    size_t c = 0;
    for (; c + lanes <= dv; c += lanes) {
        const auto sum = hn::Add(hn::LoadU(d, running + c), hn::PromoteTo(d, hn::LoadU(df, v + c)));
        hn::StoreU(sum, d, running + c);
        hn::StoreU(mean_of(hn::Add(hn::LoadU(d, before + c), sum), divisor, inverse), df, mean + c);
    }
    if (c == dv) return;
    const size_t rest = dv - c;
    const auto sum = hn::Add(LoadTail(d, running + c, rest), hn::PromoteTo(d, LoadTail(df, v + c, rest)));
    StoreTail(sum, d, running + c, rest);
    StoreTail(mean_of(hn::Add(LoadTail(d, before + c, rest), sum), divisor, inverse), df, mean + c, rest);
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
