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

HWY_BEFORE_NAMESPACE();
namespace zeta::simd {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using I = hn::RebindToSigned<F>;
using U = hn::RebindToUnsigned<F>;
using VF = hn::VFromD<F>;
using VI = hn::VFromD<I>;
using MF = hn::Mask<F>;
using MI = hn::Mask<I>;

constexpr size_t kWide = 16;
constexpr int kMaxDk = 32;
constexpr int32_t kNone = 0x7fffffff;

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

uint32_t exact_filter(const float *blocks, uint32_t count, int dk, uint32_t cap, float *out) {
    const F d;
    const size_t rows = size_t(dk) + 1;
    HWY_ALIGN float stage[(kMaxDk + 1) * 3 * kWide];
    constexpr size_t kStage = 3 * kWide;
    const VI limit = hn::Set(I(), int32_t(cap));
    uint32_t kept = 0;
    size_t staged = 0;
    for (uint32_t i = 0; i < count; i += kWide, blocks += rows * kWide) {
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            const MF keep = float_mask(hn::Lt(load_bits(blocks + dk * kWide + j), limit));
            for (size_t e = 0; e < rows; ++e)
                hn::StoreU(hn::Compress(hn::LoadU(d, blocks + e * kWide + j), keep), d, stage + e * kStage + staged);
            staged += hn::CountTrue(d, keep);
        }
        if (staged < kWide) continue;
        for (size_t e = 0; e < rows; ++e) {
            memcpy(out + e * kWide, stage + e * kStage, kWide * sizeof *out);
            memcpy(stage + e * kStage, stage + e * kStage + kWide, kWide * sizeof *out);
        }
        out += rows * kWide;
        kept += kWide;
        staged -= kWide;
    }
    if (staged == 0) return kept;
    for (size_t e = 0; e < rows; ++e) {
        for (size_t j = 0; j < kWide; ++j) out[e * kWide + j] = stage[e * kStage + (j < staged ? j : staged - 1)];
    }
    for (size_t j = staged; j < kWide; ++j) memcpy(out + dk * kWide + j, &kNone, sizeof kNone);
    return kept + uint32_t(staged);
}

HWY_INLINE float least(const float *x) {
    const F d;
    VF v = hn::LoadU(d, x);
    for (size_t j = hn::Lanes(d); j < kWide; j += hn::Lanes(d)) v = hn::Min(v, hn::LoadU(d, x + j));
    return hn::GetLane(hn::MinOfLanes(d, v));
}

HWY_INLINE float greatest(const float *x) {
    const F d;
    VF v = hn::LoadU(d, x);
    for (size_t j = hn::Lanes(d); j < kWide; j += hn::Lanes(d)) v = hn::Max(v, hn::LoadU(d, x + j));
    return hn::GetLane(hn::MaxOfLanes(d, v));
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
                box[e * kWide] = float_of(0x7f800000);
                box[(dk + e) * kWide] = -float_of(0x7f800000);
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

// Squared distance between boxes, or of points to boxes: each coordinate is max(0, lo - high, low - hi).
HWY_INLINE VF gap_square(VF lo, VF hi, VF low, VF high) {
    const VF gap = hn::Max(hn::Max(hn::Sub(lo, high), hn::Sub(low, hi)), hn::Zero(F()));
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
            hn::StoreU(hn::BitCast(U(), hn::Compress(index, take)), U(), children + count);
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
               const uint32_t *limits, uint32_t active, uint16_t *masks) {
    const F d;
    const int dk = DK ? DK : dk_;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; ++i) {
        const uint32_t b = nodes[i];
        const float *box = boxes + b / kWide * (2 * size_t(dk) + 2) * kWide + b % kWide;
        const VI first = hn::Set(I(), bits_of(box[2 * dk * kWide]));
        uint32_t mask = 0;
        for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
            VF sum = hn::Zero(d);
            for (int e = 0; e < dk; ++e) {
                const VF q = hn::LoadU(d, tile + e * kWide + j);
                sum = hn::Add(sum, gap_square(hn::Set(d, box[e * kWide]), hn::Set(d, box[(dk + e) * kWide]), q, q));
            }
            const MI near = int_mask(hn::Le(sum, hn::LoadU(d, bounds + j)));
            const MI take = hn::And(near, hn::Gt(hn::BitCast(I(), hn::LoadU(U(), limits + j)), first));
            uint8_t bytes[8] = {};
            hn::StoreMaskBits(I(), take, bytes);
            mask |= (uint32_t(bytes[0]) | uint32_t(bytes[1]) << 8) << j;
        }
        mask &= active;
        nodes[count] = b;
        masks[count] = uint16_t(mask);
        count += mask != 0;
    }
    return count;
}

uint32_t exact_prune(const float *boxes, uint32_t *nodes, uint32_t n, int dk, const float *tile, const float *bounds,
                     const uint32_t *limits, uint32_t active, uint16_t *masks) {
#define ZETA_CALL(DK) return prune<DK>(boxes, nodes, n, dk, tile, bounds, limits, active, masks)
    ZETA_EXACT_DIM(ZETA_CALL)
#undef ZETA_CALL
}

