// SPDX-License-Identifier: Apache-2.0
// Building what exact selection searches (spec section 4, `exact`): cells along a Hilbert curve, blocks of 16 keys
// filtered by position, and boxes over them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "exact_build.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "exact-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

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

} // namespace

void exact_build_fill(Kernels &kernels) {
    kernels.exact_cells = exact_cells;
    kernels.exact_filter = exact_filter;
    kernels.exact_boxes = exact_boxes;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(exact_build)
} // namespace zeta::simd
#endif
