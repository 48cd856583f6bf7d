// SPDX-License-Identifier: Apache-2.0
// Distances and weights of spec section 5 over a compact list of keys. Sums of weights run over the index in the list
// alone, in slices of 64 entries so that rounding errors stay small for long lists. Squared distances and dot products
// are rounded step by step, as section 4 says.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "attend.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"
#include "targets.hpp"
#include "weights-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

constexpr size_t kSlice = 64;

// ---- distances and dot products of rows ----------------------------------------------------------------------------

struct Distance {
    template <class V> static HWY_INLINE V term(V q, V k) {
        const auto difference = hn::Sub(q, k);
        return hn::Mul(difference, difference);
    }
};
struct Dot {
    template <class V> static HWY_INLINE V term(V q, V k) { return hn::Mul(q, k); }
};

// Keys in lanes, coordinates in order. Positions are below 2^24 and dk at most 32, so element indices fit int32.
template <class Measure>
HWY_INLINE void measure(const float *q, const float *k, int dk, const uint32_t *ids, uint32_t n, float *out) {
    const U32 du;
    const I32 di;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    if (n < 4) { // the token itself, the history mean: one lane at a time, the same operations
        const hn::CappedTag<float, 1> d1;
        for (size_t i = 0; i < n; ++i) {
            const float *row = k + size_t(ids[i]) * size_t(dk);
            auto sum = Measure::term(hn::Set(d1, q[0]), hn::Set(d1, row[0]));
            for (int e = 1; e < dk; ++e) sum = hn::Add(sum, Measure::term(hn::Set(d1, q[e]), hn::Set(d1, row[e])));
            out[i] = hn::GetLane(sum);
        }
        return;
    }
    for (size_t i = 0; i < n; i += lanes) {
        const bool whole = n - i >= lanes;
        const auto id = whole ? hn::LoadU(du, ids + i) : LoadTailOr(du, ids + i, n - i, ids[i]);
        const auto index = hn::BitCast(di, hn::Mul(id, hn::Set(du, uint32_t(dk))));
        auto sum = Measure::term(hn::Set(df, q[0]), hn::GatherIndex(df, k, index));
        for (int e = 1; e < dk; ++e)
            sum = hn::Add(sum, Measure::term(hn::Set(df, q[e]), hn::GatherIndex(df, k + e, index)));
        if (whole) {
            hn::StoreU(sum, df, out + i);
        } else {
            StoreTail(sum, df, out + i, n - i);
        }
    }
}

void attend_distances(const float *q, const float *k, int dk, const uint32_t *ids, uint32_t n, float *distances) {
    measure<Distance>(q, k, dk, ids, n, distances);
}

void attend_dots(const float *q, const float *k, int dk, const uint32_t *ids, uint32_t n, float *dots) {
    measure<Dot>(q, k, dk, ids, n, dots);
}

// Pairs of rows in lanes, for the few keys that each query of a tile has of its own.
template <class Measure>
HWY_INLINE void measure_pairs(const float *q, const uint32_t *q_rows, const float *k, const uint32_t *k_rows, int dk,
                              uint32_t n, float *out) {
    const U32 du;
    const I32 di;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const auto width = hn::Set(du, uint32_t(dk));
    for (size_t i = 0; i < n; i += lanes) {
        const size_t left = n - i;
        const auto rows_of = [&](const uint32_t *rows) HWY_ATTR {
            const auto row = left >= lanes ? hn::LoadU(du, rows + i) : LoadTailOr(du, rows + i, left, rows[i]);
            return hn::BitCast(di, hn::Mul(row, width));
        };
        const auto q_at = rows_of(q_rows), k_at = rows_of(k_rows);
        auto sum = Measure::term(hn::GatherIndex(df, q, q_at), hn::GatherIndex(df, k, k_at));
        for (int e = 1; e < dk; ++e)
            sum = hn::Add(sum, Measure::term(hn::GatherIndex(df, q + e, q_at), hn::GatherIndex(df, k + e, k_at)));
        if (left >= lanes) {
            hn::StoreU(sum, df, out + i);
        } else {
            StoreTail(sum, df, out + i, left);
        }
    }
}

void attend_pairs(bool dot, const float *q, const uint32_t *q_rows, const float *k, const uint32_t *k_rows, int dk,
                  uint32_t n, float *out) {
    (dot ? measure_pairs<Dot> : measure_pairs<Distance>)(q, q_rows, k, k_rows, dk, n, out);
}

// ---- weights -------------------------------------------------------------------------------------------------------

HWY_INLINE Vf load_or(const float *p, size_t n, float fill) {
    const F32 d;
    return n >= hn::Lanes(d) ? hn::LoadU(d, p) : LoadTailOr(d, p, n, fill);
}

float attend_minimum(int score, const float *distances, const float *dots, uint32_t n) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    const auto infinity = hn::Set(d, kInfinity);
    auto least = infinity;
    for (size_t i = 0; i < n; i += lanes) {
        const auto distance = load_or(distances + i, n - i, kInfinity);
        if (score == kDot) {
            const auto argument = hn::Neg(load_or(dots + i, n - i, 0));
            const auto smaller = hn::And(hn::Lt(distance, infinity), hn::Lt(argument, least));
            least = hn::IfThenElse(smaller, argument, least);
        } else { // a comparison with NaN is false
            least = hn::IfThenElse(hn::Lt(distance, least), distance, least);
        }
    }
    // Highway's emulated minimum starts from the largest finite number.
    return hn::AllTrue(d, hn::Eq(least, infinity)) ? kInfinity : hn::GetLane(hn::MinOfLanes(d, least));
}

