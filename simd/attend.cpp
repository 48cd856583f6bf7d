// SPDX-License-Identifier: Apache-2.0
// Weights and weighted sums of spec section 5 over a compact list of keys. Every sum runs over the index in the list
// alone, in slices of 64 entries so that rounding errors stay small for long lists: its bits do not depend on
// alignment, strides or the lanes of a level. Squared distances and dot products are rounded step by step, as section 4
// says.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "attend.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using Vf = hn::Vec<F32>;

constexpr size_t kSlice = 64;
constexpr float kInfinity = __builtin_inff();

enum Score : int { kCauchy = 0, kGaussian = 1, kLaplace = 2, kInverse = 3, kDot = 4 }; // as zeta_score

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

// exp(x), to 1.5 units in the last place, denormal results included; NaN for NaN. x = n ln 2 + r with |r| <= ln 2 / 2,
// then the Taylor series of exp(r): its ninth term is below 6e-9.
HWY_INLINE Vf exponential(Vf x) {
    const F32 d;
    const I32 di;
    const auto clamped = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 88.8f));
    const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
    auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped); // exact: n has 8 bits, the constant 9
    r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
    auto p = hn::Set(d, 1.0f / 5040);
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
    p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
    p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
    // 2^n in two factors: n reaches from -150 to 128.
    const auto power = hn::ConvertTo(di, n);
    const auto half = hn::ShiftRight<1>(power);
    const auto bias = hn::Set(di, 127);
    const auto first = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
    const auto second = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(power, half), bias)));
    return hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Mul(p, first), second));
}

// What a score needs of gamma and the minimum, once per list.
struct Shape {
    float gamma;         // cauchy: its square
    float inverse;       // 1 / gamma^2 or 1 / gamma of the exponentials; NaN if no attended distance is finite
    float minimum, root; // and its square root
};

Shape shape_of(int score, float gamma, float minimum) {
    const double g = gamma;
    Shape shape{gamma, float(1.0 / g), minimum, 0};
    if (score == kCauchy) shape.gamma = float(g * g);
    if (score == kGaussian) shape.inverse = float(1.0 / (g * g));
    if (score == kLaplace) shape.root = hn::GetLane(hn::Sqrt(hn::Set(hn::CappedTag<float, 1>(), minimum)));
    if (minimum == kInfinity) shape.inverse = __builtin_nanf("");
    return shape;
}

template <int kScore> HWY_INLINE Vf weight(const Shape &shape, Vf distance, Vf dot) {
    const F32 d;
    const auto one = hn::Set(d, 1.0f);
    const auto minimum = hn::Set(d, shape.minimum);
    const auto inverse = hn::Set(d, shape.inverse);
    if constexpr (kScore == kCauchy) return hn::Div(one, hn::Add(distance, hn::Set(d, shape.gamma)));
    if constexpr (kScore == kInverse) return hn::Div(one, hn::Add(hn::Sqrt(distance), hn::Set(d, shape.gamma)));
    if constexpr (kScore == kGaussian) return exponential(hn::Mul(hn::Sub(minimum, distance), inverse));
    if constexpr (kScore == kLaplace) {
        const auto roots = hn::Add(hn::Sqrt(distance), hn::Set(d, shape.root));
        auto x = hn::Div(hn::Sub(minimum, distance), roots);
        x = hn::IfThenElse(hn::Eq(distance, minimum), hn::Zero(d), x);
        x = hn::IfThenElse(hn::Eq(distance, hn::Set(d, kInfinity)), hn::Set(d, -kInfinity), x);
        return exponential(hn::Mul(x, inverse));
    }
    auto x = hn::Add(dot, minimum);
    x = hn::IfThenElse(hn::Eq(distance, hn::Set(d, kInfinity)), hn::Set(d, -kInfinity), x);
    x = hn::IfThenElse(hn::IsNaN(distance), distance, x);
    return exponential(hn::Mul(x, inverse));
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

// ---- sums of values ------------------------------------------------------------------------------------------------

// The list, and value rows from some channel on.
template <class Row> struct Values {
    const uint32_t *ids;
    const float *weights;
    const typename Row::Type *v;
    size_t stride;

    HWY_INLINE const typename Row::Type *row(size_t i) const { return v + size_t(ids[i]) * stride; }
    HWY_INLINE Values from(size_t channel) const { return {ids, weights, v + channel, stride}; }
};

// Adds entry i + slot / kVectors, vector slot % kVectors of its channels.
template <class Row, size_t kVectors, size_t kSlot>
HWY_INLINE void accumulate(const Values<Row> &values, size_t i, Vf &sum) {
    const F32 d;
    const size_t entry = i + kSlot / kVectors;
    const auto v = Row::Load(d, values.row(entry) + kSlot % kVectors * hn::Lanes(d));
    sum = hn::MulAdd(hn::Set(d, values.weights[entry]), v, sum);
}

// Where sums go: out[c] = base_weight base[c] + sum, and whether each is in range: 0, or neither near float32's
// smallest numbers, where each step of a sum would lose bits, nor infinite or NaN. By exponents: as unsigned numbers,
// those in range are the ones that lie less than kSpan above the smallest, and 0 is put there.
struct Output {
    static constexpr uint32_t kLeast = 0x01000000, kSpan = 0x7e800000;
    const float *base; // or NULL
    float base_weight;
    float *kept; // or NULL: where base is copied
    float *out;

    HWY_INLINE Output from(size_t channel) const {
        return {base == nullptr ? nullptr : base + channel, base_weight, kept == nullptr ? nullptr : kept + channel,
                out + channel};
    }
};

template <class D> HWY_INLINE void watch(D, hn::Vec<D> v, hn::Vec<hn::RebindToUnsigned<D>> &worst) {
    const hn::RebindToUnsigned<D> du;
    const auto bits = hn::And(hn::BitCast(du, v), hn::Set(du, 0x7fffffffu));
    const auto above = hn::Sub(bits, hn::Set(du, Output::kLeast));
    worst = hn::Max(worst, hn::IfThenZeroElse(hn::Eq(bits, hn::Zero(du)), above));
}

HWY_INLINE void put(Vf v, const Output &output, size_t c, hn::Vec<U32> &worst) {
    const F32 d;
    if (output.base != nullptr) {
        const auto base = hn::LoadU(d, output.base + c);
        if (output.kept != nullptr) hn::StoreU(base, d, output.kept + c);
        v = hn::MulAdd(hn::Set(d, output.base_weight), base, v);
    }
    hn::StoreU(v, d, output.out + c);
    watch(d, v, worst);
}

// Entry `i`, four or eight vectors of channels.
template <class Row>
HWY_INLINE void add_four(const typename Row::Type *row, Vf weight, Vf &s0, Vf &s1, Vf &s2, Vf &s3) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    s0 = hn::MulAdd(weight, Row::Load(d, row), s0);
    s1 = hn::MulAdd(weight, Row::Load(d, row + lanes), s1);
    s2 = hn::MulAdd(weight, Row::Load(d, row + 2 * lanes), s2);
    s3 = hn::MulAdd(weight, Row::Load(d, row + 3 * lanes), s3);
}
template <class Row, size_t kVectors>
HWY_INLINE void add_entry(const typename Row::Type *row, Vf weight, bool odd, Vf &s0, Vf &s1, Vf &s2, Vf &s3, Vf &s4,
                          Vf &s5, Vf &s6, Vf &s7) {
    if constexpr (kVectors == 8) {
        add_four<Row>(row, weight, s0, s1, s2, s3);
        add_four<Row>(row + 4 * hn::Lanes(F32()), weight, s4, s5, s6, s7);
    } else if (odd) {
        add_four<Row>(row, weight, s4, s5, s6, s7);
    } else {
        add_four<Row>(row, weight, s0, s1, s2, s3);
    }
}

