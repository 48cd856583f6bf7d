// SPDX-License-Identifier: Apache-2.0
// Exact selection (spec section 4, `exact`): curve cells, blocks of 16 keys, boxes over them, and distances with the
// rounding the spec fixes: every lower bound below is computed in the order and rounding of the distances it bounds, so
// it never exceeds one of them. Blocks, groups and tiles are 16 wide whatever the vectors are.
#include <cstring>

#include "kernels.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "exact.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "masks-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd {
namespace HWY_NAMESPACE {
namespace {

using F = hn::CappedTag<float, 16>;
using I = hn::RebindToSigned<F>;
using U = hn::RebindToUnsigned<F>;
using VF = hn::VFromD<F>;
using VI = hn::VFromD<I>;
using MF = hn::Mask<F>;
using MI = hn::Mask<I>;

constexpr size_t kWide = 16;
constexpr int kMaxDk = 32;
constexpr int32_t kNone = 0x7fffffff, kInfinity = 0x7f800000;

HWY_INLINE int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

HWY_INLINE float float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

HWY_INLINE VI load_bits(const float *p) {
    return hn::BitCast(I(), hn::LoadU(F(), p));
}
HWY_INLINE MF float_mask(MI m) {
    return hn::RebindMask(F(), m);
}
HWY_INLINE MI int_mask(MF m) {
    return hn::RebindMask(I(), m);
}

// The kernels below have the number of coordinates as a constant for those the spec names; DK = 0: known at run time.
#define ZETA_EXACT_DIM(call)                                                                                           \
    switch (dk) {                                                                                                      \
    case 1:                                                                                                            \
        call(1);                                                                                                       \
    case 2:                                                                                                            \
        call(2);                                                                                                       \
    case 3:                                                                                                            \
        call(3);                                                                                                       \
    case 4:                                                                                                            \
        call(4);                                                                                                       \
    case 8:                                                                                                            \
        call(8);                                                                                                       \
    default:                                                                                                           \
        call(0);                                                                                                       \
    }

// Cells ------------------------------------------------------------------------------------------------------------

// Skilling's transform, 16 points at once: cells [dk][16] to the bits that interleave to places along the curve.
void hilbert(uint32_t *cells, int dk, int bits) {
    const U d;
    for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
        for (uint32_t bit = 1u << (bits - 1); bit > 1; bit >>= 1) {
            const auto vbit = hn::Set(d, bit), low = hn::Set(d, bit - 1);
            auto x0 = hn::LoadU(d, cells + j);
            x0 = hn::Xor(x0, hn::IfThenElseZero(hn::TestBit(x0, vbit), low));
            for (int e = 1; e < dk; ++e) {
                const auto x = hn::LoadU(d, cells + e * kWide + j);
                const auto set = hn::TestBit(x, vbit);
                const auto swap = hn::IfThenZeroElse(set, hn::And(hn::Xor(x0, x), low));
                hn::StoreU(hn::Xor(x, swap), d, cells + e * kWide + j);
                x0 = hn::Xor(x0, hn::IfThenElse(set, low, swap));
            }
            hn::StoreU(x0, d, cells + j);
        }
        auto x = hn::LoadU(d, cells + j);
        for (int e = 1; e < dk; ++e) {
            x = hn::Xor(x, hn::LoadU(d, cells + e * kWide + j));
            hn::StoreU(x, d, cells + e * kWide + j);
        }
        auto flip = hn::Zero(d);
        for (uint32_t bit = 1u << (bits - 1); bit > 1; bit >>= 1)
            flip = hn::Xor(flip, hn::IfThenElseZero(hn::TestBit(x, hn::Set(d, bit)), hn::Set(d, bit - 1)));
        for (int e = 0; e < dk; ++e) {
            uint32_t *at = cells + e * kWide + j;
            hn::StoreU(hn::Xor(hn::LoadU(d, at), flip), d, at);
        }
    }
}

void exact_cells(const float *x, size_t n, int dk, int bits, const float *centre, const float *inverse, uint32_t *cells,
                 size_t cell_stride) {
    const F d;
    const VF one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f), most = hn::Set(d, 3.402823466e38f);
    const VF scale = hn::Set(d, float(1u << bits)), last = hn::Set(d, float((1u << bits) - 1));
    for (size_t i = 0; i < n; i += kWide) {
        const size_t count = n - i < kWide ? n - i : kWide;
        HWY_ALIGN float row[kMaxDk * kWide] = {};
        HWY_ALIGN uint32_t cell[kMaxDk * kWide];
        HWY_ALIGN float flat[kWide] = {};
        for (size_t j = 0; j < count; ++j) {
            for (int e = 0; e < dk; ++e) row[e * kWide + j] = x[(i + j) * dk + e];
        }
        for (int e = 0; e < dk; ++e) { // 0 x is 0, or NaN when x is not finite
            for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
                const VF zero = hn::Mul(hn::LoadU(d, row + e * kWide + j), hn::Zero(d));
                hn::StoreU(hn::Add(hn::LoadU(d, flat + j), zero), d, flat + j);
            }
        }
        for (int e = 0; e < dk; ++e) {
            for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
                const VF given = hn::Sub(hn::LoadU(d, row + e * kWide + j), hn::Set(d, centre[e]));
                const VF t = hn::Clamp(hn::Mul(given, hn::Set(d, inverse[e])), hn::Neg(most), most);
                const VF u = hn::Div(t, hn::Add(one, hn::Abs(t)));
                const VF place = hn::Mul(hn::Add(hn::Mul(u, half), half), scale);
                const VF flat_j = hn::LoadU(d, flat + j);
                const MF fine = hn::And(hn::Eq(flat_j, flat_j), hn::Ge(place, hn::Zero(d)));
                const VF clamped = hn::Min(hn::IfThenElseZero(fine, place), last);
                hn::StoreU(hn::BitCast(U(), hn::ConvertTo(I(), clamped)), U(), cell + e * kWide + j);
            }
        }
        if (dk > 1 && bits > 0) hilbert(cell, dk, bits);
        for (int e = 0; e < dk; ++e) memcpy(cells + e * cell_stride + i, cell + e * kWide, count * sizeof *cells);
    }
}

