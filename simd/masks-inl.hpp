// SPDX-License-Identifier: Apache-2.0
// Comparisons of 64 positions at once as one word of bits, one target at a time. Included by levels and select.
#if defined(ZETA_SIMD_MASKS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZETA_SIMD_MASKS_INL_HPP
#undef ZETA_SIMD_MASKS_INL_HPP
#else
#define ZETA_SIMD_MASKS_INL_HPP
#endif

#include "rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// The n lowest bits, n <= 64.
HWY_INLINE uint64_t low_bits(size_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

template <class D, class M> HWY_INLINE uint64_t mask_to_bits(D d, M mask) {
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, mask, bytes);
    return uint64_t(bytes[0]) | uint64_t(bytes[1]) << 8;
}

// Which of 64 entries lie below `limit`.
HWY_INLINE uint64_t bits_below(const uint32_t *entries, uint32_t limit) {
    const U32 d;
    const size_t lanes = hn::Lanes(d);
    const auto bound = hn::Set(d, limit);
    uint64_t bits = 0;
    for (size_t i = 0; i < 64; i += lanes) bits |= mask_to_bits(d, hn::Lt(hn::LoadU(d, entries + i), bound)) << i;
    return bits;
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // toggle
