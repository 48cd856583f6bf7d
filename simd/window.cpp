// SPDX-License-Identifier: Apache-2.0
// The window of a query in a level (spec section 4) and its list. A window is found by counting searchable keys
// (position < limit) outward from the query's rank, 64 keys at a time; runs of keys that are not searchable are jumped
// with the tree of minimum positions, so the cost is O(window * 64 + height) on any input.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "window.cpp"
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
        const uint64_t bits = bits_below(level.minimum[h] + (i & ~63u), limit) & ~low_bits(i & 63);
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
        const uint64_t bits = bits_below(level.minimum[h] + (i & ~63u), limit) & low_bits((i & 63) + 1);
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
uint32_t emit(const Level &level, uint32_t lo, uint32_t hi, uint32_t limit, uint32_t most, const float *q,
              int generic_dk, uint32_t *ids, float *distances) {
    const U32 du;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const size_t dk = size_t(kDk != 0 ? kDk : generic_dk);
    const auto bound = hn::Set(du, limit);
    uint32_t n = 0;
    size_t empty = 0; // keys looked at since the last searchable one
    hi = HWY_MIN(hi, level.count);
    for (size_t i = lo; i < hi && n < most; i += lanes) {
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
    return HWY_MIN(n, most);
}

// ---- a tile
// ----------------------------------------------------------------------------------------------------------

// The k highest set bits, or the k lowest, of a word that has at least k.
HWY_INLINE uint64_t keep_high(uint64_t bits, uint32_t k) {
    return k == 0 ? 0 : bits & ~low_bits(nth_set(bits, count_set(bits) - k));
}
HWY_INLINE uint64_t keep_low(uint64_t bits, uint32_t k) {
    return k == 0 ? 0 : bits & low_bits(nth_set(bits, k - 1) + 1);
}

// The point of a query in all lanes, and its list as far as it has been written.
template <int kDk> struct List {
    const float *q;
    int generic_dk;
    uint32_t *ids;
    float *distances;
    uint32_t count = 0;

    // Appends the keys of `bits` among those of a block of 64.
    HWY_INLINE void append(const Level &level, size_t block, uint64_t bits) {
        const U32 du;
        const F32 df;
        const size_t lanes = hn::Lanes(du), dk = size_t(kDk != 0 ? kDk : generic_dk);
        for (size_t i = block * kBlock; bits != 0; i += lanes, bits >>= lanes) {
            const uint64_t here = bits & low_bits(lanes);
            if (here == 0) continue;
            auto difference = hn::Sub(hn::Set(df, q[0]), hn::LoadU(df, level.coordinate + i));
            auto distance = hn::Mul(difference, difference);
            for (size_t e = 1; e < dk; ++e) {
                difference = hn::Sub(hn::Set(df, q[e]), hn::LoadU(df, level.coordinate + e * level.stride + i));
                distance = hn::Add(distance, hn::Mul(difference, difference));
            }
            hn::StoreU(squeeze_bits(du, hn::LoadU(du, level.position + i), here), du, ids + count);
            hn::StoreU(squeeze_bits(df, distance, here), df, distances + count);
            count += count_set(here);
        }
    }
};

// The `wanted` nearest keys of one side: `here` in the block of the rank, the rest in blocks [kReach], nearest first,
// of which those beyond are cleared. False: there are fewer.
template <size_t kReach, class Keep>
HWY_INLINE bool keep_nearest(uint64_t &here, uint64_t *blocks, uint32_t wanted, Keep keep) {
    uint32_t found = count_set(here), total = found;
    for (size_t i = 0; i < kReach; ++i) total += count_set(blocks[i]);
    if (total < wanted) return false;
    if (found >= wanted) {
        here = keep(here, wanted);
        for (size_t i = 0; i < kReach; ++i) blocks[i] = 0;
        return true;
    }
    uint32_t left = wanted - found;
    for (size_t i = 0; i < kReach; ++i) {
        found = count_set(blocks[i]);
        if (found >= left) blocks[i] = keep(blocks[i], left);
        left -= HWY_MIN(left, found);
    }
    return true;
}

// A window that lies in the block of its rank and kReach blocks on each side: where almost all do. False: it may not.
template <int kDk, size_t kReach>
HWY_INLINE bool near_window(const Level &level, uint32_t rank, uint32_t limit, uint32_t window, List<kDk> &list,
                            uint32_t *lo, uint32_t *hi) {
    static_assert(kReach * kBlock <= kPad, "blocks behind the last key are there to be read");
    const size_t block = rank / kBlock;
    if (window < 2 || block < kReach || (block + kReach) * kBlock >= level.count) return false;
    const uint64_t here = bits_below(level.position + block * kBlock, limit), low = low_bits(rank % kBlock);
    uint64_t below = here & low, above = here & ~low, before[kReach], after[kReach];
    for (size_t i = 0; i < kReach; ++i) {
        before[i] = bits_below(level.position + (block - 1 - i) * kBlock, limit);
        after[i] = bits_below(level.position + (block + 1 + i) * kBlock, limit);
    }
    if (!keep_nearest<kReach>(below, before, window / 2, keep_high)) return false;
    if (!keep_nearest<kReach>(above, after, window - window / 2, keep_low)) return false;
    uint32_t first = kNone, last = 0;
    const auto append = [&](size_t at, uint64_t bits) HWY_ATTR {
        if (bits == 0) return;
        first = first == kNone ? uint32_t(at * kBlock) + first_set(bits) : first;
        last = uint32_t(at * kBlock) + last_set(bits);
        list.append(level, at, bits);
    };
    for (size_t i = kReach; i-- > 0;) append(block - 1 - i, before[i]);
    append(block, below | above);
    for (size_t i = 0; i < kReach; ++i) append(block + 1 + i, after[i]);
    *lo = first;
    *hi = last + 1;
    return true;
}

// By how far such windows reach.
template <int kDk>
HWY_INLINE bool any_near_window(const Level &level, uint32_t rank, uint32_t limit, uint32_t window, List<kDk> &list,
                                uint32_t *lo, uint32_t *hi) {
    if (window <= kBlock) return near_window<kDk, 1>(level, rank, limit, window, list, lo, hi);
    return window <= 2 * kBlock && near_window<kDk, 2>(level, rank, limit, window, list, lo, hi);
}

template <int kDk> void tile(const Level &level, const WindowTile &t) {
    for (uint32_t i = 0; i < t.queries; ++i) {
        const float *q = t.q + size_t(t.rows[i]) * size_t(kDk != 0 ? kDk : t.dk);
        List<kDk> list{q, t.dk, t.ids + i * t.stride, t.distances + i * t.stride};
        if (t.search && any_near_window<kDk>(level, t.ranks[i], t.limits[i], t.window, list, &t.lo[i], &t.hi[i])) {
            t.counts[i] = list.count;
            continue;
        }
        if (t.search) select_window(level, t.ranks[i], t.limits[i], t.window, &t.lo[i], &t.hi[i]);
        t.counts[i] = emit<kDk>(level, t.lo[i], t.hi[i], t.limits[i], t.window, q, t.dk, list.ids, list.distances);
    }
}

void select_tile(const Level &level, const WindowTile &t) {
    switch (t.dk) {
    case 1:
        return tile<1>(level, t);
    case 2:
        return tile<2>(level, t);
    case 3:
        return tile<3>(level, t);
    case 4:
        return tile<4>(level, t);
    case 8:
        return tile<8>(level, t);
    default:
        return tile<0>(level, t);
    }
}

uint32_t select_emit(const Level &level, uint32_t lo, uint32_t hi, uint32_t limit, uint32_t most, const float *q,
                     int dk, uint32_t *ids, float *distances) {
    switch (dk) {
    case 1:
        return emit<1>(level, lo, hi, limit, most, q, dk, ids, distances);
    case 2:
        return emit<2>(level, lo, hi, limit, most, q, dk, ids, distances);
    case 3:
        return emit<3>(level, lo, hi, limit, most, q, dk, ids, distances);
    case 4:
        return emit<4>(level, lo, hi, limit, most, q, dk, ids, distances);
    case 8:
        return emit<8>(level, lo, hi, limit, most, q, dk, ids, distances);
    default:
        return emit<0>(level, lo, hi, limit, most, q, dk, ids, distances);
    }
}

} // namespace

void window_fill(Kernels &kernels) {
    kernels.select_window = select_window;
    kernels.select_emit = select_emit;
    kernels.select_tile = select_tile;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(window)
} // namespace zeta::simd
#endif
