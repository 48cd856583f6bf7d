// SPDX-License-Identifier: Apache-2.0
// The mean of spec sections 4 and 6 over rows: prefix sums forward, reversed sums of its gradients backward. Sums are
// float64 and stay in registers from row to row: columns are worked in groups of vectors, each through all rows.
// Forward, a query's own value can be mixed into its mean on the way, while it is in a register anyway.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mean.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using HalfF32 = hn::Rebind<float, F64>; // as many float32 as a vector has float64

// To float32, to nearest even. Highway's conversion is not IEEE's beyond float32's range on emulated targets.
HWY_INLINE hn::Vec<HalfF32> round_to_f32(hn::Vec<F64> v) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
    HWY_ALIGN double from[2];
    HWY_ALIGN float to[2];
    hn::Store(v, F64(), from);
    for (size_t i = 0; i < hn::Lanes(F64()); ++i) to[i] = static_cast<float>(from[i]);
    return hn::Load(HalfF32(), to);
#else
    return hn::DemoteTo(HalfF32(), v);
#endif
}

// Whole vectors, or the last `rest` channels.
struct Whole {
    template <class Row> HWY_INLINE hn::Vec<HalfF32> row(const typename Row::Type *p) const {
        return Row::Load(HalfF32(), p);
    }
    HWY_INLINE hn::Vec<F64> load(const double *p) const { return hn::LoadU(F64(), p); }
    HWY_INLINE void store(hn::Vec<F64> v, double *p) const { hn::StoreU(v, F64(), p); }
    HWY_INLINE hn::Vec<HalfF32> load(const float *p) const { return hn::LoadU(HalfF32(), p); }
    HWY_INLINE void store(hn::Vec<HalfF32> v, float *p) const { hn::StoreU(v, HalfF32(), p); }
};
// Whole vectors that go around the caches, to aligned places.
struct Streamed : Whole {
    using Whole::store;
    HWY_INLINE void store(hn::Vec<HalfF32> v, float *p) const { hn::Stream(v, HalfF32(), p); }
};
struct Part {
    size_t rest;
    template <class Row> HWY_INLINE hn::Vec<HalfF32> row(const typename Row::Type *p) const {
        return Row::Tail(HalfF32(), p, rest);
    }
    HWY_INLINE hn::Vec<F64> load(const double *p) const { return LoadTail(F64(), p, rest); }
    HWY_INLINE void store(hn::Vec<F64> v, double *p) const { StoreTail(v, F64(), p, rest); }
    HWY_INLINE hn::Vec<HalfF32> load(const float *p) const { return LoadTail(HalfF32(), p, rest); }
    HWY_INLINE void store(hn::Vec<HalfF32> v, float *p) const { StoreTail(v, HalfF32(), p, rest); }
};

HWY_INLINE hn::Vec<HalfF32> mix(hn::Vec<HalfF32> own, hn::Vec<HalfF32> mean, hn::Vec<HalfF32> own_share,
                                hn::Vec<HalfF32> mean_share) {
    return hn::MulAdd(own_share, own, hn::Mul(mean_share, mean));
}

// `zero` stays 0 as long as all that is watched is finite, and becomes NaN else.
HWY_INLINE void watch(hn::Vec<HalfF32> v, hn::Vec<HalfF32> &zero) {
    zero = hn::MulAdd(v, hn::Zero(HalfF32()), zero);
}
HWY_INLINE bool all_finite(hn::Vec<HalfF32> zero) {
    return hn::AllTrue(HalfF32(), hn::Eq(zero, zero));
}

