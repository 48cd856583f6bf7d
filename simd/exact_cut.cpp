// SPDX-License-Identifier: Apache-2.0
// The last step of exact selection: the K nearest of the keys within a bound, and their order by position.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "exact_cut.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "exact-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// How many of the distances are at most each of three.
HWY_INLINE void count_to(const float *distances, uint32_t padded, const int32_t *most, uint32_t *counts) {
    const VI above0 = hn::Set(I(), most[0] + 1), above1 = hn::Set(I(), most[1] + 1), above2 = hn::Set(I(), most[2] + 1);
    size_t count0 = 0, count1 = 0, count2 = 0;
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
        const VI v = load_bits(distances + i);
        count0 += hn::CountTrue(I(), hn::Lt(v, above0));
        count1 += hn::CountTrue(I(), hn::Lt(v, above1));
        count2 += hn::CountTrue(I(), hn::Lt(v, above2));
    }
    counts[0] = uint32_t(count0), counts[1] = uint32_t(count1), counts[2] = uint32_t(count2);
}

// The largest position p such that at least `need` of the keys at this distance are at p or later.
uint32_t newest_of_ties(const uint32_t *ids, const float *distances, uint32_t padded, int32_t tied, uint32_t need) {
    const VI distance = hn::Set(I(), tied);
    uint32_t lo = 0, hi = 1u << 24; // at lo enough, at hi none
    while (hi - lo > 1) {
        const uint32_t mid = lo + (hi - lo) / 2;
        const VI before = hn::Set(I(), int32_t(mid) - 1);
        uint32_t count = 0;
        for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
            const MI equal = hn::Eq(load_bits(distances + i), distance);
            const MI late = hn::Gt(hn::BitCast(I(), hn::LoadU(U(), ids + i)), before);
            count += uint32_t(hn::CountTrue(I(), hn::And(equal, late)));
        }
        if (count >= need)
            lo = mid;
        else
            hi = mid;
        if (count == need) break;
    }
    return lo;
}

HWY_INLINE int32_t greatest_of(const float *distances, uint32_t padded) {
    VI most = hn::Zero(I());
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
        const VI v = load_bits(distances + i);
        most = hn::Max(most, hn::IfThenElseZero(hn::Ne(v, hn::Set(I(), kNone)), v));
    }
    return hn::GetLane(hn::MaxOfLanes(I(), most));
}

// Those below hi, and if TIES those at hi from position `newest` on. Returns the largest distance kept.
template <bool TIES>
HWY_INLINE float keep_to(uint32_t *ids, float *distances, uint32_t padded, int32_t hi, int32_t newest) {
    const VI vhi = hn::Set(I(), TIES ? hi : hi + 1), before = hn::Set(I(), newest - 1);
    uint32_t kept = 0;
    VI greatest = hn::Zero(I());
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
        const VF distance = hn::LoadU(F(), distances + i);
        const VI v = hn::BitCast(I(), distance), p = hn::BitCast(I(), hn::LoadU(U(), ids + i));
        MI take = hn::Lt(v, vhi);
        if (TIES) take = hn::Or(take, hn::And(hn::Eq(v, vhi), hn::Gt(p, before)));
        greatest = hn::Max(greatest, hn::IfThenElseZero(take, v));
        hn::StoreU(hn::BitCast(U(), squeeze(I(), p, take)), U(), ids + kept);
        hn::StoreU(squeeze(F(), distance, float_mask(take)), F(), distances + kept);
        kept += uint32_t(hn::CountTrue(I(), take));
    }
    return float_of(hn::GetLane(hn::MaxOfLanes(I(), greatest)));
}

