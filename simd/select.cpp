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

// ---- the nearest of each of a tile's lists -------------------------------------------------------------------------

// The same search for up to 16 lists at once: four by four they are interleaved, so that a vector compares elements of
// four lists with a cut of each, and no branch depends on one list.
#if HWY_TARGET != HWY_SCALAR

using I32x4 = hn::CappedTag<int32_t, 4>;
using F32x4 = hn::CappedTag<float, 4>;
constexpr size_t kGroup = 4, kGroups = NearestLists::kMost / kGroup;
constexpr int32_t kNoDistance = 0x7FFFFFFF; // above every order

// Four lists interleaved, `rows` of each, a multiple of the lanes.
struct Columns {
    int32_t *at;
    size_t rows;
};

// A vector of a list's orders from r on, none past its end, which widens the bracket. Some vectors (SVE) cannot be
// elements of an array: hence four variables below.
HWY_INLINE hn::Vec<I32> read_orders(const float *row, size_t r, size_t found, hn::Vec<I32> &least, hn::Vec<I32> &most) {
    const I32 di;
    const size_t lanes = hn::Lanes(di), left = found - HWY_MIN(r, found);
    const auto order = order_of(hn::LoadU(F32(), row + r));
    if (left >= lanes) {
        least = hn::Min(least, order);
        most = hn::Max(most, order);
        return order;
    }
    const auto there = hn::FirstN(di, left);
    least = hn::Min(least, hn::IfThenElse(there, order, hn::Set(di, int32_t(kInfinity))));
    most = hn::Max(most, hn::IfThenElseZero(there, order));
    return hn::IfThenElse(there, order, hn::Set(di, kNoDistance));
}

HWY_INLINE void store_bracket(hn::Vec<I32> least, hn::Vec<I32> most, int32_t *lo, int32_t *hi) {
    *lo = hn::GetLane(hn::MinOfLanes(I32(), least)) - 1;
    *hi = hn::GetLane(hn::MaxOfLanes(I32(), most));
}

// Interleaves lists 4 g .. 4 g + 3 and brackets their orders.
Columns interleave(const NearestLists &lists, size_t g, int32_t *lo, int32_t *hi) {
    const I32 di;
    const size_t lanes = hn::Lanes(di);
    size_t rows = 0, found[kGroup];
    const float *row[kGroup];
    for (size_t i = 0; i < kGroup; ++i) {
        const uint32_t list = HWY_MIN(uint32_t(kGroup * g + i), lists.lists - 1);
        found[i] = lists.found[list];
        row[i] = lists.distances + list * lists.stride;
        rows = HWY_MAX(rows, found[i]);
    }
    rows = (rows + lanes - 1) / lanes * lanes;
    const Columns columns{lists.columns + kGroup * g * lists.stride, rows};
    auto least0 = hn::Set(di, int32_t(kInfinity)), least1 = least0, least2 = least0, least3 = least0;
    auto most0 = hn::Zero(di), most1 = most0, most2 = most0, most3 = most0;
    for (size_t r = 0; r < rows; r += lanes) {
        const auto order0 = read_orders(row[0], r, found[0], least0, most0);
        const auto order1 = read_orders(row[1], r, found[1], least1, most1);
        const auto order2 = read_orders(row[2], r, found[2], least2, most2);
        const auto order3 = read_orders(row[3], r, found[3], least3, most3);
        hn::StoreInterleaved4(order0, order1, order2, order3, di, columns.at + kGroup * r);
    }
    store_bracket(least0, most0, lo, hi);
    store_bracket(least1, most1, lo + 1, hi + 1);
    store_bracket(least2, most2, lo + 2, hi + 2);
    store_bracket(least3, most3, lo + 3, hi + 3);
    return columns;
}