// Slices are summed in float32 lanes, at most 16 additions deep, and added in float64. kRoom: the arrays have room for
// a vector behind the list.
template <int kScore, bool kRoom = false>
float weigh(const Shape &shape, const float *distances, const float *dots, uint32_t n, float *weights) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    const size_t slice = HWY_MIN(16 * lanes, kSlice);
    double total = 0;
    for (size_t first = 0; first < n; first += slice) {
        const size_t end = HWY_MIN(size_t{n}, first + slice);
        auto sum = hn::Zero(d);
        for (size_t i = first; i < end; i += lanes) {
            const size_t left = end - i;
            if (kRoom || left >= lanes) {
                const auto dot = kScore == kDot ? hn::LoadU(d, dots + i) : hn::Zero(d);
                const auto w = weight<kScore>(shape, hn::LoadU(d, distances + i), dot);
                hn::StoreU(w, d, weights + i);
                sum = hn::Add(sum, left >= lanes ? w : hn::IfThenElseZero(hn::FirstN(d, left), w));
            } else {
                const auto dot = kScore == kDot ? LoadTail(d, dots + i, left) : hn::Zero(d);
                const auto w = weight<kScore>(shape, LoadTail(d, distances + i, left), dot);
                StoreTail(w, d, weights + i, left);
                sum = hn::Add(sum, hn::IfThenElseZero(hn::FirstN(d, left), w));
            }
        }
        total += double(hn::GetLane(hn::SumOfLanes(d, sum)));
    }
    return float(total);
}

float attend_weights(int score, float gamma, float minimum, const float *distances, const float *dots, uint32_t n,
                     float *weights) {
    const Shape shape = shape_of(score, gamma, minimum);
    switch (score) {
    case kGaussian:
        return weigh<kGaussian>(shape, distances, dots, n, weights);
    case kLaplace:
        return weigh<kLaplace>(shape, distances, dots, n, weights);
    case kInverse:
        return weigh<kInverse>(shape, distances, dots, n, weights);
    case kDot:
        return weigh<kDot>(shape, distances, dots, n, weights);
    default:
        return weigh<kCauchy>(shape, distances, dots, n, weights);
    }
}

// Bits order numbers that are not negative. The place takes that of the last bits, so that one maximum finds both.
uint32_t attend_heaviest(const float *weights, uint32_t n) {
    const F32 df;
    const I32 d;
    const size_t lanes = hn::Lanes(d);
    constexpr int32_t kPlaces = 2047;
    auto most = hn::Set(d, kPlaces), place = hn::Sub(most, hn::Iota(d, 0));
    for (size_t i = 0; i < n; i += lanes) {
        const auto weight = n - i >= lanes ? hn::LoadU(df, weights + i) : LoadTail(df, weights + i, n - i);
        most = hn::Max(most, hn::Or(hn::AndNot(hn::Set(d, kPlaces), hn::BitCast(d, weight)), place));
        place = hn::Sub(place, hn::Set(d, int32_t(lanes)));
    }
    return uint32_t(kPlaces - (hn::GetLane(hn::MaxOfLanes(d, most)) & kPlaces));
}

// Weights that add up to 1. They are scaled in whole vectors: lists have room behind them.
template <int kScore> void weigh_lists(const WeightLists &lists) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    for (uint32_t l = 0; l < lists.lists; ++l) {
        const uint32_t n = lists.counts[l];
        if (n == 0) continue;
        const Shape shape = shape_of(kScore, lists.gamma, lists.minima[l]);
        float *weights = lists.weights + l * lists.stride;
        const float sum = weigh<kScore, true>(shape, lists.distances + l * lists.distance_stride,
                                              lists.dots + l * lists.stride, n, weights);
        const float scale = 1.0f / sum;
        lists.sums[l] = sum;
        if (scale < kInfinity && sum < kInfinity) {
            for (size_t i = 0; i < n; i += lanes)
                hn::StoreU(hn::Mul(hn::LoadU(d, weights + i), hn::Set(d, scale)), d, weights + i);
        } else { // the sum is 0, denormal, infinite or NaN: the division says what the row is
            for (size_t i = 0; i < n; i += lanes)
                hn::StoreU(hn::Div(hn::LoadU(d, weights + i), hn::Set(d, sum)), d, weights + i);
        }
    }
}

void attend_weigh(const WeightLists &lists) {
    switch (lists.score) {
    case kGaussian:
        return weigh_lists<kGaussian>(lists);
    case kLaplace:
        return weigh_lists<kLaplace>(lists);
    case kInverse:
        return weigh_lists<kInverse>(lists);
    case kDot:
        return weigh_lists<kDot>(lists);
    default:
        return weigh_lists<kCauchy>(lists);
    }
}

} // namespace

void attend_fill(Kernels &kernels) {
    kernels.attend_distances = attend_distances;
    kernels.attend_dots = attend_dots;
    kernels.attend_minimum = attend_minimum;
    kernels.attend_weights = attend_weights;
    kernels.attend_heaviest = attend_heaviest;
    kernels.attend_pairs = attend_pairs;
    kernels.attend_weigh = attend_weigh;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(attend)
} // namespace zeta::simd
#endif
