// SPDX-License-Identifier: Apache-2.0
// Searching for the nearest keys (spec section 4, `exact`): boxes opened and pruned for a tile of queries, then
// distances of the keys in the blocks that are left, with the rounding the spec fixes. Every bound is computed in the
// order and rounding of the distances it bounds, so it never exceeds one of them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "exact_search.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "exact-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// Squared distance between boxes: each coordinate is max(0, lo - high, low - hi).
HWY_INLINE VF gap_square(VF lo, VF hi, VF low, VF high) {
    const VF gap = hn::Max(hn::Max(hn::Sub(lo, high), hn::Sub(low, hi)), hn::Zero(F()));
    return hn::Mul(gap, gap);
}

// The same of points to boxes: a point minus itself moved into the box.
HWY_INLINE VF reach_square(VF lo, VF hi, VF q) {
    const VF gap = hn::Sub(q, hn::Min(hn::Max(q, lo), hi));
    return hn::Mul(gap, gap);
}

template <int DK>
uint32_t open(const float *boxes, const uint32_t *groups, uint32_t n, int dk_, const float *box, float radius,
              uint32_t limit, uint32_t *children) {
    const F d;
    const int dk = DK ? DK : dk_;
    float low[DK ? DK : kMaxDk], high[DK ? DK : kMaxDk];
    for (int e = 0; e < dk; ++e) low[e] = box[e], high[e] = box[dk + e];
    const VF vradius = hn::Set(d, radius);
    const VI vlimit = hn::Set(I(), int32_t(limit)), step = hn::Iota(I(), 0);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; ++i) {
        const float *group = boxes + groups[i] * (2 * size_t(dk) + 2) * kWide;
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            VF sum = hn::Zero(d);
            for (int e = 0; e < dk; ++e)
                sum = hn::Add(sum, gap_square(hn::LoadU(d, group + e * kWide + j),
                                              hn::LoadU(d, group + (dk + e) * kWide + j), hn::Set(d, low[e]),
                                              hn::Set(d, high[e])));
            const MI take =
                hn::And(int_mask(hn::Le(sum, vradius)), hn::Lt(load_bits(group + 2 * dk * kWide + j), vlimit));
            const VI index = hn::Add(hn::Set(I(), int32_t(groups[i] * kWide + j)), step);
            hn::StoreU(hn::BitCast(U(), squeeze(I(), index, take)), U(), children + count);
            count += uint32_t(hn::CountTrue(I(), take));
        }
    }
    return count;
}

uint32_t exact_open(const float *boxes, const uint32_t *groups, uint32_t n, int dk, const float *box, float radius,
                    uint32_t limit, uint32_t *children) {
#define ZETA_CALL(DK) return open<DK>(boxes, groups, n, dk, box, radius, limit, children)
    ZETA_EXACT_DIM(ZETA_CALL)
#undef ZETA_CALL
}

template <int DK>
uint32_t prune(const float *boxes, uint32_t *nodes, uint32_t n, int dk_, const float *tile, const float *bounds,
               const uint32_t *limits, uint32_t most, float *gaps) {
    const F d;
    const int dk = DK ? DK : dk_;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n && count <= most; ++i) {
        const uint32_t b = nodes[i];
        const float *box = boxes + b / kWide * (2 * size_t(dk) + 2) * kWide + b % kWide;
        const VI first = hn::Set(I(), bits_of(box[2 * dk * kWide]));
        uint32_t some = 0;
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            VF sum = hn::Zero(d);
            for (int e = 0; e < dk; ++e) {
                const VF q = hn::LoadU(d, tile + e * kWide + j);
                const VF square = reach_square(hn::Set(d, box[e * kWide]), hn::Set(d, box[(dk + e) * kWide]), q);
                sum = e == 0 ? square : hn::Add(sum, square);
            }
            const MF before = float_mask(hn::Gt(hn::BitCast(I(), hn::LoadU(U(), limits + j)), first));
            const VF gap = hn::IfThenElse(before, sum, hn::Set(d, float_of(kInfinity)));
            hn::StoreU(gap, d, gaps + count * kWide + j);
            some |= uint32_t(mask_to_bits(d, hn::Le(gap, hn::LoadU(d, bounds + j))));
        }
        nodes[count] = b;
        count += some != 0;
    }
    return count;
}

