// SPDX-License-Identifier: Apache-2.0
// Neighbours of spec section 4: the window of a query in a level, its compact list, and the nearest of a list. A window
// is found by counting searchable keys (position < limit) outward from the query's rank, 64 keys at a time; runs of
// keys that are not searchable are jumped with the tree of minimum positions, so the cost is O(window * 64 + height) on
// any input.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "select.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "masks-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};

HWY_INLINE uint32_t first_set(uint64_t bits) {
    return uint32_t(hwy::Num0BitsBelowLS1Bit_Nonzero64(bits));
}
HWY_INLINE uint32_t last_set(uint64_t bits) {
    return uint32_t(63 - hwy::Num0BitsAboveMS1Bit_Nonzero64(bits));
}

// Index of the k-th set bit of a word that has more than k.
HWY_INLINE uint32_t nth_set(uint64_t bits, uint32_t k) {
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_BMI2_FMA)
    return first_set(_pdep_u64(uint64_t{1} << k, bits));
#else
    uint32_t at = 0;
    for (uint32_t width = 32; width != 0; width /= 2) {
        const uint32_t lower = count_set(bits & low_bits(width));
        if (k < lower) continue;
        k -= lower;
        at += width;
        bits >>= width;
    }
    return at;
#endif
}

// ---- the tree ------------------------------------------------------------------------------------------------------

// Entry `i` of height `h` holds a searchable key; the first block of 64 keys below it that does.
uint32_t descend_first(const Level &level, int h, uint32_t i, uint32_t limit) {
    for (; h > 0; --h) i = i * 64 + first_set(bits_below(level.minimum[h - 1] + size_t(i) * 64, limit));
    return i;
}

uint32_t descend_last(const Level &level, int h, uint32_t i, uint32_t limit) {
    for (; h > 0; --h) i = i * 64 + last_set(bits_below(level.minimum[h - 1] + size_t(i) * 64, limit));
    return i;
}

// The first block >= `block` with a searchable key, or kNone.
HWY_NOINLINE uint32_t next_block(const Level &level, uint32_t block, uint32_t limit) {
    const uint32_t blocks = (level.count + 63) / 64;
    if (level.heights == 0) return block < blocks ? block : kNone;
    uint32_t i = block;
    for (int h = 0; h < level.heights; ++h) {
        if (i >= level.minimum_count[h]) return kNone;
        uint64_t bits = bits_below(level.minimum[h] + (i & ~63u), limit) & ~low_bits(i & 63);
        for (uint32_t group = i / 64; h + 1 == level.heights && bits == 0;) { // the top has nothing above it
            if (++group * 64 >= level.minimum_count[h]) return kNone;
            i = group * 64;
            bits = bits_below(level.minimum[h] + i, limit);
        }
        if (bits != 0) return descend_first(level, h, (i & ~63u) + first_set(bits), limit);
        i = i / 64 + 1;
    }
    return kNone;
}

// The last block <= `block` with a searchable key, or kNone.
HWY_NOINLINE uint32_t previous_block(const Level &level, uint32_t block, uint32_t limit) {
    if (level.heights == 0) return block;
    uint32_t i = block;
    for (int h = 0; h < level.heights; ++h) {
        uint64_t bits = bits_below(level.minimum[h] + (i & ~63u), limit) & low_bits((i & 63) + 1);
        for (; h + 1 == level.heights && bits == 0;) {
            if (i < 64) return kNone;
            i = (i & ~63u) - 1;
            bits = bits_below(level.minimum[h] + (i & ~63u), limit);
        }
        if (bits != 0) return descend_last(level, h, (i & ~63u) + last_set(bits), limit);
        if (i < 64) return kNone;
        i = i / 64 - 1;
    }
    return kNone;
}

// ---- the window ----------------------------------------------------------------------------------------------------

// Searchable keys next to a rank on one side: how many there are, at most as many as wanted, the nearest and the
// farthest.
struct Side {
    uint32_t found, near, far;
};

// The `wanted` nearest searchable keys of index < rank.
HWY_INLINE Side walk_back(const Level &level, uint32_t rank, uint32_t limit, uint32_t wanted) {
    Side side{0, rank, rank};
    if (wanted == 0) return side;
    uint32_t block = rank / 64;
    uint64_t bits = bits_below(level.position + size_t(block) * 64, limit) & low_bits(rank & 63);
    for (;;) {
        if (bits != 0) {
            const uint32_t here = count_set(bits);
            if (side.found == 0) side.near = block * 64 + last_set(bits);
            if (side.found + here >= wanted) {
                side.far = block * 64 + nth_set(bits, side.found + here - wanted);
                side.found = wanted;
                return side;
            }
            side.found += here;
            side.far = block * 64 + first_set(bits);
        } else if (block != rank / 64) { // a whole block without any: more may follow
            block = block == 0 ? kNone : previous_block(level, block - 1, limit);
            if (block == kNone) return side;
            ++block;
        }
        if (block == 0) return side;
        --block;
        bits = bits_below(level.position + size_t(block) * 64, limit);
    }
}