// How many of each list are <= its cut: counts [4].
HWY_INLINE void count_columns(const Columns &columns, const int32_t *cuts, int32_t *counts) {
    const I32 di;
    const I32x4 d4;
    const size_t lanes = hn::Lanes(di), words = kGroup * columns.rows; // a multiple of four vectors
    const auto above = hn::Add(hn::LoadDup128(di, cuts), hn::Set(di, 1));
    auto n0 = hn::Zero(di), n1 = n0; // minus the counts
    for (size_t i = 0; i < words; i += 2 * lanes) {
        n0 = hn::Add(n0, hn::VecFromMask(di, hn::Lt(hn::Load(di, columns.at + i), above)));
        n1 = hn::Add(n1, hn::VecFromMask(di, hn::Lt(hn::Load(di, columns.at + i + lanes), above)));
    }
    HWY_ALIGN_MAX int32_t sums[MostLanes(I32())];
    hn::Store(hn::Add(n0, n1), di, sums);
    auto sum = hn::Load(d4, sums);
    for (size_t i = kGroup; i < lanes; i += kGroup) sum = hn::Add(sum, hn::Load(d4, sums + i));
    hn::Store(hn::Neg(sum), d4, counts);
}

// Cuts of 16 lists: afterwards `within` keys lie at or below hi and `below` < keep of them below it.
struct Cuts {
    HWY_ALIGN_MAX int32_t lo[16], hi[16], below[16], within[16];

    // One step like those of find_cut(). Returns whether some list needs another.
    bool narrow(const Columns *columns, size_t groups, int32_t keep, bool halve) {
        const I32x4 d;
        const F32x4 df;
        HWY_ALIGN_MAX int32_t cuts[16], counts[16];
        const auto one = hn::Set(d, 1), wanted = hn::Set(d, keep);
        for (size_t g = 0; g < groups; ++g) {
            const auto l = hn::Load(d, lo + kGroup * g), h = hn::Load(d, hi + kGroup * g);
            const auto b = hn::Load(d, below + kGroup * g), w = hn::Load(d, within + kGroup * g);
            const auto share = halve ? hn::Set(df, 0.5f)
                                     : hn::Div(hn::Add(hn::ConvertTo(df, hn::Sub(wanted, b)), hn::Set(df, 0.5f)),
                                               hn::ConvertTo(df, hn::Add(hn::Sub(w, b), one)));
            const auto guess = hn::Add(l, hn::ConvertTo(d, hn::Mul(hn::ConvertTo(df, hn::Sub(h, l)), share)));
            hn::Store(hn::Max(hn::Min(guess, hn::Sub(h, one)), hn::Add(l, one)), d, cuts + kGroup * g);
        }
        for (size_t g = 0; g < groups; ++g) count_columns(columns[g], cuts + kGroup * g, counts + kGroup * g);
        auto more = hn::Zero(d);
        for (size_t g = 0; g < groups; ++g) {
            const auto cut = hn::Load(d, cuts + kGroup * g), count = hn::Load(d, counts + kGroup * g);
            auto l = hn::Load(d, lo + kGroup * g), h = hn::Load(d, hi + kGroup * g);
            auto b = hn::Load(d, below + kGroup * g), w = hn::Load(d, within + kGroup * g);
            // A finished list has no room between lo and hi, or enough at hi: its cut changes nothing.
            const auto open = hn::And(hn::Gt(hn::Sub(h, l), one), hn::Gt(w, wanted));
            const auto reached = hn::Gt(wanted, count); // not
            const auto raise = hn::And(open, reached), lower = hn::AndNot(reached, open);
            l = hn::IfThenElse(raise, cut, l);
            b = hn::IfThenElse(raise, count, b);
            h = hn::IfThenElse(lower, cut, h);
            w = hn::IfThenElse(lower, count, w);
            hn::Store(l, d, lo + kGroup * g);
            hn::Store(b, d, below + kGroup * g);
            hn::Store(h, d, hi + kGroup * g);
            hn::Store(w, d, within + kGroup * g);
            more = hn::Or(more, hn::VecFromMask(d, hn::And(hn::Gt(hn::Sub(h, l), one), hn::Gt(w, wanted))));
        }
        return !hn::AllTrue(d, hn::Eq(more, hn::Zero(d)));
    }
};

