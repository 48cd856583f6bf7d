// SPDX-License-Identifier: Apache-2.0
// The chain from the weights of one query to its own and its keys' gradients (spec section 6), in float64: differences
// of nearly equal products, and sums over keys that largely cancel.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "slopes.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "masks-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using HalfF32 = hn::Rebind<float, F64>;
using Vd = hn::Vec<F64>;

enum Score : int { kCauchy = 0, kGaussian = 1, kLaplace = 2, kInverse = 3, kDot = 4 }; // as zeta_score

// `n` elements at p, at least one; zeros above.
HWY_INLINE Vd load(const float *p, size_t n) {
    const HalfF32 d;
    return hn::PromoteTo(F64(), n >= hn::Lanes(d) ? hn::LoadU(d, p) : LoadTail(d, p, n));
}

double slopes_dot(const float *a, const float *b, size_t n) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    auto even = hn::Zero(d), odd = even;
    size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        even = hn::MulAdd(load(a + i, lanes), load(b + i, lanes), even);
        odd = hn::MulAdd(load(a + i + lanes, lanes), load(b + i + lanes, lanes), odd);
    }
    for (; i < n; i += lanes) even = hn::MulAdd(load(a + i, n - i), load(b + i, n - i), even);
    return hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
}

double slopes_average(const float *weights, const float *products, size_t n, double *total) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    auto sum = zero, even = zero, odd = zero;
    const auto add = [&](size_t i, size_t left, auto products_so_far) HWY_ATTR {
        const auto weight = load(weights + i, left);
        sum = hn::Add(sum, weight);
        const auto product = hn::IfThenZeroElse(hn::Eq(weight, zero), load(products + i, left));
        return hn::MulAdd(weight, product, products_so_far);
    };
    size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        even = add(i, lanes, even);
        odd = add(i + lanes, lanes, odd);
    }
    for (; i < n; i += lanes) even = add(i, n - i, even);
    *total += hn::GetLane(hn::SumOfLanes(d, sum));
    return hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
}

// d ln s / dD (dot: d ln s / d(q.k)) of a vector of candidates, and d ln s / d gamma up to a constant that is the same
// for all of a query and drops out of their sum.
template <int kScore>
HWY_INLINE void slopes_of(const SlopeShape &shape, Vd weight, Vd distance, const float *dots, size_t left,
                          Vd &of_distance, Vd &of_gamma) {
    const F64 d;
    const double gamma = shape.gamma;
    if constexpr (kScore == kCauchy) { // both are multiples of s, which is at hand: no division
        of_distance = hn::Mul(weight, hn::Set(d, -double(shape.normaliser)));
        of_gamma = hn::Mul(of_distance, hn::Set(d, 2.0 * gamma));
    } else if constexpr (kScore == kGaussian) {
        const auto above = hn::Sub(distance, hn::Set(d, double(shape.minimum)));
        of_distance = hn::Set(d, -1.0 / (gamma * gamma));
        of_gamma = hn::Mul(above, hn::Set(d, 2.0 / (gamma * gamma * gamma)));
    } else if constexpr (kScore == kLaplace) {
        const auto root = hn::Sqrt(distance), least = hn::Sqrt(hn::Set(d, double(shape.minimum)));
        of_distance = hn::Div(hn::Set(d, -0.5 / gamma), root);
        of_gamma = hn::Mul(hn::Sub(root, least), hn::Set(d, 1.0 / (gamma * gamma)));
    } else if constexpr (kScore == kInverse) {
        const auto root = hn::Sqrt(distance), base = hn::Add(root, hn::Set(d, gamma));
        of_distance = hn::Div(hn::Set(d, -0.5), hn::Mul(base, root));
        of_gamma = hn::Div(hn::Set(d, -1.0), base);
    } else {
        const auto above = hn::Add(load(dots, left), hn::Set(d, double(shape.minimum)));
        of_distance = hn::Set(d, 1.0 / gamma);
        of_gamma = hn::Mul(above, hn::Set(d, -1.0 / (gamma * gamma)));
    }
}

// Rounded to float32 as the language does it on every target.
HWY_INLINE void store_rounded(Vd v, float *out, size_t n) {
    HWY_ALIGN double buffer[8];
    hn::Store(v, F64(), buffer);
    for (size_t i = 0; i < n; ++i) out[i] = float(buffer[i]);
}

