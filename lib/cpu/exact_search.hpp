// SPDX-License-Identifier: Apache-2.0
// The search of one query in one level: keys within a bound pile up, and are cut to the K nearest whenever they get too
// many, which lowers the bound. Internal to exact selection (exact.cpp, exact_alone.cpp).
#pragma once

#include <algorithm>
#include <limits>

#include "exact.hpp"

namespace zeta::cpu {

struct ExactProgress {
    const float *q = nullptr; // [dk]
    uint32_t limit = 0, found = 0;
    float bound = 0;
    uint64_t last = 0;       // (distance, position) that the K-th nearest is known not to exceed
    uint32_t *ids = nullptr; // [found]
    float *distances = nullptr;
};

class ExactSearch {
public:
    ExactSearch(const ExactKeys &keys, const ExactLevel &level, uint32_t neighbours, ExactWork &work)
        : keys_(keys), level_(level), kernels_(keys.kernels()), dk_(keys.dk()), neighbours_(neighbours), work_(work) {}

protected:
    const float *query(uint32_t i) const { return work_.query + size_t(i) * dk_; }

    // Begins a search for keys of q [dk] with position < limit and distance <= bound. Searches in progress together
    // have slots of their own.
    void start(const float *q, uint32_t limit, float bound, uint32_t slot = 0) {
        at_ = {
            q, limit, 0, bound, ~uint64_t{0}, work_.ids + slot * work_.slot(), work_.distances + slot * work_.slot()};
    }
    // False: gave up after `patience` cuts.
    bool scan(const uint32_t *blocks, uint32_t n, uint32_t patience = ~0u);
    uint32_t found() const { return at_.found; }
    // Leaves the K nearest of those found. Returns how many, and the largest distance.
    uint32_t finish(float *most) {
        *most = cut();
        return at_.found;
    }
    // Every block that can hold one of the K nearest, whatever the geometry and the ties: the search that was started,
    // or at most 16 together. climb() is false if it left off because they are more than `most`; at_.bound holds then.
    bool climb(uint32_t most);
    void scan_all(ExactProgress *searches, uint32_t count);
    // The block whose box is nearest to q, going down the tree by the nearest box.
    uint32_t nearest_block(const float *q, uint32_t limit) const;

    const ExactKeys &keys_;
    const ExactLevel &level_;
    const simd::Kernels &kernels_;
    const int dk_;
    const uint32_t neighbours_;
    ExactWork &work_;
    ExactProgress at_; // of the search that goes on

private:
    float cut();
    void scan_group(uint32_t g);
    void settle();
    uint32_t hopeful(const float *boxes) const;
    const float *group(int height, uint32_t i) const {
        return level_.boxes[height] + size_t(i) * (2 * dk_ + 2) * kExactWide;
    }
};

} // namespace zeta::cpu