// The `wanted` nearest searchable keys of index >= rank.
HWY_INLINE Side walk_on(const Level &level, uint32_t rank, uint32_t limit, uint32_t wanted) {
    Side side{0, rank, rank};
    if (wanted == 0) return side;
    const uint32_t blocks = (level.count + 63) / 64;
    uint32_t block = rank / 64;
    if (block >= blocks) return side;
    uint64_t bits = bits_below(level.position + size_t(block) * 64, limit) & ~low_bits(rank & 63);
    for (;;) {
        if (bits != 0) {
            const uint32_t here = count_set(bits);
            if (side.found == 0) side.near = block * 64 + first_set(bits);
            if (side.found + here >= wanted) {
                side.far = block * 64 + nth_set(bits, wanted - side.found - 1);
                side.found = wanted;
                return side;
            }
            side.found += here;
            side.far = block * 64 + last_set(bits);
        } else if (block != rank / 64) {
            block = next_block(level, block + 1, limit);
            if (block == kNone) return side;
            --block;
        }
        if (++block >= blocks) return side;
        bits = bits_below(level.position + size_t(block) * 64, limit);
    }
}

void select_window(const Level &level, uint32_t rank, uint32_t limit, uint32_t window, uint32_t *lo, uint32_t *hi) {
    Side below = walk_back(level, rank, limit, window / 2);
    const Side above = walk_on(level, rank, limit, window - below.found);
    // Fewer above than hoped: the rest comes from below, if there can be more than were taken already.
    if (above.found < window - below.found && below.found == window / 2)
        below = walk_back(level, rank, limit, window - above.found);
    *lo = below.found != 0 ? below.far : above.near;
    *hi = above.found != 0 ? above.far + 1 : below.found != 0 ? below.near + 1 : rank;
}

// ---- the list ------------------------------------------------------------------------------------------------------

template <int kDk>
uint32_t emit(const Level &level, uint32_t lo, uint32_t hi, uint32_t limit, const float *q, int generic_dk,
              uint32_t *ids, float *distances) {
    const U32 du;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const size_t dk = size_t(kDk != 0 ? kDk : generic_dk);
    const auto bound = hn::Set(du, limit);
    uint32_t n = 0;
    size_t empty = 0; // keys looked at since the last searchable one
    for (size_t i = lo; i < hi; i += lanes) {
        const auto position = hn::LoadU(du, level.position + i);
        auto mask = hn::Lt(position, bound);
        if (hi - i < lanes) mask = hn::And(mask, hn::FirstN(du, hi - i));
        if (hn::AllFalse(du, mask)) {
            empty += lanes;
            if (empty < 2 * kBlock) continue;
            const uint32_t block = next_block(level, uint32_t((i + lanes) / kBlock), limit);
            if (block == kNone) break;
            if (size_t(block) * kBlock > i + lanes) i = size_t(block) * kBlock - lanes;
            empty = 0;
            continue;
        }
        empty = 0;
        auto difference = hn::Sub(hn::Set(df, q[0]), hn::LoadU(df, level.coordinate + i));
        auto distance = hn::Mul(difference, difference);
        for (size_t e = 1; e < dk; ++e) {
            difference = hn::Sub(hn::Set(df, q[e]), hn::LoadU(df, level.coordinate + e * level.stride + i));
            distance = hn::Add(distance, hn::Mul(difference, difference));
        }
        hn::StoreU(squeeze(du, position, mask), du, ids + n);
        hn::StoreU(squeeze(df, distance, hn::RebindMask(df, mask)), df, distances + n);
        n += uint32_t(hn::CountTrue(du, mask));
    }
    return n;
}

uint32_t select_emit(const Level &level, uint32_t lo, uint32_t hi, uint32_t limit, const float *q, int dk,
                     uint32_t *ids, float *distances) {
    switch (dk) {
    case 1:
        return emit<1>(level, lo, hi, limit, q, dk, ids, distances);
    case 2:
        return emit<2>(level, lo, hi, limit, q, dk, ids, distances);
    case 3:
        return emit<3>(level, lo, hi, limit, q, dk, ids, distances);
    case 4:
        return emit<4>(level, lo, hi, limit, q, dk, ids, distances);
    case 8:
        return emit<8>(level, lo, hi, limit, q, dk, ids, distances);
    default:
        return emit<0>(level, lo, hi, limit, q, dk, ids, distances);
    }
}

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
    kernels.select_window = select_window;
    kernels.select_emit = select_emit;
    kernels.select_nearest = select_nearest;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(select)
} // namespace zeta::simd
#endif
