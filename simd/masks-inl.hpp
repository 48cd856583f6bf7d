// SPDX-License-Identifier: Apache-2.0
// Comparisons of 64 positions at once as one word of bits, and compaction of 32-bit lanes, one target at a time.
// Included by levels, select and exact.
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
HWY_INLINE uint64_t low_bits(size_t n) {
    return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
}

// Highway's count is a call of a library function where the build's baseline lacks the instruction.
HWY_INLINE uint32_t count_set(uint64_t bits) {
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2
    return uint32_t(_mm_popcnt_u64(bits));
#else
    return uint32_t(hwy::PopCount(bits));
#endif
}

template <class D, class M> HWY_INLINE uint64_t mask_to_bits(D d, M mask) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
    // A mask is bits and need not go by way of memory. The asm keeps gcc 12 from losing some of them under -O3 with
    // both the address and the undefined-behaviour sanitizer.
    if constexpr (hn::MaxLanes(D()) <= 16) {
        uint32_t bits = mask.raw;
        __asm__("" : "+r"(bits));
        return bits;
    }
#endif
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

// Lanes of v whose mask is set, moved to the front; the lanes above them are arbitrary. Highway 1.0.3 keeps its tables
// for AVX2 and SSE4 as local constants, which gcc 12 copies to the stack at every use: these are static instead.
#if HWY_TARGET == HWY_AVX2
struct SqueezeTable {
    uint8_t lane[256][8] = {};
    constexpr SqueezeTable() {
        for (unsigned bits = 0; bits < 256; ++bits)
            for (unsigned i = 0, n = 0; i < 8; ++i)
                if (bits >> i & 1) lane[bits][n++] = uint8_t(i);
    }
};
alignas(64) constexpr SqueezeTable kSqueeze;

template <class D> HWY_INLINE hn::Vec<D> squeeze_bits(D d, hn::Vec<D> v, uint64_t bits) {
    const I32 di;
    const auto lanes = hn::LoadU(hn::Rebind<uint8_t, I32>(), kSqueeze.lane[bits]);
    return hn::TableLookupLanes(v, hn::IndicesFromVec(d, hn::PromoteTo(di, lanes)));
}
template <class D, class M> HWY_INLINE hn::Vec<D> squeeze(D d, hn::Vec<D> v, M mask) {
    return squeeze_bits(d, v, mask_to_bits(d, mask));
}
#elif HWY_TARGET == HWY_SSE4
struct SqueezeTable {
    uint8_t byte[16][16] = {};
    constexpr SqueezeTable() {
        for (unsigned bits = 0; bits < 16; ++bits)
            for (unsigned i = 0, n = 0; i < 16; ++i)
                if (bits >> i / 4 & 1) byte[bits][n++] = uint8_t(i);
    }
};
alignas(64) constexpr SqueezeTable kSqueeze;

template <class D> HWY_INLINE hn::Vec<D> squeeze_bits(D d, hn::Vec<D> v, uint64_t bits) {
    const hn::Repartition<uint8_t, D> bytes;
    const auto order = hn::Load(bytes, kSqueeze.byte[bits]);
    return hn::BitCast(d, hn::TableLookupBytes(hn::BitCast(bytes, v), order));
}
template <class D, class M> HWY_INLINE hn::Vec<D> squeeze(D d, hn::Vec<D> v, M mask) {
    return squeeze_bits(d, v, mask_to_bits(d, mask));
}
#else
template <class D, class M> HWY_INLINE hn::Vec<D> squeeze(D, hn::Vec<D> v, M mask) {
    return hn::Compress(v, mask);
}
template <class D> HWY_INLINE hn::Vec<D> squeeze_bits(D d, hn::Vec<D> v, uint64_t bits) {
    uint8_t bytes[8];
    hwy::CopyBytes<8>(&bits, bytes); // little-endian, as the build demands
    return hn::Compress(v, hn::LoadMaskBits(d, bytes));
}
#endif

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // toggle