uint32_t exact_prune(const float *boxes, uint32_t *nodes, uint32_t n, int dk, const float *tile, const float *bounds,
                     const uint32_t *limits, uint32_t most, float *gaps) {
#define ZETA_CALL(DK) return prune<DK>(boxes, nodes, n, dk, tile, bounds, limits, most, gaps)
    ZETA_EXACT_DIM(ZETA_CALL)
#undef ZETA_CALL
}

void exact_count(const float *gaps, uint32_t n, const float *bounds, uint32_t *counts) {
    const F d;
    for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
        const VF bound = hn::LoadU(d, bounds + j);
        VI count = hn::Zero(I()), more = count;
        uint32_t i = 0;
        for (; i + 1 < n; i += 2) { // a true lane is -1
            count = hn::Sub(count, hn::VecFromMask(I(), int_mask(hn::Le(hn::LoadU(d, gaps + i * kWide + j), bound))));
            more =
                hn::Sub(more, hn::VecFromMask(I(), int_mask(hn::Le(hn::LoadU(d, gaps + (i + 1) * kWide + j), bound))));
        }
        if (i < n)
            count = hn::Sub(count, hn::VecFromMask(I(), int_mask(hn::Le(hn::LoadU(d, gaps + i * kWide + j), bound))));
        hn::StoreU(hn::BitCast(U(), hn::Add(count, more)), U(), counts + j);
    }
}

void exact_masks(const float *gaps, uint32_t n, const float *bounds, uint16_t *masks) {
    const F d;
    memset(masks + n, 0, kWide * sizeof *masks);
    if (hn::Lanes(d) == kWide) {
        const VF bound = hn::LoadU(d, bounds);
        for (uint32_t i = 0; i < n; ++i)
            masks[i] = uint16_t(mask_to_bits(d, hn::Le(hn::LoadU(d, gaps + i * kWide), bound)));
        return;
    }
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t mask = 0;
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            const MF near = hn::Le(hn::LoadU(d, gaps + i * kWide + j), hn::LoadU(d, bounds + j));
            mask |= uint32_t(mask_to_bits(d, near)) << j;
        }
        masks[i] = uint16_t(mask);
    }
}

uint32_t exact_pick(const uint32_t *blocks, const uint16_t *masks, uint32_t n, uint32_t query, uint32_t *picked) {
    const hn::Rebind<uint16_t, U> d16;
    const VI bit = hn::Set(I(), int32_t(1u << query));
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i += uint32_t(hn::Lanes(I()))) {
        const MI take = hn::TestBit(hn::PromoteTo(I(), hn::LoadU(d16, masks + i)), bit);
        const VI block = hn::BitCast(I(), hn::LoadU(U(), blocks + i));
        hn::StoreU(hn::BitCast(U(), squeeze(I(), block, take)), U(), picked + count);
        count += uint32_t(hn::CountTrue(I(), take));
    }
    return count;
}

void exact_near(const float *group, int dk, const float *q, float *distances) {
    const F d;
    for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
        VF sum = hn::Zero(d);
        for (int e = 0; e < dk; ++e) {
            const VF lo = hn::LoadU(d, group + e * kWide + j), hi = hn::LoadU(d, group + (dk + e) * kWide + j);
            sum = hn::Add(sum, reach_square(lo, hi, hn::Set(d, q[e])));
        }
        hn::StoreU(sum, d, distances + j);
    }
}

// Keys -------------------------------------------------------------------------------------------------------------

template <int DK>
uint32_t scan(const float *blocks, const uint32_t *list, uint32_t n, int dk_, const float *q_, float bound,
              uint32_t limit, uint32_t *ids, float *distances) {
    const F d;
    const int dk = DK ? DK : dk_;
    float q[DK ? DK : kMaxDk];
    for (int e = 0; e < dk; ++e) q[e] = q_[e];
    const VF vbound = hn::Set(d, bound);
    const VI vlimit = hn::Set(I(), int32_t(limit));
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; ++i) {
        const float *block = blocks + list[i] * (size_t(dk) + 1) * kWide;
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            VF sum = hn::Zero(d);
            for (int e = 0; e < dk; ++e) {
                const VF gap = hn::Sub(hn::Set(d, q[e]), hn::LoadU(d, block + e * kWide + j));
                sum = e == 0 ? hn::Mul(gap, gap) : hn::Add(sum, hn::Mul(gap, gap));
            }
            const VI position = load_bits(block + dk * kWide + j);
            const MI take = hn::And(int_mask(hn::Le(sum, vbound)), hn::Lt(position, vlimit));
            hn::StoreU(hn::BitCast(U(), squeeze(I(), position, take)), U(), ids + count);
            hn::StoreU(squeeze(d, sum, float_mask(take)), d, distances + count);
            count += uint32_t(hn::CountTrue(I(), take));
        }
    }
    return count;
}