// Blocks and boxes -------------------------------------------------------------------------------------------------

// Block by block through a stage of 48 keys, since what is kept of a vector need not fill one.
uint32_t exact_filter(const float *blocks, uint32_t count, int dk, uint32_t cap, uint32_t skip, uint32_t most,
                      float *out) {
    const F d;
    const size_t rows = size_t(dk) + 1;
    HWY_ALIGN float stage[(kMaxDk + 1) * 3 * kWide];
    constexpr size_t kStage = 3 * kWide;
    const VI limit = hn::Set(I(), int32_t(cap));
    uint32_t kept = 0;
    bool skipping = skip > 0; // the first block of the stage ends with the keys that are left out
    size_t staged = skipping ? kWide - skip : 0;
    for (uint32_t i = 0; i < count && kept < most; i += kWide, blocks += rows * kWide) {
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            const MF keep = float_mask(hn::Lt(load_bits(blocks + dk * kWide + j), limit));
            for (size_t e = 0; e < rows; ++e)
                hn::StoreU(squeeze(d, hn::LoadU(d, blocks + e * kWide + j), keep), d, stage + e * kStage + staged);
            staged += hn::CountTrue(d, keep);
        }
        if (staged < kWide) continue;
        for (size_t e = 0; e < rows; ++e) {
            if (!skipping) memcpy(out + e * kWide, stage + e * kStage, kWide * sizeof *out);
            memcpy(stage + e * kStage, stage + e * kStage + kWide, kWide * sizeof *out);
        }
        staged -= kWide;
        if (!skipping) {
            out += rows * kWide;
            kept += kWide;
        }
        skipping = false;
    }
    if (kept >= most || staged == 0 || skipping) return kept;
    for (size_t e = 0; e < rows; ++e) {
        for (size_t j = 0; j < kWide; ++j) out[e * kWide + j] = stage[e * kStage + (j < staged ? j : staged - 1)];
    }
    for (size_t j = staged; j < kWide; ++j) memcpy(out + dk * kWide + j, &kNone, sizeof kNone);
    return kept + uint32_t(staged);
}

