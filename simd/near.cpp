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

template <class V> HWY_INLINE V add_square(V sum, V q, V k) {
    const auto difference = hn::Sub(q, k);
    return hn::Add(sum, hn::Mul(difference, difference));
}

// Coordinate e of rows i, i + 1, ...: one to a lane.
HWY_INLINE Vf coordinate(const float *rows, hn::Vec<I32> index, size_t i, size_t dk, size_t e) {
    return hn::GatherIndex(F32(), rows + i * dk + e, index);
}

// 0 + x is x but for the sign of zero, which no square has.
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

void near_distances(const float *q, const float *k, const float *mean_key, int dk, size_t n, float *near) {
    const F32 d;
    const I32 di;
    const size_t lanes = hn::Lanes(d), width = size_t(dk);
    const auto index = hn::Mul(hn::Iota(di, 0), hn::Set(di, dk));
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        auto own = hn::Zero(d), mean = hn::Zero(d);
        for (size_t e = 0; e < width; ++e) {
            const auto at = coordinate(q, index, i, width, e);
            own = add_square(own, at, coordinate(k, index, i, width, e));
            mean = add_square(mean, at, coordinate(mean_key, index, i, width, e));
        }
        hn::StoreInterleaved2(own, mean, d, near + 2 * i);
    }
    for (; i < n; ++i) measure_one(q + i * width, k + i * width, mean_key + i * width, width, near + 2 * i);
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
