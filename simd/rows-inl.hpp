// SPDX-License-Identifier: Apache-2.0
// Per-target helpers that every stage may use: tags of at most 64 bytes, loads and stores of the last few elements of a
// row that touch nothing outside it, and rows of 16-bit types as float32. Included inside foreach_target files only.
#if defined(ZETA_SIMD_ROWS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZETA_SIMD_ROWS_INL_HPP
#undef ZETA_SIMD_ROWS_INL_HPP
#else
#define ZETA_SIMD_ROWS_INL_HPP
#endif

#include <cstddef>
#include <cstdint>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// 16 lanes at most, so that a vector of float32 is one cache line and its mask fits 16 bits.
using F32 = hn::CappedTag<float, 16>;
using U32 = hn::CappedTag<uint32_t, 16>;
using I32 = hn::CappedTag<int32_t, 16>;
using F64 = hn::CappedTag<double, 8>;
using U64 = hn::CappedTag<uint64_t, 8>;

// No fewer than Lanes(d). Highway's bound is too small for a narrowed tag of scalable vectors.
template <class D> constexpr size_t MostLanes(D) {
    return HWY_HAVE_SCALABLE ? 64 / sizeof(hn::TFromD<D>) : hn::MaxLanes(D());
}

// The first n < Lanes(d) elements at p, zeros above. Reads p[0, n) only: a masked load may fault on some targets.
template <class D, typename T = hn::TFromD<D>> HWY_INLINE hn::Vec<D> LoadTail(D d, const T *HWY_RESTRICT p, size_t n) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86 && !HWY_IS_ASAN
    return hn::MaskedLoad(hn::FirstN(d, n), d, p);
#else
    HWY_ALIGN_MAX T buffer[MostLanes(D())] = {};
    for (size_t i = 0; i < n; ++i) buffer[i] = p[i];
    return hn::Load(d, buffer);
#endif
}

// The same with `fill` above.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadTailOr(D d, const T *HWY_RESTRICT p, size_t n, T fill) {
    return hn::IfThenElse(hn::FirstN(d, n), LoadTail(d, p, n), hn::Set(d, fill));
}

// Writes the first n < Lanes(d) lanes of v to p[0, n), and nothing else.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void StoreTail(hn::Vec<D> v, D d, T *HWY_RESTRICT p, size_t n) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86 && !HWY_IS_ASAN
    hn::BlendedStore(v, hn::FirstN(d, n), d, p);
#else
    HWY_ALIGN_MAX T buffer[MostLanes(D())];
    hn::Store(v, d, buffer);
    for (size_t i = 0; i < n; ++i) p[i] = buffer[i];
#endif
}

// ---- rows of 16-bit types ------------------------------------------------------------------------------------------

// Exact: a bfloat16 is the upper half of a float32.
template <class D> HWY_INLINE hn::Vec<D> WidenBf16(D d, hn::Vec<hn::Rebind<uint16_t, D>> half) {
    const hn::RebindToUnsigned<D> du;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, half)));
}

// Exact for every number; a NaN keeps sign and payload and is made quiet, on every target alike. Emulated vectors are
// loops over lanes: inlined at every load, they take clang a minute where it now takes seconds.
#if HWY_TARGET == HWY_EMU128
template <class D> HWY_NOINLINE hn::Vec<D> WidenF16(D d, hn::Vec<hn::Rebind<uint16_t, D>> half);
#else
template <class D> HWY_INLINE hn::Vec<D> WidenF16(D d, hn::Vec<hn::Rebind<uint16_t, D>> half);
#endif

template <class D> hn::Vec<D> WidenF16(D d, hn::Vec<hn::Rebind<uint16_t, D>> half) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
    const hn::Rebind<hwy::float16_t, D> dh;
    return hn::PromoteTo(d, hn::BitCast(dh, half));
