// SPDX-License-Identifier: Apache-2.0
// The nearest of a list of candidates (spec section 4): a cut through the distances is searched for by counting, ties
// are settled by position, and what lies within is moved to the front.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "select.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "masks-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// ---- the nearest of a list -----------------------------------------------------------------------------------------

constexpr uint32_t kInfinity = 0x7F800000; // bits of +infinity; squared distances have no sign

// Distances as integers of the same order, NaN as infinity.
HWY_INLINE hn::Vec<I32> order_of(hn::Vec<F32> distance) {
    const U32 du;
    return hn::BitCast(I32(), hn::Min(hn::BitCast(du, distance), hn::Set(du, kInfinity)));
}

HWY_INLINE float value_of(uint32_t order) {
    float value;
    hwy::CopyBytes<4>(&order, &value);
    return value;
}

// How many distances are <= cut, which is below infinity. As unsigned numbers every NaN lies above it.
uint32_t count_within(const float *distances, uint32_t n, uint32_t cut) {
    const U32 du;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const auto bound = hn::Set(du, cut + 1);
    size_t count = 0, i = 0;
    for (; i + lanes <= n; i += lanes)
        count += hn::CountTrue(du, hn::Lt(hn::BitCast(du, hn::LoadU(df, distances + i)), bound));
    if (i < n) {
        const auto bits = hn::BitCast(du, LoadTailOr(df, distances + i, n - i, value_of(kInfinity)));
        count += hn::CountTrue(du, hn::Lt(bits, bound));
    }
    return uint32_t(count);
}

// How many keys at distance `cut` have a position >= first.
uint32_t count_ties(const uint32_t *ids, const float *distances, uint32_t n, uint32_t cut, uint32_t first) {
    const U32 du;
    const I32 di;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    uint32_t count = 0;
    for (size_t i = 0; i < n; i += lanes) {
        const bool whole = i + lanes <= n;
        const auto id = whole ? hn::LoadU(du, ids + i) : LoadTail(du, ids + i, n - i);
        const auto distance = whole ? hn::LoadU(df, distances + i) : LoadTail(df, distances + i, n - i);
        const auto tied = hn::RebindMask(du, hn::Eq(order_of(distance), hn::Set(di, int32_t(cut))));
        auto mask = hn::AndNot(hn::Lt(id, hn::Set(du, first)), tied);
        if (!whole) mask = hn::And(mask, hn::FirstN(du, n - i));
        count += uint32_t(hn::CountTrue(du, mask));
    }
    return count;
}

struct Range {
    uint32_t least, most;
};

// Smallest and largest order of a list that is not empty.
Range range_of(const float *distances, uint32_t n) {
    const I32 di;
    const F32 df;
    const size_t lanes = hn::Lanes(di);
    auto least = hn::Set(di, int32_t(kInfinity));
    auto most = hn::Zero(di);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto order = order_of(hn::LoadU(df, distances + i));
        least = hn::Min(least, order);
        most = hn::Max(most, order);
    }
    if (i < n) {
        least = hn::Min(least, order_of(LoadTailOr(df, distances + i, n - i, value_of(kInfinity))));
        most = hn::Max(most, order_of(LoadTail(df, distances + i, n - i)));
    }
    return {uint32_t(hn::GetLane(hn::MinOfLanes(di, least))), uint32_t(hn::GetLane(hn::MaxOfLanes(di, most)))};
}

// Which of a list are kept: distance below `cut`, or at it and position >= first.
struct Cut {
    uint32_t order, first;
};

// The position from which on ties at `cut` are kept so that `wanted` of them are.
uint32_t cut_ties(const uint32_t *ids, const float *distances, uint32_t n, uint32_t cut, uint32_t wanted) {
    uint64_t lo = 0, hi = uint64_t{1} << 32; // >= wanted from lo on, fewer from hi on
    while (hi - lo > 1) {
        const uint64_t middle = lo + (hi - lo) / 2;
        const uint32_t count = count_ties(ids, distances, n, cut, uint32_t(middle));
        if (count == wanted) return uint32_t(middle);
        (count > wanted ? lo : hi) = middle;
    }
    return uint32_t(lo);
}

