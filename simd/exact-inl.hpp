// SPDX-License-Identifier: Apache-2.0
// What the kernels of exact selection share: vector types, bit patterns, and a switch over the number of coordinates.
// Blocks, groups and tiles are 16 wide whatever the vectors are.
#if defined(ZETA_SIMD_EXACT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZETA_SIMD_EXACT_INL_HPP
#undef ZETA_SIMD_EXACT_INL_HPP
#else
#define ZETA_SIMD_EXACT_INL_HPP
#endif

#include <cstring>

#include "masks-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using F = hn::CappedTag<float, 16>;
using I = hn::RebindToSigned<F>;
using U = hn::RebindToUnsigned<F>;
using VF = hn::VFromD<F>;
using VI = hn::VFromD<I>;
using MF = hn::Mask<F>;
using MI = hn::Mask<I>;

constexpr size_t kWide = 16;
constexpr int kMaxDk = 32;
constexpr int32_t kNone = 0x7fffffff, kInfinity = 0x7f800000;

HWY_INLINE int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

HWY_INLINE float float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

HWY_INLINE VI load_bits(const float *p) {
    return hn::BitCast(I(), hn::LoadU(F(), p));
}
HWY_INLINE MF float_mask(MI m) {
    return hn::RebindMask(F(), m);
}
HWY_INLINE MI int_mask(MF m) {
    return hn::RebindMask(I(), m);
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // toggle

#ifndef ZETA_EXACT_DIM
// Kernels have the number of coordinates as a constant for those the spec names; DK = 0: known at run time.
#define ZETA_EXACT_DIM(call)                                                                                           \
    switch (dk) {                                                                                                      \
    case 1:                                                                                                            \
        call(1);                                                                                                       \
    case 2:                                                                                                            \
        call(2);                                                                                                       \
    case 3:                                                                                                            \
        call(3);                                                                                                       \
    case 4:                                                                                                            \
        call(4);                                                                                                       \
    case 8:                                                                                                            \
        call(8);                                                                                                       \
    default:                                                                                                           \
        call(0);                                                                                                       \
    }
#endif
