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

// The first lanes of v to p, whole if that stays before the end.
template <class D, class T> HWY_INLINE void store_before(D d, hn::Vec<D> v, T *p, size_t left) {
    if (HWY_LIKELY(left >= hn::Lanes(d))) {
        hn::StoreU(v, d, p);
    } else {
        StoreTail(v, d, p, left);
    }
}

// Appends the keys of source [first, first + 64) below `cap` at out[n...]: those of `bits`, which differ from the
// comparison only past the end of the source. Vectors are stored whole, over what is appended next, but not past `end`.
template <int kDk>
HWY_INLINE uint32_t filter_block(const Source &in, size_t first, int dk, uint32_t cap, uint64_t bits, const Target &out,
                                 uint32_t n, uint32_t end) {
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
        store_before(du, squeeze(du, position, mask), out.position + n, end - n);
        for (size_t e = 0; e < size_t(kDk != 0 ? kDk : dk); ++e) {
            const auto x = hn::LoadU(df, in.coordinate + e * in.stride + first + i);
            store_before(df, squeeze(df, x, mask_f), out.coordinate + e * out.stride + n, end - n);
        }
        n += uint32_t(hwy::PopCount(here));
    }
    return n;
}

template <int kDk>
void filter_level(const Source &in, uint32_t begin, uint32_t end, int dk, uint32_t cap, const Target &out, uint32_t n,
                  uint32_t out_end, uint64_t *kept, uint32_t *before) {
    for (size_t first = begin; first < end; first += kBlock) {
        const uint64_t bits = bits_below(in.position + first, cap) & low_bits(end - first);
        kept[first / kBlock] = bits;
        before[first / kBlock] = n;
        if (bits != 0) n = filter_block<kDk>(in, first, dk, cap, bits, out, n, out_end);
    }
}

void levels_filter(const uint32_t *position, const float *coordinate, size_t stride, uint32_t begin, uint32_t end,
                   int dk, uint32_t cap, uint32_t *out_position, float *out_coordinate, size_t out_stride, uint32_t n,
                   uint32_t out_end, uint64_t *kept, uint32_t *before) {
    const auto filter = dk == 1   ? filter_level<1>
                        : dk == 2 ? filter_level<2>
                        : dk == 3 ? filter_level<3>
                        : dk == 4 ? filter_level<4>
                                  : filter_level<0>;
    filter({position, coordinate, stride}, begin, end, dk, cap, {out_position, out_coordinate, out_stride}, n, out_end,
           kept, before);
}

uint32_t levels_count(const uint32_t *position, uint32_t n, uint32_t cap) {
    const U32 d;
    const size_t lanes = hn::Lanes(d);
    const auto bound = hn::Set(d, cap);
    uint32_t count = 0, i = 0;
    for (; i + lanes <= n; i += uint32_t(lanes))
        count += uint32_t(hn::CountTrue(d, hn::Lt(hn::LoadU(d, position + i), bound)));
    for (; i < n; ++i) count += position[i] < cap;
    return count;
}

// A query goes down where its row is below `threshold`, and takes its rank there.
void levels_descend(const uint32_t *queries, const uint32_t *ranks, uint32_t n, uint32_t threshold,
                    const uint64_t *kept, const uint32_t *before, uint32_t *stay_queries, uint32_t *stay_ranks,
                    uint32_t *down_queries, uint32_t *down_ranks) {
    for (uint32_t i = 0; i < n; ++i) { // no branch on the data, nothing stored past what is kept
        const uint32_t query = queries[i], rank = ranks[i];
        const bool down = query < threshold;
        const uint64_t bits = kept[rank / kBlock] & low_bits(rank % kBlock);
        const uint32_t below = before[rank / kBlock] + count_set(bits);
        *(down ? down_queries : stay_queries) = query;
        *(down ? down_ranks : stay_ranks) = down ? below : rank;
        down_queries += down;
        down_ranks += down;
        stay_queries += !down;
        stay_ranks += !down;
    }
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
    kernels.levels_count = levels_count;
    kernels.levels_descend = levels_descend;
    kernels.levels_minimum = levels_minimum;
}

} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(levels)
} // namespace zeta::simd
#endif
