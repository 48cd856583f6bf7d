// SPDX-License-Identifier: Apache-2.0
// The two keys that every causal query has beside its neighbours, its own and the history mean: distances and shares of
// spec sections 4 and 5 in position order, where rows lie side by side.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "near.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"
#include "targets.hpp"
#include "weights-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// From a sum of 0 on: 0 + x is x, since no square is -0.
template <class V> HWY_INLINE V add_square(V sum, V q, V k) {
    const auto difference = hn::Sub(q, k);
    return hn::Add(sum, hn::Mul(difference, difference));
}

// Squared distances of the rows from a on to those from b on, a pair to a lane, summed in coordinate order.
template <int kDk> HWY_INLINE Vf distances(const float *a, const float *b, size_t dk) {
    const F32 d;
    const auto zero = hn::Zero(d);
    Vf a0, a1, a2, a3, b0, b1, b2, b3;
    if constexpr (kDk == 1) return add_square(zero, hn::LoadU(d, a), hn::LoadU(d, b));
    if constexpr (kDk == 2) {
        hn::LoadInterleaved2(d, a, a0, a1);
        hn::LoadInterleaved2(d, b, b0, b1);
        return add_square(add_square(zero, a0, b0), a1, b1);
    }
    if constexpr (kDk == 3) {
        hn::LoadInterleaved3(d, a, a0, a1, a2);
        hn::LoadInterleaved3(d, b, b0, b1, b2);
        return add_square(add_square(add_square(zero, a0, b0), a1, b1), a2, b2);
    }
    if constexpr (kDk == 4) {
        hn::LoadInterleaved4(d, a, a0, a1, a2, a3);
        hn::LoadInterleaved4(d, b, b0, b1, b2, b3);
        return add_square(add_square(add_square(add_square(zero, a0, b0), a1, b1), a2, b2), a3, b3);
    }
    const I32 di;
    const auto index = hn::Mul(hn::Iota(di, 0), hn::Set(di, int32_t(dk)));
    auto sum = zero;
    for (size_t e = 0; e < dk; ++e)
        sum = add_square(sum, hn::GatherIndex(d, a + e, index), hn::GatherIndex(d, b + e, index));
    return sum;
}

HWY_INLINE void measure_one(const float *q, const float *k, const float *mean_key, size_t dk, float *near) {
    const hn::CappedTag<float, 1> d;
    auto own = hn::Zero(d), mean = hn::Zero(d);
    for (size_t e = 0; e < dk; ++e) {
        own = add_square(own, hn::Set(d, q[e]), hn::Set(d, k[e]));
        mean = add_square(mean, hn::Set(d, q[e]), hn::Set(d, mean_key[e]));
    }
    near[0] = hn::GetLane(own);
    near[1] = hn::GetLane(mean);
}

template <int kDk>
void measure(const float *q, const float *k, const float *mean_key, size_t dk, size_t n, float *near) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const float *point = q + i * dk;
        hn::StoreInterleaved2(distances<kDk>(point, k + i * dk, dk), distances<kDk>(point, mean_key + i * dk, dk), d,
                              near + 2 * i);
    }
    for (; i < n; ++i) measure_one(q + i * dk, k + i * dk, mean_key + i * dk, dk, near + 2 * i);
}

void near_distances(const float *q, const float *k, const float *mean_key, int dk, size_t n, float *near) {
    const size_t width = size_t(dk);
    switch (dk) {
    case 1:
        return measure<1>(q, k, mean_key, width, n, near);
    case 2:
        return measure<2>(q, k, mean_key, width, n, near);
    case 3:
        return measure<3>(q, k, mean_key, width, n, near);
    case 4:
        return measure<4>(q, k, mean_key, width, n, near);
    default:
        return measure<0>(q, k, mean_key, width, n, near);
    }
}

template <int kScore> HWY_INLINE void shares_of(const Shape &shape, Vf own, Vf mean, Vf &own_share, Vf &mean_share) {
    const F32 d;
    const auto none = hn::Zero(d);
    const auto least = hn::IfThenElse(hn::Lt(own, mean), own, mean);
    const auto root = kScore == kLaplace ? hn::Sqrt(least) : none;
    own_share = weight<kScore>(shape, least, root, own, none);
    mean_share = weight<kScore>(shape, least, root, mean, none);
    const auto sum = hn::Add(own_share, mean_share);
    own_share = hn::Div(own_share, sum);
    mean_share = hn::Div(mean_share, sum);
}

template <int kScore> void shares_all(float gamma, const float *near, size_t n, float *shares) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    const Shape shape = shape_of(kScore, gamma, 0);
    Vf own, mean, own_share, mean_share;
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        hn::LoadInterleaved2(d, near + 2 * i, own, mean);
        shares_of<kScore>(shape, own, mean, own_share, mean_share);
        hn::StoreInterleaved2(own_share, mean_share, d, shares + 2 * i);
    }
    for (; i < n; ++i) { // the same operations in all lanes
        shares_of<kScore>(shape, hn::Set(d, near[2 * i]), hn::Set(d, near[2 * i + 1]), own_share, mean_share);
        shares[2 * i] = hn::GetLane(own_share);
        shares[2 * i + 1] = hn::GetLane(mean_share);
    }
}

void near_shares(int score, float gamma, const float *near, size_t n, float *shares) {
    switch (score) {
    case kGaussian:
        return shares_all<kGaussian>(gamma, near, n, shares);
    case kLaplace:
        return shares_all<kLaplace>(gamma, near, n, shares);
    case kInverse:
        return shares_all<kInverse>(gamma, near, n, shares);
    default:
        return shares_all<kCauchy>(gamma, near, n, shares);
    }
}

} // namespace

void near_fill(Kernels &kernels) {
    kernels.near_distances = near_distances;
    kernels.near_shares = near_shares;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(near)
} // namespace zeta::simd
#endif
