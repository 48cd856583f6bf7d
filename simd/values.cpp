// SPDX-License-Identifier: Apache-2.0
// Weighted sums of value rows (spec section 5) over a compact list of keys. Every sum runs over the index in the list
// alone, in slices of 44 entries so that rounding errors stay small for long lists: its bits do not depend on
// alignment, strides or the lanes of a level.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "values.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using Vf = hn::Vec<F32>;

// 64 equal terms, added one by one, come near an error of 1e-6 of their sum. 44: a list of 32 neighbours and a few
// local positions is one slice, 128 are three.
constexpr size_t kSlice = 44;

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
    Vf v0, v1, v2, v3;
    Row::Pair(d, row, v0, v1);
    Row::Pair(d, row + 2 * lanes, v2, v3);
    s0 = hn::MulAdd(weight, v0, s0);
    s1 = hn::MulAdd(weight, v1, s1);
    s2 = hn::MulAdd(weight, v2, s2);
    s3 = hn::MulAdd(weight, v3, s3);
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
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128 && !HWY_HAVE_SCALABLE
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
    if constexpr (kVectors >= 4) {
        const auto add = [&](size_t entry, bool odd) HWY_ATTR {
            const auto weight = hn::Set(d, values.weights[entry]);
            add_entry<Row, kVectors>(values.row(entry), weight, odd, s0, s1, s2, s3, s4, s5, s6, s7);
        };
        for (; i + kEntries <= n; i += kEntries) {
            add(i, false);
            if (kEntries == 2) add(i + 1, true);
        }
        if (i < n) add(i++, false);
    }
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
    }
    if constexpr (kVectors == 8) {
        Row::Unpair(d, s4, s5);
        Row::Unpair(d, s6, s7);
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
        Row::Unpair(d, s0, s1);
        Row::Unpair(d, s2, s3);
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

void values_fill(Kernels &kernels) {
    kernels.attend_values_f32 = attend_values<RowF32>;
    kernels.attend_values_bf16 = attend_values<RowBf16>;
    kernels.attend_values_f16 = attend_values<RowF16>;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(values)
} // namespace zeta::simd
#endif