void exact_near(const float *group, int dk, const float *q, float *distances) {
    const F d;
    for (size_t j = 0; j < kWide; j += hn::Lanes(d)) {
        VF sum = hn::Zero(d);
        for (int e = 0; e < dk; ++e) {
            const VF at = hn::Set(d, q[e]);
            sum = hn::Add(sum, gap_square(hn::LoadU(d, group + e * kWide + j),
                                          hn::LoadU(d, group + (dk + e) * kWide + j), at, at));
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
                sum = hn::Add(sum, hn::Mul(gap, gap));
            }
            const VI position = load_bits(block + dk * kWide + j);
            const MI take = hn::And(int_mask(hn::Le(sum, vbound)), hn::Lt(position, vlimit));
            hn::StoreU(hn::BitCast(U(), hn::Compress(position, take)), U(), ids + count);
            hn::StoreU(hn::Compress(sum, float_mask(take)), d, distances + count);
            count += uint32_t(hn::CountTrue(I(), take));
        }
    }
    return count;
}

uint32_t exact_scan(const float *blocks, const uint32_t *list, uint32_t n, int dk, const float *q, float bound,
                    uint32_t limit, uint32_t *ids, float *distances){
#define ZETA_CALL(DK) return scan<DK>(blocks, list, n, dk, q, bound, limit, ids, distances)
    ZETA_EXACT_DIM(ZETA_CALL)
#undef ZETA_CALL
}

HWY_INLINE uint32_t count_to(const float *distances, uint32_t padded, int32_t most) {
    const VI above = hn::Set(I(), most + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I())))
        count += uint32_t(hn::CountTrue(I(), hn::Lt(load_bits(distances + i), above)));
    return count;
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

void exact_cut(uint32_t *ids, float *distances, uint32_t n, uint32_t keep) {
    const uint32_t padded = (n + uint32_t(kWide) - 1) / kWide * kWide;
    for (uint32_t i = n; i < padded; ++i) {
        memcpy(distances + i, &kNone, sizeof kNone);
        ids[i] = 0;
    }
    VI most = hn::Zero(I()), fewest = hn::Set(I(), kNone);
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
        const VI v = load_bits(distances + i);
        most = hn::Max(most, hn::IfThenElseZero(hn::Ne(v, hn::Set(I(), kNone)), v));
        fewest = hn::Min(fewest, v);
    }
    int32_t lo = hn::GetLane(hn::MinOfLanes(I(), fewest)) - 1, hi = hn::GetLane(hn::MaxOfLanes(I(), most));
    uint32_t below = 0, within = n; // how many are at most lo, at most hi
    for (int round = 0; within > keep && hi - lo > 1; ++round) {
        int32_t mid = lo + (hi - lo) / 2;
        if (round % 3 != 2) { // as if the counts grew linearly; every third round halves the bits whatever the data
            const float from = lo < 0 ? 0.0f : float_of(lo);
            const float share = (float(keep - below) + 0.5f) / (float(within - below) + 0.5f);
            mid = bits_of(from + (float_of(hi) - from) * share);
        }
        mid = mid >= hi ? hi - 1 : mid <= lo ? lo + 1 : mid;
        const uint32_t count = count_to(distances, padded, mid);
        if (count >= keep)
            hi = mid, within = count;
        else
            lo = mid, below = count;
    }
    const bool ties = within > keep;
    const int32_t newest = ties ? int32_t(newest_of_ties(ids, distances, padded, hi, keep - below)) : 0;
    const VI vhi = hn::Set(I(), hi), before = hn::Set(I(), newest - 1);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
        const VF distance = hn::LoadU(F(), distances + i);
        const VI v = hn::BitCast(I(), distance), p = hn::BitCast(I(), hn::LoadU(U(), ids + i));
        const MI take = hn::Or(hn::Lt(v, vhi), hn::And(hn::Eq(v, vhi), hn::Gt(p, before)));
        hn::StoreU(hn::BitCast(U(), hn::Compress(p, take)), U(), ids + kept);
        hn::StoreU(hn::Compress(distance, float_mask(take)), F(), distances + kept);
        kept += uint32_t(hn::CountTrue(I(), take));
    }
}

void exact_order(const uint32_t *ids, const float *distances, uint32_t n, uint32_t *out_ids, float *out_distances) {
    HWY_ALIGN int32_t position[64 + kWide], rank[64 + kWide];
    const uint32_t padded = (n + uint32_t(kWide) - 1) / kWide * kWide;
    for (uint32_t i = 0; i < padded; ++i) position[i] = i < n ? int32_t(ids[i]) : kNone;
    for (uint32_t i = 0; i < padded; i += uint32_t(hn::Lanes(I()))) {
        const VI p = hn::LoadU(I(), position + i);
        VI smaller = hn::Zero(I()), more = smaller;
        uint32_t k = 0;
        for (; k + 1 < n; k += 2) { // a true lane is -1
            smaller = hn::Sub(smaller, hn::VecFromMask(I(), hn::Lt(hn::Set(I(), position[k]), p)));
            more = hn::Sub(more, hn::VecFromMask(I(), hn::Lt(hn::Set(I(), position[k + 1]), p)));
        }
        if (k < n) smaller = hn::Sub(smaller, hn::VecFromMask(I(), hn::Lt(hn::Set(I(), position[k]), p)));
        hn::StoreU(hn::Add(smaller, more), I(), rank + i);
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
