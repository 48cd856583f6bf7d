// SPDX-License-Identifier: Apache-2.0
// 16-bit types to float32, exactly, and back, rounded to nearest even: overflow goes to infinity, small numbers to
// denormals, a NaN stays a quiet NaN of its sign. Bits are the same on every target.
#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convert.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using Half = hn::Rebind<uint16_t, F32>;

// The low halves of 32-bit lanes that hold at most 0xFFFF.
HWY_INLINE hn::Vec<Half> narrow(hn::Vec<U32> bits) {
    return hn::DemoteTo(Half(), hn::BitCast(I32(), bits));
}

HWY_INLINE hn::Vec<Half> round_bf16(hn::Vec<F32> x) {
    const U32 d;
    const auto bits = hn::BitCast(d, x);
    const auto upper = hn::ShiftRight<16>(bits);
    const auto odd = hn::And(upper, hn::Set(d, 1u));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7FFFu))));
    const auto magnitude = hn::And(bits, hn::Set(d, 0x7FFFFFFFu));
    const auto nan = hn::Gt(magnitude, hn::Set(d, 0x7F800000u));
    return narrow(hn::IfThenElse(nan, hn::Or(upper, hn::Set(d, 0x0040u)), rounded));
}

HWY_INLINE hn::Vec<Half> round_f16(hn::Vec<F32> x) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
    return hn::BitCast(Half(), hn::DemoteTo(hn::Rebind<hwy::float16_t, F32>(), x));
#else
    const F32 df;
    const U32 d;
    const auto bits = hn::BitCast(d, x);
    const auto magnitude = hn::And(bits, hn::Set(d, 0x7FFFFFFFu));
    const auto sign = hn::ShiftRight<16>(hn::Sub(bits, magnitude));
    // Normal: the exponent's bias changes by 112, and a carry out of the mantissa is the next exponent, up to infinity.
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(d, 1u));
    const auto biased = hn::Sub(hn::Add(magnitude, hn::Set(d, 0x0FFFu)), hn::Set(d, 112u << 23));
    const auto normal = hn::ShiftRight<13>(hn::Add(biased, odd));
    // Denormal: beside 0.5 the last bit of a float32 is 2^-24, the unit of a denormal float16.
    const auto half = hn::Set(df, 0.5f);
    const auto moved = hn::BitCast(d, hn::Add(hn::BitCast(df, magnitude), half));
    const auto small = hn::Sub(moved, hn::BitCast(d, half));
    const auto quiet = hn::Or(hn::And(hn::ShiftRight<13>(magnitude), hn::Set(d, 0x03FFu)), hn::Set(d, 0x7E00u));
    auto result = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0x38800000u)), small, normal);
    result = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, 0x477FFFFFu)), hn::Set(d, 0x7C00u), result);
    result = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, 0x7F800000u)), quiet, result);
    return narrow(hn::Or(result, sign));
#endif
}

template <class Row> HWY_INLINE void widen(const uint16_t *HWY_RESTRICT in, size_t n, float *HWY_RESTRICT out) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(Row::Load(d, in + i), d, out + i);
    if (i < n) StoreTail(Row::Tail(d, in + i, n - i), d, out + i, n - i);
}

template <class Round>
HWY_INLINE void round_all(const float *HWY_RESTRICT in, size_t n, uint16_t *HWY_RESTRICT out, const Round &round) {
    const F32 d;
    const Half dh;
    const size_t lanes = hn::Lanes(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(round(hn::LoadU(d, in + i)), dh, out + i);
    if (i < n) StoreTail(round(LoadTail(d, in + i, n - i)), dh, out + i, n - i);
}

void from_bf16(const uint16_t *in, size_t n, float *out) {
    widen<RowBf16>(in, n, out);
}

void from_f16(const uint16_t *in, size_t n, float *out) {
    widen<RowF16>(in, n, out);
}

void to_bf16(const float *in, size_t n, uint16_t *out) {
    round_all(in, n, out, [](hn::Vec<F32> x) HWY_ATTR { return round_bf16(x); });
}

void to_f16(const float *in, size_t n, uint16_t *out) {
    round_all(in, n, out, [](hn::Vec<F32> x) HWY_ATTR { return round_f16(x); });
}

void convert_fill(Kernels &kernels) {
    kernels.convert_from_bf16 = from_bf16;
    kernels.convert_from_f16 = from_f16;
    kernels.convert_to_bf16 = to_bf16;
    kernels.convert_to_f16 = to_f16;
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(convert)
} // namespace zeta::simd
#endif
