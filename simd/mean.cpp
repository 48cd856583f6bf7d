// SPDX-License-Identifier: Apache-2.0
// The mean of spec sections 4 and 6 over rows: prefix sums forward, reversed sums of its gradients backward. Sums are
// float64 and stay in registers from row to row: columns are worked in groups of vectors, each through all rows.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mean.cpp"
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
    template <class Row> HWY_INLINE hn::Vec<F64> row(const typename Row::Type *p) const {
        return hn::PromoteTo(F64(), Row::Load(HalfF32(), p));
    }
    HWY_INLINE hn::Vec<F64> load(const double *p) const { return hn::LoadU(F64(), p); }
    HWY_INLINE void store(hn::Vec<F64> v, double *p) const { hn::StoreU(v, F64(), p); }
    HWY_INLINE hn::Vec<HalfF32> load(const float *p) const { return hn::LoadU(HalfF32(), p); }
    HWY_INLINE void store(hn::Vec<HalfF32> v, float *p) const { hn::StoreU(v, HalfF32(), p); }
};
struct Part {
    size_t rest;
    template <class Row> HWY_INLINE hn::Vec<F64> row(const typename Row::Type *p) const {
        return hn::PromoteTo(F64(), Row::Tail(HalfF32(), p, rest));
    }
    HWY_INLINE hn::Vec<F64> load(const double *p) const { return LoadTail(F64(), p, rest); }
    HWY_INLINE void store(hn::Vec<F64> v, double *p) const { StoreTail(v, F64(), p, rest); }
    HWY_INLINE hn::Vec<HalfF32> load(const float *p) const { return LoadTail(HalfF32(), p, rest); }
    HWY_INLINE void store(hn::Vec<HalfF32> v, float *p) const { StoreTail(v, HalfF32(), p, rest); }
};

// Rows of one call, without their columns.
struct Prefix {
    const void *v;
    size_t stride, n;
    const double *before;
    double first;
    float *means; // or NULL
    size_t mean_stride;
};

// Runs through the rows with the sums of one vector of columns each, from column c on.
template <class Row, class Access, class... Sums>
HWY_INLINE void prefix_rows(const Prefix &p, Access access, size_t c, Sums &...sum) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    const auto *row = static_cast<const typename Row::Type *>(p.v) + c;
    if (p.means == nullptr) {
        for (size_t r = 0; r < p.n; ++r, row += p.stride) {
            size_t at = 0;
            ((sum = hn::Add(sum, access.template row<Row>(row + at)), at += lanes), ...);
        }
        return;
    }
    float *mean = p.means + c;
    for (size_t r = 0; r < p.n; ++r, row += p.stride, mean += p.mean_stride) {
        const auto inverse = hn::Set(d, 1.0 / (p.first + double(r)));
        size_t at = 0;
        ((sum = hn::Add(sum, access.template row<Row>(row + at)),
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
        ((sum = hn::Add(sum, hn::Mul(share, access.template row<Row>(from + at))), at += lanes), ...);
        if (s.rows == nullptr) continue;
        float *row = s.rows + r * s.row_stride + c;
        at = 0;
        ((access.store(hn::Add(access.load(row + at), round_to_f32(hn::Add(access.load(s.after + c + at), sum))),
                       row + at),
          at += lanes),
         ...);
    }
}

// The sums of all columns: four vectors of them at a time, then one, then the rest.
template <class Rows> HWY_INLINE void by_columns(size_t channels, double *running, Rows rows) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    size_t c = 0;
    for (; c + 4 * lanes <= channels; c += 4 * lanes) {
        double *sums = running + c;
        auto s0 = hn::LoadU(d, sums), s1 = hn::LoadU(d, sums + lanes), s2 = hn::LoadU(d, sums + 2 * lanes),
             s3 = hn::LoadU(d, sums + 3 * lanes);
        rows(Whole(), c, s0, s1, s2, s3);
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

template <class Row>
void mean_prefix(const void *v, size_t stride, size_t n, size_t channels, const double *before, double *running,
                 double first, float *means, size_t mean_stride) {
    const Prefix prefix{v, stride, n, before, first, means, mean_stride};
    by_columns(channels, running,
               [&](auto access, size_t c, auto &...sums) HWY_ATTR { prefix_rows<Row>(prefix, access, c, sums...); });
}

template <class Row>
void mean_suffix(const void *g, size_t stride, size_t n, size_t channels, const double *shares, const double *after,
                 double *running, float *rows, size_t row_stride) {
    const Suffix suffix{g, stride, n, shares, after, rows, row_stride};
    by_columns(channels, running,
               [&](auto access, size_t c, auto &...sums) HWY_ATTR { suffix_rows<Row>(suffix, access, c, sums...); });
}

} // namespace

void mean_fill(Kernels &kernels) {
    kernels.mean_prefix_f32 = mean_prefix<RowF32>;
    kernels.mean_prefix_bf16 = mean_prefix<RowBf16>;
    kernels.mean_prefix_f16 = mean_prefix<RowF16>;
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