// Two steps of interpolation on the bits of the distances, nearly their logarithms, then one of bisection, which bounds
// the number of steps whatever their distribution.
Cut find_cut(const uint32_t *ids, const float *distances, uint32_t n, uint32_t keep) {
    const Range range = range_of(distances, n);
    int64_t lo = int64_t(range.least) - 1, hi = range.most;
    uint32_t below = 0, within = n; // counts <= lo and <= hi: below < keep <= within
    for (int step = 0; within != keep && hi - lo > 1; ++step) {
        const double share = step % 3 == 2 ? 0.5 : (keep - below + 0.5) / (within - below + 1.0);
        const int64_t guess = lo + int64_t(double(hi - lo) * share);
        const int64_t middle = HWY_MAX(lo + 1, HWY_MIN(guess, hi - 1));
        const uint32_t count = count_within(distances, n, uint32_t(middle));
        const bool reached = count >= keep; // as likely as not: selected, not branched on
        hi = reached ? middle : hi;
        within = reached ? count : within;
        lo = reached ? lo : middle;
        below = reached ? below : count;
    }
    const uint32_t order = uint32_t(hi);
    return {order, within == keep ? 0 : cut_ties(ids, distances, n, order, keep - below)};
}

// Moves what is kept to the front, in order.
uint32_t keep_within(uint32_t *ids, float *distances, uint32_t n, Cut cut, float *kth) {
    const U32 du;
    const I32 di;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const auto order = hn::Set(di, int32_t(cut.order));
    const auto first = hn::Set(du, cut.first);
    auto most = hn::Zero(di);
    size_t kept = 0;
    for (size_t i = 0; i < n; i += lanes) {
        const bool whole = i + lanes <= n;
        const auto id = whole ? hn::LoadU(du, ids + i) : LoadTail(du, ids + i, n - i);
        const auto distance = whole ? hn::LoadU(df, distances + i) : LoadTail(df, distances + i, n - i);
        const auto here = order_of(distance);
        const auto tied = hn::RebindMask(du, hn::Eq(here, order));
        auto mask = hn::Or(hn::RebindMask(du, hn::Lt(here, order)), hn::AndNot(hn::Lt(id, first), tied));
        if (!whole) mask = hn::And(mask, hn::FirstN(du, n - i));
        most = hn::Max(most, hn::IfThenElseZero(hn::RebindMask(di, mask), here));
        const auto id_kept = squeeze(du, id, mask);
        const auto distance_kept = squeeze(df, distance, hn::RebindMask(df, mask));
        const size_t count = hn::CountTrue(du, mask);
        if (kept + lanes <= n) { // never past what has been read
            hn::StoreU(id_kept, du, ids + kept);
            hn::StoreU(distance_kept, df, distances + kept);
        } else {
            StoreTail(id_kept, du, ids + kept, count);
            StoreTail(distance_kept, df, distances + kept, count);
        }
        kept += count;
    }
    *kth = value_of(uint32_t(hn::GetLane(hn::MaxOfLanes(di, most))));
    return uint32_t(kept);
}

uint32_t select_nearest(uint32_t *ids, float *distances, uint32_t n, uint32_t keep, float *kth) {
    if (n <= keep || keep == 0) {
        const bool none = n == 0 || keep == 0;
        *kth = none ? 0.0f : value_of(range_of(distances, n).most);
        return none ? 0 : n;
    }
    return keep_within(ids, distances, n, find_cut(ids, distances, n, keep), kth);
}

} // namespace

void select_fill(Kernels &kernels) {
    kernels.select_nearest = select_nearest;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(select)
} // namespace zeta::simd
#endif
