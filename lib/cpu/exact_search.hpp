// SPDX-License-Identifier: Apache-2.0
// The search of one query in one level: keys within a bound pile up, and are cut to the K nearest whenever they get too
// many, which lowers the bound. Internal to exact selection (exact.cpp, exact_alone.cpp).
#pragma once

#include <algorithm>
#include <limits>

#include "exact.hpp"

namespace zeta::cpu {

constexpr int kTreeDk = 4; // more coordinates: boxes tell little apart, and a query alone scans rather than climbs

class ExactSearch {
public:
    ExactSearch(const ExactKeys &keys, const ExactLevel &level, uint32_t neighbours, ExactWork &work)
        : keys_(keys), level_(level), kernels_(keys.kernels()), dk_(keys.dk()), neighbours_(neighbours), work_(work) {}

protected:
    const float *query(uint32_t i) const { return work_.query + size_t(i) * dk_; }

    // Begins a search for keys of q [dk] with position < limit and distance <= bound.
    void start(const float *q, uint32_t limit, float bound) {
        q_ = q;
        limit_ = limit;
        bound_ = bound;
        found_ = 0;
    }
    // False: gave up after `patience` cuts.
    bool scan(const uint32_t *blocks, uint32_t n, uint32_t patience = ~0u);
    uint32_t found() const { return found_; }
    // The K nearest of those found are left in work.ids, work.distances. Returns how many.
    uint32_t finish() {
        if (found_ > neighbours_) cut();
        return found_;
    }
    // Every block that can hold one of the K nearest, whatever the geometry and the ties.
    void search_alone();
    // The block whose box is nearest to q, going down the tree by the nearest box.
    uint32_t nearest_block(const float *q, uint32_t limit) const;

    const ExactKeys &keys_;
    const ExactLevel &level_;
    const simd::Kernels &kernels_;
    const int dk_;
    const uint32_t neighbours_;
    ExactWork &work_;

private:
    void cut();
    void climb();
    void scan_all();
    void settle();
    uint32_t hopeful(const float *boxes) const;
    const float *group(int height, uint32_t i) const {
        return level_.boxes[height] + size_t(i) * (2 * dk_ + 2) * kExactWide;
    }

    const float *q_ = nullptr;
    uint32_t limit_ = 0, found_ = 0;
    float bound_ = 0;
    uint64_t last_ = ~uint64_t{0}; // (distance, position) that the K-th nearest is known not to exceed
};

} // namespace zeta::cpu