// kVectors vectors of channels of n entries. Eight sums hide the latency of addition: with fewer vectors, entries take
// turns.
template <class Row, size_t kVectors>
HWY_INLINE void sum_block(const Values<Row> &values, size_t n, const Output &output, hn::Vec<U32> &worst) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    constexpr size_t kEntries = 8 / kVectors;
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    size_t i = 0;
#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE
    // Rows are what the load units should be busy with: ids come two at a time, weights four.
    for (; kVectors >= 4 && i + 4 <= n; i += 4) {
        uint64_t ids[2];
        hwy::CopyBytes<16>(values.ids + i, ids);
        const auto weights = hn::LoadDup128(d, values.weights + i);
        const auto *v = values.v;
        const auto row = [&](uint64_t id) { return v + size_t(uint32_t(id)) * values.stride; };
        add_entry<Row, kVectors>(row(ids[0]), hn::Broadcast<0>(weights), false, s0, s1, s2, s3, s4, s5, s6, s7);
        add_entry<Row, kVectors>(row(ids[0] >> 32), hn::Broadcast<1>(weights), true, s0, s1, s2, s3, s4, s5, s6, s7);
        add_entry<Row, kVectors>(row(ids[1]), hn::Broadcast<2>(weights), false, s0, s1, s2, s3, s4, s5, s6, s7);
        add_entry<Row, kVectors>(row(ids[1] >> 32), hn::Broadcast<3>(weights), true, s0, s1, s2, s3, s4, s5, s6, s7);
    }
