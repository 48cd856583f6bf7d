// SPDX-License-Identifier: Apache-2.0
// Exact selection of one query by itself: boxes are ordered by (smallest distance, newest position) and left out
// against the K-th key known, so that ties (many equal keys) end the search as well. With few coordinates the nearest
// box comes first; with many, one pass over all blocks with a bound, never more than about a plain scan.
#include <cstring>

#include "exact_search.hpp"

namespace zeta::cpu {

namespace {

// Orders keys as the spec does: by distance, of equal ones the newer first.
uint64_t rank_of(float distance, uint32_t position) {
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    return uint64_t(bits) << 32 | uint32_t(~position);
}

uint32_t position_at(const float *p) {
    uint32_t position;
    memcpy(&position, p, sizeof position);
    return position;
}

struct Step {
    uint64_t rank;
    uint32_t node;
    int height; // of the group the node opens; -1: a block
};

} // namespace

bool ExactSearch::scan(const uint32_t *blocks, uint32_t n, uint32_t patience) {
    for (uint32_t i = 0; i < n; i += kExactWide) {
        const uint32_t count = std::min(kExactWide, n - i);
        if (found_ + count * kExactWide > work_.room) {
            if (patience-- == 0) return false;
            cut();
        }
        found_ += kernels_.exact_scan(level_.keys, blocks + i, count, dk_, q_, bound_, limit_, work_.ids + found_,
                                      work_.distances + found_);
    }
    return true;
}

// Keeps the K nearest so far; the farthest of them is a bound from now on.
void ExactSearch::cut() {
    if (found_ > neighbours_) {
        kernels_.exact_cut(work_.ids, work_.distances, found_, neighbours_);
        found_ = neighbours_;
    }
    if (found_ == neighbours_) bound_ = *std::max_element(work_.distances, work_.distances + found_);
}

// cut(), and the same bound with the position that breaks its ties.
void ExactSearch::settle() {
    cut();
    if (found_ < neighbours_) return;
    uint64_t last = 0;
    for (uint32_t i = 0; i < found_; ++i) last = std::max(last, rank_of(work_.distances[i], work_.ids[i]));
    last_ = last;
}

void ExactSearch::search_alone() {
    last_ = rank_of(bound_, 0);
    if (dk_ > kTreeDk)
        scan_all();
    else
        climb();
}

void ExactSearch::climb() {
    Step stack[kExactHeights * kExactWide + 1];
    int top = 0;
    uint32_t enough = neighbours_; // keys found before the next cut
    stack[top++] = {0, 0, level_.heights - 1};
    while (top > 0) {
        const Step step = stack[--top];
        if (step.rank > last_) continue;
        if (step.height < 0) {
            scan(&step.node, 1);
            if (found_ < enough) continue;
            settle();
            enough = neighbours_ + 64;
            continue;
        }
        const float *boxes = group(step.height, step.node);
        float distances[kExactWide];
        kernels_.exact_near(boxes, dk_, q_, distances);
        const int bottom = top;
        for (uint32_t j = 0; j < kExactWide; ++j) {
            if (!(distances[j] <= bound_) || position_at(boxes + 2 * dk_ * kExactWide + j) >= limit_) continue;
            const uint32_t newest = std::min(position_at(boxes + (2 * dk_ + 1) * kExactWide + j), limit_ - 1);
            const Step child = {rank_of(distances[j], newest), step.node * kExactWide + j, step.height - 1};
            if (child.rank > last_) continue;
            int at = top++; // the nearest on top
            for (; at > bottom && stack[at - 1].rank < child.rank; --at) stack[at] = stack[at - 1];
            stack[at] = child;
        }
    }
}

// Which of the 16 boxes of a group may hold one of the K nearest; one bit each.
uint32_t ExactSearch::hopeful(const float *boxes) const {
    float distances[kExactWide];
    kernels_.exact_near(boxes, dk_, q_, distances);
    uint32_t mask = 0;
    for (uint32_t j = 0; j < kExactWide; ++j) {
        if (!(distances[j] <= bound_) || position_at(boxes + 2 * dk_ * kExactWide + j) >= limit_) continue;
        const uint32_t newest = std::min(position_at(boxes + (2 * dk_ + 1) * kExactWide + j), limit_ - 1);
        if (rank_of(distances[j], newest) <= last_) mask |= 1u << j;
    }
    return mask;
}

// From the last block to the first: of equal keys the newest come last on the curve.
void ExactSearch::scan_all() {
    const uint32_t groups = (level_.blocks() + kExactWide - 1) / kExactWide;
    for (uint32_t over = (groups + kExactWide - 1) / kExactWide; over-- > 0;) {
        const uint32_t above = level_.heights > 1 ? hopeful(group(1, over)) : ~0u;
        for (uint32_t g = std::min(groups, (over + 1) * kExactWide); g-- > over * kExactWide;) {
            if ((above >> g % kExactWide & 1) == 0) continue;
            const uint32_t mask = hopeful(group(0, g));
            uint32_t list[kExactWide], n = 0;
            for (uint32_t j = kExactWide; j-- > 0;) {
                list[n] = g * kExactWide + j;
                n += mask >> j & 1;
            }
            scan(list, n);
            if (found_ >= neighbours_ + 128) settle();
        }
    }
}

uint32_t ExactSearch::nearest_block(const float *q, uint32_t limit) const {
    uint32_t node = 0;
    for (int h = level_.heights - 1; h >= 0; --h) {
        const float *boxes = group(h, node);
        float distances[kExactWide];
        kernels_.exact_near(boxes, dk_, q, distances);
        uint32_t best = kExactWide;
        for (uint32_t j = 0; j < kExactWide; ++j) {
            if (position_at(boxes + 2 * dk_ * kExactWide + j) >= limit) continue;
            if (best == kExactWide || distances[j] < distances[best]) best = j;
        }
        node = node * kExactWide + best;
    }
    return node;
}

} // namespace zeta::cpu