// Runs through the rows with the sums of one vector of columns each, from column c on: mean rows with themselves mixed
// in.
template <class Row, class Access, class... Sums>
HWY_INLINE void mixed_rows(const MeanPrefix &p, Access access, size_t c, Sums &...sum) {
    const F64 d;
    const HalfF32 df;
    const size_t lanes = hn::Lanes(d);
    const auto *row = static_cast<const typename Row::Type *>(p.v) + c;
    float *mean = p.means + c;
    for (size_t r = 0; r < p.n; ++r, row += p.stride, mean += p.mean_stride) {
        const auto inverse = hn::Set(d, 1.0 / (p.first + double(r)));
        const auto own_share = hn::Set(df, p.shares[2 * r]), mean_share = hn::Set(df, p.shares[2 * r + 1]);
        auto zero = hn::Zero(df);
        size_t at = 0;
        const auto step = [&](hn::Vec<F64> &s) HWY_ATTR {
            const auto own = access.template row<Row>(row + at);
            s = hn::Add(s, hn::PromoteTo(d, own));
            const auto value = round_to_f32(hn::Mul(hn::Add(access.load(p.before + c + at), s), inverse));
            const auto mixed = mix(own, value, own_share, mean_share);
            watch(mixed, zero);
            access.store(mixed, mean + at);
            at += lanes;
        };
        (step(sum), ...);
        // Atomic, since threads may share the columns of a row.
        if (HWY_UNLIKELY(!all_finite(zero))) __atomic_store_n(p.apart + r, uint8_t{1}, __ATOMIC_RELAXED);
    }
}

// The same without mixing.
template <class Row, class Access, class... Sums>
HWY_INLINE void prefix_rows(const MeanPrefix &p, Access access, size_t c, Sums &...sum) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    const auto *row = static_cast<const typename Row::Type *>(p.v) + c;
    if (p.means == nullptr) {
        for (size_t r = 0; r < p.n; ++r, row += p.stride) {
            size_t at = 0;
            ((sum = hn::Add(sum, hn::PromoteTo(d, access.template row<Row>(row + at))), at += lanes), ...);
        }
        return;
    }
    float *mean = p.means + c;
    for (size_t r = 0; r < p.n; ++r, row += p.stride, mean += p.mean_stride) {
        const auto inverse = hn::Set(d, 1.0 / (p.first + double(r)));
        size_t at = 0;
        ((sum = hn::Add(sum, hn::PromoteTo(d, access.template row<Row>(row + at))),
          access.store(round_to_f32(hn::Mul(hn::Add(access.load(p.before + c + at), sum), inverse)), mean + at),
          at += lanes),
         ...);
    }
}

struct Suffix {
    const void *g;
    size_t stride, n;
    const double *shares, *after;
    float *rows; // or NULL
    size_t row_stride;
};

template <class Row, class Access, class... Sums>
HWY_INLINE void suffix_rows(const Suffix &s, Access access, size_t c, Sums &...sum) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    for (size_t r = s.n; r-- > 0;) {
        const auto *from = static_cast<const typename Row::Type *>(s.g) + r * s.stride + c;
        const auto share = hn::Set(d, s.shares[r]);
        size_t at = 0;
        ((sum = hn::Add(sum, hn::Mul(share, hn::PromoteTo(d, access.template row<Row>(from + at)))), at += lanes), ...);
        if (s.rows == nullptr) continue;
        float *row = s.rows + r * s.row_stride + c;
        at = 0;
        ((access.store(hn::Add(access.load(row + at), round_to_f32(hn::Add(access.load(s.after + c + at), sum))),
                       row + at),
          at += lanes),
         ...);
    }
}

// The sums of all columns: eight vectors of them at a time where there are 32 registers, so that rows of 64 channels
// are read as they lie, then four, both with `access`, then one, then the rest.
template <class Access, class Rows>
HWY_INLINE void by_columns(Access access, size_t channels, double *running, Rows rows) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    size_t c = 0;
#if HWY_TARGET <= HWY_AVX3 || !HWY_ARCH_X86
    for (; c + 8 * lanes <= channels; c += 8 * lanes) {
        double *sums = running + c;
        auto s0 = hn::LoadU(d, sums), s1 = hn::LoadU(d, sums + lanes), s2 = hn::LoadU(d, sums + 2 * lanes),
             s3 = hn::LoadU(d, sums + 3 * lanes), s4 = hn::LoadU(d, sums + 4 * lanes),
             s5 = hn::LoadU(d, sums + 5 * lanes), s6 = hn::LoadU(d, sums + 6 * lanes),
             s7 = hn::LoadU(d, sums + 7 * lanes);
        rows(access, c, s0, s1, s2, s3, s4, s5, s6, s7);
        hn::StoreU(s0, d, sums);
        hn::StoreU(s1, d, sums + lanes);
        hn::StoreU(s2, d, sums + 2 * lanes);
        hn::StoreU(s3, d, sums + 3 * lanes);
        hn::StoreU(s4, d, sums + 4 * lanes);
        hn::StoreU(s5, d, sums + 5 * lanes);
        hn::StoreU(s6, d, sums + 6 * lanes);
        hn::StoreU(s7, d, sums + 7 * lanes);
    }