#endif
    for (; i + kEntries <= n; i += kEntries) {
        accumulate<Row, kVectors, 0>(values, i, s0);
        accumulate<Row, kVectors, 1>(values, i, s1);
        accumulate<Row, kVectors, 2>(values, i, s2);
        accumulate<Row, kVectors, 3>(values, i, s3);
        accumulate<Row, kVectors, 4>(values, i, s4);
        accumulate<Row, kVectors, 5>(values, i, s5);
        accumulate<Row, kVectors, 6>(values, i, s6);
        accumulate<Row, kVectors, 7>(values, i, s7);
    }
    for (; i < n; ++i) {
        accumulate<Row, kVectors, 0>(values, i, s0);
        if constexpr (kVectors > 1) accumulate<Row, kVectors, 1>(values, i, s1);
        if constexpr (kVectors > 2) accumulate<Row, kVectors, 2>(values, i, s2);
        if constexpr (kVectors > 2) accumulate<Row, kVectors, 3>(values, i, s3);
    }
    if constexpr (kVectors == 8) {
        put(s4, output, 4 * lanes, worst);
        put(s5, output, 5 * lanes, worst);
        put(s6, output, 6 * lanes, worst);
        put(s7, output, 7 * lanes, worst);
    } else {
        s0 = hn::Add(s0, s4);
        s1 = hn::Add(s1, s5);
        s2 = hn::Add(s2, s6);
        s3 = hn::Add(s3, s7);
    }
    if constexpr (kVectors >= 4) {
        put(s2, output, 2 * lanes, worst);
        put(s3, output, 3 * lanes, worst);
    } else {
        s0 = hn::Add(s0, s2);
        s1 = hn::Add(s1, s3);
    }
    if constexpr (kVectors >= 2) {
        put(s1, output, lanes, worst);
    } else {
        s0 = hn::Add(s0, s1);
    }
    put(s0, output, 0, worst);
}

// The last `channels` < Lanes channels. `before` channels of each row lie in front of them: with enough of those a
// whole vector that ends with the row is loaded, and its upper lanes are used.
template <class Row>
HWY_INLINE void sum_tail(const Values<Row> &values, size_t n, size_t before, size_t channels, const Output &output,
                         hn::Vec<U32> &worst) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    const size_t back = before >= lanes ? lanes - channels : 0;
    HWY_ALIGN float buffer[16];
    if (back != 0) {
        auto ignored = hn::Zero(U32());
        const Values<Row> whole{values.ids, values.weights, values.v - back, values.stride};
        sum_block<Row, 1>(whole, n, {nullptr, 0, nullptr, buffer}, ignored);
    } else {
        auto s = hn::Zero(d);
        for (size_t i = 0; i < n; ++i)
            s = hn::MulAdd(hn::Set(d, values.weights[i]), Row::Tail(d, values.row(i), channels), s);
        hn::Store(s, d, buffer);
    }
    const hn::CappedTag<float, 1> d1;
    auto worst_one = hn::Zero(hn::RebindToUnsigned<hn::CappedTag<float, 1>>());
    for (size_t c = 0; c < channels; ++c) {
        auto v = hn::Set(d1, buffer[back + c]);
        if (output.base != nullptr && output.kept != nullptr) output.kept[c] = output.base[c];
        if (output.base != nullptr) v = hn::MulAdd(hn::Set(d1, output.base_weight), hn::Set(d1, output.base[c]), v);
        output.out[c] = hn::GetLane(v);
        watch(d1, v, worst_one);
    }
    worst = hn::Max(worst, hn::Set(U32(), hn::GetLane(worst_one)));
}

template <class Row>
HWY_INLINE void sum_slice(const Values<Row> &values, size_t n, size_t dv, const Output &output, hn::Vec<U32> &worst) {
    const F32 d;
    const size_t lanes = hn::Lanes(d);
    size_t c = 0;
    for (; c + 8 * lanes <= dv; c += 8 * lanes) sum_block<Row, 8>(values.from(c), n, output.from(c), worst);
    if (c + 4 * lanes <= dv) {
        sum_block<Row, 4>(values.from(c), n, output.from(c), worst);
        c += 4 * lanes;
    }
    if (c + 2 * lanes <= dv) {
        sum_block<Row, 2>(values.from(c), n, output.from(c), worst);
        c += 2 * lanes;
    }
    if (c + lanes <= dv) {
        sum_block<Row, 1>(values.from(c), n, output.from(c), worst);
        c += lanes;
    }
    if (c < dv) sum_tail(values.from(c), n, c, dv - c, output.from(c), worst);
}

template <class Row>
bool attend_values(const uint32_t *ids, const float *weights, uint32_t n, const void *v, size_t stride, size_t dv,
                   const float *base, float base_weight, float *kept, float *out) {
    auto worst = hn::Zero(U32());
    size_t first = 0;
    do { // from the second slice on, the sum so far is the base
        worst = hn::Zero(U32());
        const Values<Row> values{ids + first, weights + first, static_cast<const typename Row::Type *>(v), stride};
        const Output output = first == 0 ? Output{base, base_weight, kept, out} : Output{out, 1, nullptr, out};
        sum_slice(values, HWY_MIN(n - first, kSlice), dv, output, worst);
        first += kSlice;
    } while (first < n);
    return hn::AllTrue(U32(), hn::Lt(worst, hn::Set(U32(), Output::kSpan)));
}

} // namespace

void attend_fill(Kernels &kernels) {
    kernels.attend_distances = attend_distances;
    kernels.attend_dots = attend_dots;
    kernels.attend_minimum = attend_minimum;
    kernels.attend_weights = attend_weights;
    kernels.attend_pairs = attend_pairs;
    kernels.attend_weigh = attend_weigh;
    kernels.attend_values_f32 = attend_values<RowF32>;
    kernels.attend_values_bf16 = attend_values<RowBf16>;
    kernels.attend_values_f16 = attend_values<RowF16>;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(attend)
} // namespace zeta::simd
#endif