#else
    const hn::RebindToUnsigned<D> du;
    const hn::RebindToSigned<D> di;
    const auto bits = hn::PromoteTo(du, half);
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000u)));
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFu));
    const auto normal = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(du, 112u << 23));
    const auto special = hn::Or(hn::ShiftLeft<13>(magnitude), hn::Set(du, 0x7F800000u));
    const auto quiet = hn::Or(special, hn::Set(du, 0x00400000u));
    const auto small = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, magnitude)), hn::Set(d, 0x1p-24f)); // exact
    auto result = hn::IfThenElse(hn::Lt(magnitude, hn::Set(du, 0x0400u)), hn::BitCast(du, small), normal);
    result = hn::IfThenElse(hn::Eq(magnitude, hn::Set(du, 0x7C00u)), special, result);
    result = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x7C00u)), quiet, result);
    return hn::BitCast(d, hn::Or(result, sign));
#endif
}

// A row element type and how Lanes(d) elements, or the first n of them, become float32. Pair: 2 Lanes(d) elements, in
// the order that costs least; Unpair: two such vectors in the order of the row.
struct RowF32 {
    using Type = float;
    template <class D> static HWY_INLINE hn::Vec<D> Load(D d, const Type *p) { return hn::LoadU(d, p); }
    template <class D> static HWY_INLINE hn::Vec<D> Tail(D d, const Type *p, size_t n) { return LoadTail(d, p, n); }
    template <class D> static HWY_INLINE void Pair(D d, const Type *p, hn::Vec<D> &a, hn::Vec<D> &b) {
        a = Load(d, p);
        b = Load(d, p + hn::Lanes(d));
    }
    template <class D> static HWY_INLINE void Unpair(D, hn::Vec<D> &, hn::Vec<D> &) {}
};

struct RowBf16 {
    using Type = uint16_t;
    template <class D> static HWY_INLINE hn::Vec<D> Load(D d, const Type *p) {
        return WidenBf16(d, hn::LoadU(hn::Rebind<uint16_t, D>(), p));
    }
    template <class D> static HWY_INLINE hn::Vec<D> Tail(D d, const Type *p, size_t n) {
        return WidenBf16(d, LoadTail(hn::Rebind<uint16_t, D>(), p, n));
    }
#if HWY_TARGET == HWY_SCALAR
    template <class D> static HWY_INLINE void Pair(D d, const Type *p, hn::Vec<D> &a, hn::Vec<D> &b) {
        a = Load(d, p);
        b = Load(d, p + hn::Lanes(d));
    }
    template <class D> static HWY_INLINE void Unpair(D, hn::Vec<D> &, hn::Vec<D> &) {}
#else // even elements and odd ones: one load, and no lanes to be moved
    template <class D> static HWY_INLINE void Pair(D d, const Type *p, hn::Vec<D> &a, hn::Vec<D> &b) {
        const hn::RebindToUnsigned<D> du;
        const auto both = hn::BitCast(du, hn::LoadU(hn::Repartition<uint16_t, D>(), p));
        a = hn::BitCast(d, hn::ShiftLeft<16>(both));
        b = hn::BitCast(d, hn::And(both, hn::Set(du, 0xFFFF0000u)));
    }
    template <class D> static HWY_INLINE void Unpair(D d, hn::Vec<D> &a, hn::Vec<D> &b) {
        HWY_ALIGN_MAX float row[2 * MostLanes(D())];
        hn::StoreInterleaved2(a, b, d, row);
        a = hn::Load(d, row);
        b = hn::Load(d, row + hn::Lanes(d));
    }
#endif
};

struct RowF16 {
    using Type = uint16_t;
    template <class D> static HWY_INLINE hn::Vec<D> Load(D d, const Type *p) {
        return WidenF16(d, hn::LoadU(hn::Rebind<uint16_t, D>(), p));
    }
    template <class D> static HWY_INLINE hn::Vec<D> Tail(D d, const Type *p, size_t n) {
        return WidenF16(d, LoadTail(hn::Rebind<uint16_t, D>(), p, n));
    }
    template <class D> static HWY_INLINE void Pair(D d, const Type *p, hn::Vec<D> &a, hn::Vec<D> &b) {
        a = Load(d, p);
        b = Load(d, p + hn::Lanes(d));
    }
    template <class D> static HWY_INLINE void Unpair(D, hn::Vec<D> &, hn::Vec<D> &) {}
};

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // toggle