#endif
    for (; c + 4 * lanes <= channels; c += 4 * lanes) {
        double *sums = running + c;
        auto s0 = hn::LoadU(d, sums), s1 = hn::LoadU(d, sums + lanes), s2 = hn::LoadU(d, sums + 2 * lanes),
             s3 = hn::LoadU(d, sums + 3 * lanes);
        rows(access, c, s0, s1, s2, s3);
        hn::StoreU(s0, d, sums);
        hn::StoreU(s1, d, sums + lanes);
        hn::StoreU(s2, d, sums + 2 * lanes);
        hn::StoreU(s3, d, sums + 3 * lanes);
    }
    for (; c + lanes <= channels; c += lanes) {
        auto sum = hn::LoadU(d, running + c);
        rows(Whole(), c, sum);
        hn::StoreU(sum, d, running + c);
    }
    if (c == channels) return;
    const size_t rest = channels - c;
    auto sum = LoadTail(d, running + c, rest);
    rows(Part{rest}, c, sum);
    StoreTail(sum, d, running + c, rest);
}

template <class Row> void mean_prefix(const MeanPrefix &p) {
    const auto mixed = [&](auto access, size_t c, auto &...sums) HWY_ATTR { mixed_rows<Row>(p, access, c, sums...); };
    const auto plain = [&](auto access, size_t c, auto &...sums) HWY_ATTR { prefix_rows<Row>(p, access, c, sums...); };
    constexpr size_t kLine = 64 / sizeof(float);
    const bool lines = reinterpret_cast<uintptr_t>(p.means) % 64 == 0 && p.mean_stride % kLine == 0;
    if (p.stream && lines && 4 * hn::Lanes(F64()) % kLine == 0) {
        if (p.shares != nullptr)
            by_columns(Streamed(), p.channels, p.running, mixed);
        else
            by_columns(Streamed(), p.channels, p.running, plain);
        hwy::FlushStream();
    } else if (p.shares != nullptr) {
        by_columns(Whole(), p.channels, p.running, mixed);
    } else {
        by_columns(Whole(), p.channels, p.running, plain);
    }
}

bool mean_mix(const float *own, const float *mean, size_t channels, float own_share, float mean_share, float *mixed) {
    const HalfF32 d;
    const size_t lanes = hn::Lanes(d);
    const auto s = hn::Set(d, own_share), t = hn::Set(d, mean_share);
    auto zero = hn::Zero(d);
    size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        const auto row = mix(hn::LoadU(d, own + c), hn::LoadU(d, mean + c), s, t);
        watch(row, zero);
        hn::StoreU(row, d, mixed + c);
    }
    if (c < channels) {
        const auto row = mix(LoadTail(d, own + c, channels - c), LoadTail(d, mean + c, channels - c), s, t);
        watch(row, zero);
        StoreTail(row, d, mixed + c, channels - c);
    }
    return all_finite(zero);
}

template <class Row>
void mean_suffix(const void *g, size_t stride, size_t n, size_t channels, const double *shares, const double *after,
                 double *running, float *rows, size_t row_stride) {
    const Suffix suffix{g, stride, n, shares, after, rows, row_stride};
    by_columns(Whole(), channels, running,
               [&](auto access, size_t c, auto &...sums) HWY_ATTR { suffix_rows<Row>(suffix, access, c, sums...); });
}

} // namespace

void mean_fill(Kernels &kernels) {
    kernels.mean_prefix_f32 = mean_prefix<RowF32>;
    kernels.mean_prefix_bf16 = mean_prefix<RowBf16>;
    kernels.mean_prefix_f16 = mean_prefix<RowF16>;
    kernels.mean_mix = mean_mix;
    kernels.mean_suffix_f32 = mean_suffix<RowF32>;
    kernels.mean_suffix_bf16 = mean_suffix<RowBf16>;
    kernels.mean_suffix_f16 = mean_suffix<RowF16>;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(mean)
} // namespace zeta::simd
#endif