// The bound is bracketed by counting at three places at a time, as if the counts grew linearly (in the first round, as
// they do in three dimensions); every third round takes quarters of the bits, whatever the data. No branch on the data
// inside a round: it would be mispredicted.
float exact_cut(uint32_t *ids, float *distances, uint32_t n, uint32_t keep, float bound) {
    const uint32_t padded = (n + uint32_t(kWide) - 1) / kWide * kWide;
    for (size_t j = 0; j < kWide; j += hn::Lanes(I()))
        hn::StoreU(hn::BitCast(F(), hn::Set(I(), kNone)), F(), distances + n + j);
    int32_t edge[5];
    uint32_t count[5]; // how many are at most each edge
    int32_t lo = -1, hi = bits_of(bound) < kInfinity ? bits_of(bound) : greatest_of(distances, padded);
    uint32_t below = 0, within = n;
    for (int round = 0; within > keep && hi - lo > 1; ++round) {
        const float from = lo < 0 ? 0.0f : float_of(lo), more = float_of(hi) - from;
        const float share = (float(keep - below) + 0.5f) / (float(within - below) + 0.5f);
        float at = share, slack = 0.5f / float(within - below);
        if (round == 0) at = share * (1 + 0.55f * (1 - share)), slack = 0.05f;
        edge[0] = lo, edge[4] = hi;
        for (int i = 0; i < 3; ++i) {
            int32_t mid = bits_of(from + more * (at + slack * float(i - 1)));
            if (round % 3 == 2) mid = lo + int32_t(int64_t(hi - lo) * (i + 1) / 4);
            mid = mid < hi - 1 ? mid : hi - 1;
            edge[i + 1] = mid > lo + 1 ? mid : lo + 1;
        }
        count[0] = below, count[4] = within;
        count_to(distances, padded, edge + 1, count + 1);
        const int at_least = int(count[1] < keep) + int(count[2] < keep) + int(count[3] < keep);
        lo = edge[at_least], below = count[at_least];
        hi = edge[at_least + 1], within = count[at_least + 1];
    }
    if (within == keep) return keep_to<false>(ids, distances, padded, hi, 0);
    return keep_to<true>(ids, distances, padded, hi, int32_t(newest_of_ties(ids, distances, padded, hi, keep - below)));
}

// A key's place is the number of smaller positions: 32 keys (or four vectors) are compared with one key at a time.
void exact_order(uint32_t *ids, const float *distances, uint32_t n, uint32_t *out_ids, float *out_distances) {
    const I d;
    constexpr bool kFour = hn::MaxLanes(I()) < kWide;
    HWY_ALIGN int32_t rank[64 + 4 * kWide];
    const uint32_t lanes = uint32_t(hn::Lanes(d)), step = (kFour ? 4 : 2) * lanes,
                   padded = (n + step - 1) / step * step;
    for (uint32_t i = n; i < padded; ++i) ids[i] = uint32_t(kNone);
    const auto load = [&](uint32_t i) { return hn::BitCast(d, hn::LoadU(U(), ids + i)); };
    const auto add = [&](VI smaller, VI p, VI other) { // a true lane is -1
        return hn::Sub(smaller, hn::VecFromMask(d, hn::Gt(p, other)));
    };
    for (uint32_t i = 0; i < padded; i += step) {
        const VI p0 = load(i), p1 = load(i + lanes);
        const VI p2 = kFour ? load(i + 2 * lanes) : p0, p3 = kFour ? load(i + 3 * lanes) : p1;
        VI smaller0 = hn::Zero(d), smaller1 = smaller0, smaller2 = smaller0, smaller3 = smaller0;
        for (uint32_t k = 0; k < n; ++k) {
            const VI other = hn::Set(d, int32_t(ids[k]));
            smaller0 = add(smaller0, p0, other);
            smaller1 = add(smaller1, p1, other);
            if (!kFour) continue;
            smaller2 = add(smaller2, p2, other);
            smaller3 = add(smaller3, p3, other);
        }
        hn::StoreU(smaller0, d, rank + i);
        hn::StoreU(smaller1, d, rank + i + lanes);
        if (!kFour) continue;
        hn::StoreU(smaller2, d, rank + i + 2 * lanes);
        hn::StoreU(smaller3, d, rank + i + 3 * lanes);
    }
    for (uint32_t i = 0; i < n; ++i) {
        out_ids[rank[i]] = ids[i];
        out_distances[rank[i]] = distances[i];
    }
}

} // namespace

void exact_cut_fill(Kernels &kernels) {
    kernels.exact_cut = exact_cut;
    kernels.exact_order = exact_order;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(exact_cut)
} // namespace zeta::simd
#endif