template <int kScore>
double coefficients_of(const SlopeShape &shape, const float *weights, const float *products, const float *distances,
                       const float *dots, uint32_t n, float *coefficients) {
    const F64 d;
    const size_t lanes = hn::Lanes(d);
    const auto infinity = hn::Set(d, double(__builtin_inff())), zero = hn::Zero(d);
    const auto mean = hn::Set(d, shape.mean_product);
    auto gamma = zero;
    for (size_t i = 0; i < n; i += lanes) {
        const size_t left = HWY_MIN(lanes, n - i);
        const auto weight = load(weights + i, left), distance = load(distances + i, left);
        const auto far = hn::Or(hn::Eq(distance, infinity), hn::Eq(weight, zero)); // whatever the product
        const auto e = hn::Mul(weight, hn::Sub(load(products + i, left), mean));
        auto of_distance = zero, of_gamma = zero;
        slopes_of<kScore>(shape, weight, distance, dots + i, left, of_distance, of_gamma);
        auto nothing = far;
        if constexpr (kScore != kDot) nothing = hn::Or(far, hn::Eq(distance, zero)); // nothing flows where D = 0
        const auto change = hn::IfThenZeroElse(nothing, hn::Mul(e, of_distance));
        auto share = hn::IfThenZeroElse(far, hn::Mul(e, of_gamma));
        if (left < lanes) share = hn::IfThenElseZero(hn::FirstN(d, left), share);
        gamma = hn::Add(gamma, share);
        store_rounded(change, coefficients + i, left);
    }
    return hn::GetLane(hn::SumOfLanes(d, gamma));
}

double slopes_coefficients(const SlopeShape &shape, const float *weights, const float *products, const float *distances,
                           const float *dots, uint32_t n, float *coefficients) {
    switch (shape.score) {
    case kGaussian:
        return coefficients_of<kGaussian>(shape, weights, products, distances, dots, n, coefficients);
    case kLaplace:
        return coefficients_of<kLaplace>(shape, weights, products, distances, dots, n, coefficients);
    case kInverse:
        return coefficients_of<kInverse>(shape, weights, products, distances, dots, n, coefficients);
    case kDot:
        return coefficients_of<kDot>(shape, weights, products, distances, dots, n, coefficients);
    default:
        return coefficients_of<kCauchy>(shape, weights, products, distances, dots, n, coefficients);
    }
}

// ---- pairs ---------------------------------------------------------------------------------------------------------

// Keys and their gradients lie in rows of slope_stride(dk) elements, zeros after the coordinates: four at a time
// without a tail. A pair's share of a gradient is 2 c (q - k) for the query, its negative for the key; dot: c k and c
// q.
using Four = hn::CappedTag<double, 4>;
using FourF32 = hn::Rebind<float, Four>;

template <bool kDot> HWY_INLINE hn::Vec<Four> difference(hn::Vec<FourF32> q, const float *k) {
    const auto key = hn::LoadU(FourF32(), k);
    if constexpr (kDot) return hn::PromoteTo(Four(), key);
    return hn::PromoteTo(Four(), hn::Sub(q, key));
}

template <bool kDot>
void query_gradient(const float *q, const float *k, size_t stride, const uint32_t *ids, const float *coefficients,
                    uint32_t n, double *grad) {
    const Four d;
    const auto scale = hn::Set(d, kDot ? 1.0 : 2.0);
    for (size_t e = 0; e < stride; e += hn::Lanes(d)) {
        const auto point = hn::LoadU(FourF32(), q + e);
        auto even = hn::Zero(d), odd = even;
        const auto add = [&](uint32_t i, auto sum) HWY_ATTR { // 0: also where the key is infinite
            if (coefficients[i] == 0) return sum;
            const auto share = difference<kDot>(point, k + ids[i] * stride + e);
            return hn::MulAdd(hn::Set(d, double(coefficients[i])), share, sum);
        };
        uint32_t i = 0;
        for (; i + 2 <= n; i += 2) {
            even = add(i, even);
            odd = add(i + 1, odd);
        }
        if (i < n) even = add(i, even);
        hn::StoreU(hn::MulAdd(scale, hn::Add(even, odd), hn::LoadU(d, grad + e)), d, grad + e);
    }
}

template <bool kDot>
void key_gradients(const float *q, const float *k, size_t stride, const uint32_t *ids, const float *coefficients,
                   uint32_t n, double *rows) {
    const Four d;
    const double scale = kDot ? 1.0 : -2.0;
    for (size_t e = 0; e < stride; e += hn::Lanes(d)) {
        const auto point = hn::LoadU(FourF32(), q + e);
        for (uint32_t i = 0; i < n; ++i) {
            if (coefficients[i] == 0) continue;
            const size_t at = ids[i] * stride + e;
            const auto share = kDot ? hn::PromoteTo(d, point) : difference<kDot>(point, k + at);
            const auto c = hn::Set(d, scale * double(coefficients[i]));
            hn::StoreU(hn::MulAdd(c, share, hn::LoadU(d, rows + at)), d, rows + at);
        }
    }
}