// What is kept, in order, to the output.
void emit_within(const NearestLists &lists, uint32_t i, Cut cut) {
    const U32 du;
    const I32 di;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const uint32_t *ids = lists.ids + i * lists.stride, n = lists.found[i];
    const float *distances = lists.distances + i * lists.stride;
    uint32_t *kept_ids = lists.kept_ids + i * lists.kept_stride;
    float *kept_distances = lists.kept_distances + i * lists.kept_stride;
    const auto order = hn::Set(di, int32_t(cut.order));
    const auto first = hn::Set(du, cut.first);
    for (uint32_t j = 0; j < n; j += uint32_t(lanes)) {
        const auto id = hn::LoadU(du, ids + j);
        const auto distance = hn::LoadU(df, distances + j);
        const auto here = order_of(distance);
        const auto tied = hn::RebindMask(du, hn::Eq(here, order));
        auto mask = hn::Or(hn::RebindMask(du, hn::Lt(here, order)), hn::AndNot(hn::Lt(id, first), tied));
        if (n - j < lanes) mask = hn::And(mask, hn::FirstN(du, n - j));
        hn::StoreU(squeeze(du, id, mask), du, kept_ids);
        hn::StoreU(squeeze(df, distance, hn::RebindMask(df, mask)), df, kept_distances);
        const size_t count = hn::CountTrue(du, mask);
        kept_ids += count;
        kept_distances += count;
    }
}

void select_nearest_lists(const NearestLists &lists) {
    if (lists.lists == 0) return;
    const int32_t keep = int32_t(lists.keep);
    const size_t groups = (lists.lists + kGroup - 1) / kGroup;
    Columns columns[kGroups];
    Cuts cuts;
    for (size_t g = 0; g < groups; ++g) columns[g] = interleave(lists, g, cuts.lo + kGroup * g, cuts.hi + kGroup * g);
    for (uint32_t i = 0; i < kGroup * groups; ++i) {
        cuts.below[i] = 0;
        cuts.within[i] = int32_t(lists.found[HWY_MIN(i, lists.lists - 1)]);
    }
    for (int step = 0; cuts.narrow(columns, groups, keep, step % 3 == 2); ++step) {
    }
    for (uint32_t i = 0; i < lists.lists; ++i) {
        const uint32_t found = lists.found[i], within = uint32_t(cuts.within[i]);
        lists.counts[i] = HWY_MIN(found, lists.keep);
        Cut cut{uint32_t(cuts.hi[i]), 0};
        if (found > lists.keep && within != lists.keep)
            cut.first = cut_ties(lists.ids + i * lists.stride, lists.distances + i * lists.stride, found, cut.order,
                                 lists.keep - uint32_t(cuts.below[i]));
        emit_within(lists, i, cut);
    }
}

#else

void select_nearest_lists(const NearestLists &lists) {
    for (uint32_t i = 0; i < lists.lists; ++i) {
        float kth;
        uint32_t *ids = lists.ids + i * lists.stride;
        float *distances = lists.distances + i * lists.stride;
        lists.counts[i] = select_nearest(ids, distances, lists.found[i], lists.keep, &kth);
        for (uint32_t j = 0; j < lists.counts[i]; ++j) {
            lists.kept_ids[i * lists.kept_stride + j] = ids[j];
            lists.kept_distances[i * lists.kept_stride + j] = distances[j];
        }
    }
}

#endif

} // namespace

void select_fill(Kernels &kernels) {
    kernels.select_nearest = select_nearest;
    kernels.select_nearest_lists = select_nearest_lists;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(select)
} // namespace zeta::simd
#endif
