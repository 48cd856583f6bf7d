// SPDX-License-Identifier: Apache-2.0
// Do two strided views share memory (spec section 1: outputs overlap an input or each other if they share an element)?
// Views of one packed buffer that interleave do not, so comparing address ranges is not enough: the question is solved
// as a bounded linear Diophantine one, exactly. Only views whose strides have nothing to do with each other can exhaust
// the search (kMaxBranches in overlap.cpp); they are then taken as overlapping.
#pragma once

#include <cstddef>
#include <cstdint>

#include "zeta/types.h"

namespace zeta::api {

// The bytes of a view: runs of `run` bytes at base + sum index[i] stride[i], 0 <= index[i] < extent[i].
struct Footprint {
    const char *name = "";
    bool written = false;
    uintptr_t base = 0;
    int64_t run = 0; // bytes; 0: the view has no element
    int axes = 0;
    int64_t extent[ZETA_MAX_RANK - 1] = {};
    int64_t stride[ZETA_MAX_RANK - 1] = {}; // bytes, >= 0
};

// Of a tensor that check_tensor() has accepted.
Footprint footprint(const char *name, const zeta_tensor &tensor, bool written);
// Of plain memory.
Footprint footprint(const char *name, const void *data, size_t bytes, bool written);

// Whether the two share a byte.
bool overlap(const Footprint &a, const Footprint &b);

// Whether two different indices name the same byte.
bool overlaps_itself(const Footprint &a);

// Collects a call's memory and refuses, with ZETA_ERROR_OVERLAP, what is written and shared.
class Overlaps {
public:
    void input(const char *name, const zeta_tensor *tensor); // NULL: not given
    void output(const char *name, const zeta_tensor *tensor);
    void input(const char *name, const void *data, size_t bytes);
    void output(const char *name, const void *data, size_t bytes);

private:
    static constexpr int kMaxFootprints = 24;
    void add(const Footprint &added);

    Footprint footprints_[kMaxFootprints];
    int count_ = 0;
};

} // namespace zeta::api
