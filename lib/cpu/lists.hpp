// SPDX-License-Identifier: Apache-2.0
// A tile of queries and the neighbours each has selected: what selection hands to attention, forward and backward.
#pragma once

#include <cstdint>

#include "../../simd/kernels.hpp"
#include "../scratch.hpp"

namespace zeta::cpu {

constexpr uint32_t kTile = 16; // queries that lie side by side on the curve and are worked on together

struct Lists {
    uint32_t queries = 0;       // in use, <= kTile
    uint32_t query[kTile];      // row of q in its sequence
    uint32_t count[kTile];      // neighbours of each
    uint32_t *ids = nullptr;    // [kTile, stride] positions of keys in their sequence
    float *distances = nullptr; // [kTile, stride] squared
    size_t stride = 0;          // >= K + kListPad
    // What forward saves of a query so that backward selects the same again, faster: two words.
    uint32_t hint_a[kTile], hint_b[kTile];

    void take(Scratch &scratch, uint32_t neighbours) {
        stride = neighbours + 2 * simd::kListPad;
        ids = scratch.take<uint32_t>(kTile * stride);
        distances = scratch.take<float>(kTile * stride);
    }
    uint32_t *ids_of(uint32_t i) const { return ids + i * stride; }
    float *distances_of(uint32_t i) const { return distances + i * stride; }
};

} // namespace zeta::cpu
