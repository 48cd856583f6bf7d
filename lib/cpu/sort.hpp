// SPDX-License-Identifier: Apache-2.0
// Codes of rows and their sort: words code << 24 | position, unique, so the order is total (spec section 2).
#pragma once

#include "unit.hpp"

namespace zeta::cpu {

// The grid of one key head, resolved to one axis per coordinate.
struct Axes {
    simd::GridAxis axis[ZETA_MAX_DK];
    int bits;
    bool range;
};
Axes axes_of(const zeta_grid &grid, int64_t key_head, int dk);

// words[i] = code of row i << 24 | (first + i), for rows x [n, dk].
void encode(const Executor &executor, const Axes &axes, const float *x, size_t n, int dk, uint64_t first,
            uint64_t *words);

// Sorts n words; temporary has n words too and is used only above one thread.
void sort(const Executor &executor, uint64_t *words, uint64_t *temporary, size_t n);

} // namespace zeta::cpu