// The same for many coordinates: four vectors at a time, since each adds up its squares one after another.
template <int DK>
uint32_t scan_wide(const float *blocks, const uint32_t *list, uint32_t n, int dk_, const float *q, float bound,
                   uint32_t limit, uint32_t *ids, float *distances) {
    const F d;
    const int dk = DK ? DK : dk_;
    const uint32_t lanes = uint32_t(hn::Lanes(d)), each = uint32_t(kWide) / lanes, vectors = n * each;
    const VF vbound = hn::Set(d, bound);
    const VI vlimit = hn::Set(I(), int32_t(limit));
    uint32_t count = 0;
    const auto block = [&](uint32_t vector) { // the last one again where there are fewer
        if (vector >= vectors) vector = vectors - 1;
        return blocks + list[vector / each] * (size_t(dk) + 1) * kWide + vector % each * lanes;
    };
    const auto keep = [&](VF sum, uint32_t vector) {
        const VI position = load_bits(block(vector) + dk * kWide);
        const MI take = hn::And(int_mask(hn::Le(sum, vbound)), hn::Lt(position, vlimit));
        if (vector >= vectors || hn::AllFalse(I(), take)) return; // mostly
        hn::StoreU(hn::BitCast(U(), squeeze(I(), position, take)), U(), ids + count);
        hn::StoreU(squeeze(d, sum, float_mask(take)), d, distances + count);
        count += uint32_t(hn::CountTrue(I(), take));
    };
    for (uint32_t i = 0; i < vectors; i += 4) {
        const float *at0 = block(i), *at1 = block(i + 1), *at2 = block(i + 2), *at3 = block(i + 3);
        VF sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int e = 0; e < dk; ++e) {
            const VF from = hn::Set(d, q[e]);
            const VF gap0 = hn::Sub(from, hn::LoadU(d, at0 + e * kWide)),
                     gap1 = hn::Sub(from, hn::LoadU(d, at1 + e * kWide)),
                     gap2 = hn::Sub(from, hn::LoadU(d, at2 + e * kWide)),
                     gap3 = hn::Sub(from, hn::LoadU(d, at3 + e * kWide));
            sum0 = hn::Add(sum0, hn::Mul(gap0, gap0)), sum1 = hn::Add(sum1, hn::Mul(gap1, gap1));
            sum2 = hn::Add(sum2, hn::Mul(gap2, gap2)), sum3 = hn::Add(sum3, hn::Mul(gap3, gap3));
        }
        keep(sum0, i);
        keep(sum1, i + 1);
        keep(sum2, i + 2);
        keep(sum3, i + 3);
    }
    return count;
}

uint32_t exact_scan(const float *blocks, const uint32_t *list, uint32_t n, int dk, const float *q, float bound,
                    uint32_t limit, uint32_t *ids, float *distances) {
#define ZETA_CALL(DK)                                                                                                  \
    return (DK > 0 && DK <= 4 ? scan<DK> : scan_wide<DK>)(blocks, list, n, dk, q, bound, limit, ids, distances)
    ZETA_EXACT_DIM(ZETA_CALL)
#undef ZETA_CALL
}

} // namespace

void exact_search_fill(Kernels &kernels) {
    kernels.exact_open = exact_open;
    kernels.exact_prune = exact_prune;
    kernels.exact_count = exact_count;
    kernels.exact_masks = exact_masks;
    kernels.exact_pick = exact_pick;
    kernels.exact_near = exact_near;
    kernels.exact_scan = exact_scan;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(exact_search)
} // namespace zeta::simd
#endif