#if HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR
// Highway 1.0.3 starts its emulated reductions of floats at the finite extremes: infinities alone come out finite.
HWY_INLINE float min_of_lanes(VF v) {
    HWY_ALIGN float lanes[kWide];
    hn::Store(v, F(), lanes);
    float least = lanes[0];
    for (size_t i = 1; i < hn::Lanes(F()); ++i) least = lanes[i] < least ? lanes[i] : least;
    return least;
}
HWY_INLINE float max_of_lanes(VF v) {
    return -min_of_lanes(hn::Neg(v));
}
#else
HWY_INLINE float min_of_lanes(VF v) {
    return hn::GetLane(hn::MinOfLanes(F(), v));
}
HWY_INLINE float max_of_lanes(VF v) {
    return hn::GetLane(hn::MaxOfLanes(F(), v));
}
#endif

HWY_INLINE float least(const float *x) {
    const F d;
    VF v = hn::LoadU(d, x);
    for (size_t j = hn::Lanes(d); j < kWide; j += hn::Lanes(d)) v = hn::Min(v, hn::LoadU(d, x + j));
    return min_of_lanes(v);
}

HWY_INLINE float greatest(const float *x) {
    const F d;
    VF v = hn::LoadU(d, x);
    for (size_t j = hn::Lanes(d); j < kWide; j += hn::Lanes(d)) v = hn::Max(v, hn::LoadU(d, x + j));
    return max_of_lanes(v);
}

HWY_INLINE float least_bits(const float *x) {
    VI v = load_bits(x);
    for (size_t j = hn::Lanes(I()); j < kWide; j += hn::Lanes(I())) v = hn::Min(v, load_bits(x + j));
    return float_of(hn::GetLane(hn::MinOfLanes(I(), v)));
}

HWY_INLINE float greatest_bits(const float *x) {
    VI v = load_bits(x);
    for (size_t j = hn::Lanes(I()); j < kWide; j += hn::Lanes(I())) v = hn::Max(v, load_bits(x + j));
    return float_of(hn::GetLane(hn::MaxOfLanes(I(), v)));
}

void exact_boxes(const float *nodes, uint32_t count, int dk, bool leaves, float *boxes) {
    const size_t node = (leaves ? size_t(dk) + 1 : 2 * size_t(dk) + 2) * kWide, group = (2 * size_t(dk) + 2) * kWide;
    const size_t upper = leaves ? 0 : size_t(dk) * kWide; // where a node has its upper corner
    const size_t positions = (leaves ? 1 : 2) * size_t(dk) * kWide;
    const uint32_t full = (count + uint32_t(kWide) - 1) / kWide * kWide;
    for (uint32_t b = 0; b < full; ++b) {
        float *box = boxes + b / kWide * group + b % kWide;
        if (b >= count) {
            for (int e = 0; e < dk; ++e) {
                box[e * kWide] = float_of(kInfinity);
                box[(dk + e) * kWide] = -float_of(kInfinity);
            }
            memcpy(box + 2 * dk * kWide, &kNone, sizeof kNone);
            box[(2 * dk + 1) * kWide] = 0;
            continue;
        }
        const float *from = nodes + b * node;
        for (int e = 0; e < dk; ++e) {
            box[e * kWide] = least(from + e * kWide);
            box[(dk + e) * kWide] = greatest(from + upper + e * kWide);
        }
        box[2 * dk * kWide] = least_bits(from + positions);
        box[(2 * dk + 1) * kWide] = greatest_bits(from + positions + (leaves ? 0 : kWide));
    }
}

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
                    uint32_t limit, uint32_t *ids, float *distances){
#define ZETA_CALL(DK)                                                                                                  \
    return (DK > 0 && DK <= 4 ? scan<DK> : scan_wide<DK>)(blocks, list, n, dk, q, bound, limit, ids, distances)
    ZETA_EXACT_DIM(ZETA_CALL)
#undef ZETA_CALL
}

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

#undef ZETA_EXACT_DIM

void exact_fill(Kernels &kernels) {
    kernels.exact_cells = exact_cells;
    kernels.exact_filter = exact_filter;
    kernels.exact_boxes = exact_boxes;
    kernels.exact_open = exact_open;
    kernels.exact_prune = exact_prune;
    kernels.exact_count = exact_count;
    kernels.exact_masks = exact_masks;
    kernels.exact_pick = exact_pick;
    kernels.exact_near = exact_near;
    kernels.exact_scan = exact_scan;
    kernels.exact_cut = exact_cut;
    kernels.exact_order = exact_order;
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace zeta::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(exact)
} // namespace zeta::simd
#endif
