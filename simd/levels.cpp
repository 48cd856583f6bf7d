// SPDX-License-Identifier: Apache-2.0
// Prefix levels: a level holds the sorted keys whose position lies below a cap. One linear pass filters a level into
// the next smaller one, another takes the minimum position of every 64 keys, from which the tree of select.cpp is
// built. Positions and coordinates alone are moved, never values.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "levels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "masks-inl.hpp"
#include "targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// A level: position [count], coordinate [dk, stride].
struct Source {
    const uint32_t *position;
    const float *coordinate;
    size_t stride;
};
struct Target {
    uint32_t *position;
    float *coordinate;
    size_t stride;
};

// Appends the keys of source [first, first + 64) below `cap` at out[n...]: those of `bits`, which differ from the
// comparison only past the end of the source. A vector is stored whole, so up to 64 entries after the last key kept may
// be written: the padding of a level.
template <int kDk>
HWY_INLINE uint32_t filter_block(const Source &in, size_t first, int dk, uint32_t cap, uint64_t bits, const Target &out,
                                 uint32_t n) {
    const U32 du;
    const F32 df;
    const size_t lanes = hn::Lanes(du);
    const auto bound = hn::Set(du, cap);
    for (size_t i = 0; i < kBlock; i += lanes) {
        const uint64_t here = bits >> i & low_bits(lanes);
        if (here == 0) continue;
        const auto position = hn::LoadU(du, in.position + first + i);
        const auto mask = hn::Lt(position, bound);
        const auto mask_f = hn::RebindMask(df, mask);
        hn::StoreU(squeeze(du, position, mask), du, out.position + n);
        for (size_t e = 0; e < size_t(kDk != 0 ? kDk : dk); ++e) {
            const auto x = hn::LoadU(df, in.coordinate + e * in.stride + first + i);
            hn::StoreU(squeeze(df, x, mask_f), df, out.coordinate + e * out.stride + n);
        }
        n += uint32_t(hwy::PopCount(here));
    }
    return n;
}

template <int kDk>
uint32_t filter_level(const Source &in, uint32_t count, int dk, uint32_t cap, const Target &out, uint64_t *kept,
                      uint32_t *before) {
    uint32_t n = 0;
    for (size_t first = 0; first < count; first += kBlock) {
        const uint64_t bits = bits_below(in.position + first, cap) & low_bits(count - first);
        kept[first / kBlock] = bits;
        before[first / kBlock] = n;
        if (bits != 0) n = filter_block<kDk>(in, first, dk, cap, bits, out, n);
    }
    return n;
}

uint32_t levels_filter(const uint32_t *position, const float *coordinate, size_t stride, uint32_t count, int dk,
                       uint32_t cap, uint32_t *out_position, float *out_coordinate, size_t out_stride, uint64_t *kept,
                       uint32_t *before) {
    const auto filter = dk == 1   ? filter_level<1>
                        : dk == 2 ? filter_level<2>
                        : dk == 3 ? filter_level<3>
                        : dk == 4 ? filter_level<4>
                                  : filter_level<0>;
    return filter({position, coordinate, stride}, count, dk, cap, {out_position, out_coordinate, out_stride}, kept,
                  before);
}

void levels_minimum(const uint32_t *source, uint32_t count, uint32_t *minimum) {
    const U32 d;
    const size_t lanes = hn::Lanes(d);
    for (size_t first = 0; first < count; first += kBlock) {
        auto least = hn::LoadU(d, source + first);
        for (size_t i = lanes; i < kBlock; i += lanes) least = hn::Min(least, hn::LoadU(d, source + first + i));
        minimum[first / kBlock] = hn::GetLane(hn::MinOfLanes(d, least));
    }
}

} // namespace

void levels_fill(Kernels &kernels) {
    kernels.levels_filter = levels_filter;
    kernels.levels_minimum = levels_minimum;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(levels)
} // namespace zeta::simd
#endif