// Four coordinates: the query's share of pair i, whose key gets its own.
template <bool kDot> struct PairShares {
    const float *k; // at the coordinates, as rows
    size_t stride;
    const uint32_t *ids;
    const float *coefficients;
    double *rows;

    HWY_INLINE hn::Vec<Four> add(hn::Vec<FourF32> point, uint32_t i, hn::Vec<Four> sum) const {
        const Four d;
        if (coefficients[i] == 0) return sum;
        const size_t at = ids[i] * stride;
        const double c = double(coefficients[i]);
        const auto share = difference<kDot>(point, k + at), back = kDot ? hn::PromoteTo(d, point) : share;
        const auto scale = hn::Set(d, (kDot ? 1.0 : -2.0) * c);
        hn::StoreU(hn::MulAdd(scale, back, hn::LoadU(d, rows + at)), d, rows + at);
        return hn::MulAdd(hn::Set(d, c), share, sum);
    }
};

template <bool kDot>
void pair_gradients(const float *q, const float *k, size_t stride, const uint32_t *ids, const float *coefficients,
                    uint32_t n, double *grad, double *rows) {
    const Four d;
    const auto scale = hn::Set(d, kDot ? 1.0 : 2.0);
    for (size_t e = 0; e < stride; e += hn::Lanes(d)) {
        const auto point = hn::LoadU(FourF32(), q + e);
        const PairShares<kDot> shares{k + e, stride, ids, coefficients, rows + e};
        auto even = hn::Zero(d), odd = even;
        uint32_t i = 0;
        for (; i + 2 <= n; i += 2) {
            even = shares.add(point, i, even);
            odd = shares.add(point, i + 1, odd);
        }
        if (i < n) even = shares.add(point, i, even);
        hn::StoreU(hn::MulAdd(scale, hn::Add(even, odd), hn::LoadU(d, grad + e)), d, grad + e);
    }
}

void slopes_pairs(bool dot, const float *q, const float *k, size_t stride, const uint32_t *ids,
                  const float *coefficients, uint32_t n, double *grad, double *rows) {
    (dot ? pair_gradients<true> : pair_gradients<false>)(q, k, stride, ids, coefficients, n, grad, rows);
}

void slopes_query(bool dot, const float *q, const float *k, size_t stride, const uint32_t *ids,
                  const float *coefficients, uint32_t n, double *grad) {
    (dot ? query_gradient<true> : query_gradient<false>)(q, k, stride, ids, coefficients, n, grad);
}

void slopes_keys(bool dot, const float *q, const float *k, size_t stride, const uint32_t *ids,
                 const float *coefficients, uint32_t n, double *rows) {
    (dot ? key_gradients<true> : key_gradients<false>)(q, k, stride, ids, coefficients, n, rows);
}

// The shard of keys in groups of four, so that their rows share no cache line with another shard's: the upper bits of a
// product spread even neighbouring groups.
HWY_INLINE hn::Vec<U32> shard_of(hn::Vec<U32> ids, uint32_t shards) {
    const U32 d;
    const auto mixed = hn::Mul(hn::ShiftRight<2>(ids), hn::Set(d, 0x9E3779B1u));
    return hn::ShiftRight<16>(hn::Mul(hn::ShiftRight<16>(mixed), hn::Set(d, shards)));
}

uint32_t slopes_own(const uint32_t *ids, const float *values, uint32_t n, uint32_t shards, uint32_t shard,
                    uint32_t *own_ids, float *own_values) {
    const U32 d;
    const F32 df;
    const size_t lanes = hn::Lanes(d);
    const auto wanted = hn::Set(d, shard);
    size_t own = 0;
    for (size_t i = 0; i < n; i += lanes) {
        const bool whole = n - i >= lanes;
        const auto id = whole ? hn::LoadU(d, ids + i) : LoadTail(d, ids + i, n - i);
        const auto value = whole ? hn::LoadU(df, values + i) : LoadTail(df, values + i, n - i);
        auto mask = hn::Eq(shard_of(id, shards), wanted);
        if (!whole) mask = hn::And(mask, hn::FirstN(d, n - i));
        hn::StoreU(squeeze(d, id, mask), d, own_ids + own);
        hn::StoreU(squeeze(df, value, hn::RebindMask(df, mask)), df, own_values + own);
        own += hn::CountTrue(d, mask);
    }
    return uint32_t(own);
}

} // namespace

void slopes_fill(Kernels &kernels) {
    kernels.slopes_dot = slopes_dot;
    kernels.slopes_average = slopes_average;
    kernels.slopes_coefficients = slopes_coefficients;
    kernels.slopes_query = slopes_query;
    kernels.slopes_keys = slopes_keys;
    kernels.slopes_pairs = slopes_pairs;
    kernels.slopes_own = slopes_own;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(slopes)
} // namespace zeta::simd
#endif
