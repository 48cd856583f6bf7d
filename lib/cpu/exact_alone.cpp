// SPDX-License-Identifier: Apache-2.0
// Exact selection of one query by itself: boxes are ordered by (smallest distance, newest position) and left out
// against the K-th key known, so that ties (many equal keys) end the search as well. With few coordinates the nearest
// box comes first; with many, one pass over all blocks with a bound, never more than about a plain scan.
#include <cstring>

#include "exact_search.hpp"

namespace zeta::cpu {

namespace {

uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// Orders keys as the spec does: by distance, of equal ones the newer first.
uint64_t rank_of(float distance, uint32_t position) {
    return uint64_t(bits_of(distance)) << 32 | uint32_t(~position);
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
    while (n > 0) {
        if (at_.found + kExactWide * std::min(kExactWide, n) > work_.room) {
            if (patience-- == 0) return false;
            cut();
        }
        const uint32_t count = std::min(n, (work_.room - at_.found) / kExactWide);
        at_.found += kernels_.exact_scan(level_.keys, blocks, count, dk_, at_.q, at_.bound, at_.limit,
                                         at_.ids + at_.found, at_.distances + at_.found);
        blocks += count;
        n -= count;
    }
    return true;
}

// Keeps the K nearest so far; the farthest of K is a bound from now on. Returns its distance.
float ExactSearch::cut() {
    float most = 0;
    if (at_.found > neighbours_) {
        most = kernels_.exact_cut(at_.ids, at_.distances, at_.found, neighbours_, at_.bound);
        at_.found = neighbours_;
    } else { // distances are not negative: their bits are in the same order
        uint32_t bits = 0;
        for (uint32_t i = 0; i < at_.found; ++i) bits = std::max(bits, bits_of(at_.distances[i]));
        memcpy(&most, &bits, sizeof most);
    }
    if (at_.found == neighbours_) at_.bound = most;
    return most;
}

// cut(), and the same bound with the position that breaks its ties.
void ExactSearch::settle() {
    cut();
    if (at_.found < neighbours_) return;
    uint64_t last = 0;
    for (uint32_t i = 0; i < at_.found; ++i) last = std::max(last, rank_of(at_.distances[i], at_.ids[i]));
    at_.last = last;
}

bool ExactSearch::climb(uint32_t most) {
    at_.last = rank_of(at_.bound, 0);
    Step stack[kExactHeights * kExactWide + 1];
    int top = 0;
    uint32_t enough = neighbours_; // keys found before the next cut
    stack[top++] = {0, 0, level_.heights - 1};
    while (top > 0) {
        const Step step = stack[--top];
        if (step.rank > at_.last) continue;
        if (step.height < 0) {
            if (most-- == 0) return false;
            scan(&step.node, 1);
            if (at_.found < enough) continue;
            settle();
            enough = neighbours_ + 64;
            continue;
        }
        const float *boxes = group(step.height, step.node);
        float distances[kExactWide];
        kernels_.exact_near(boxes, dk_, at_.q, distances);
        const int bottom = top;
        for (uint32_t j = 0; j < kExactWide; ++j) {
            if (!(distances[j] <= at_.bound) || position_at(boxes + 2 * dk_ * kExactWide + j) >= at_.limit) continue;
            const uint32_t newest = std::min(position_at(boxes + (2 * dk_ + 1) * kExactWide + j), at_.limit - 1);
            const Step child = {rank_of(distances[j], newest), step.node * kExactWide + j, step.height - 1};
            if (child.rank > at_.last) continue;
            int at = top++; // the nearest on top
            for (; at > bottom && stack[at - 1].rank < child.rank; --at) stack[at] = stack[at - 1];
            stack[at] = child;
        }
    }
    return true;
}

// Which of the 16 boxes of a group may hold one of the K nearest; one bit each.
uint32_t ExactSearch::hopeful(const float *boxes) const {
    float distances[kExactWide];
    kernels_.exact_near(boxes, dk_, at_.q, distances);
    uint32_t mask = 0;
    for (uint32_t j = 0; j < kExactWide; ++j) {
        if (!(distances[j] <= at_.bound) || position_at(boxes + 2 * dk_ * kExactWide + j) >= at_.limit) continue;
        const uint32_t newest = std::min(position_at(boxes + (2 * dk_ + 1) * kExactWide + j), at_.limit - 1);
        if (rank_of(distances[j], newest) <= at_.last) mask |= 1u << j;
    }
    return mask;
}

// A group of blocks for all searches, then the next: keys of many coordinates are read from the cache once for all.
// From the last block to the first: of equal keys the newest come last on the curve.
void ExactSearch::scan_all(ExactProgress *searches, uint32_t count) {
    const uint32_t groups = (level_.blocks() + kExactWide - 1) / kExactWide;
    for (uint32_t i = 0; i < count; ++i) searches[i].last = rank_of(searches[i].bound, 0);
    for (uint32_t over = (groups + kExactWide - 1) / kExactWide; over-- > 0;) {
        uint32_t above[kExactWide];
        for (uint32_t i = 0; i < count; ++i) {
            at_ = searches[i];
            above[i] = level_.heights > 1 ? hopeful(group(1, over)) : ~0u;
        }
        for (uint32_t g = std::min(groups, (over + 1) * kExactWide); g-- > over * kExactWide;) {
            for (uint32_t i = 0; i < count; ++i) {
                if ((above[i] >> g % kExactWide & 1) == 0) continue;
                at_ = searches[i];
                scan_group(g);
                searches[i] = at_;
            }
        }
    }
}

void ExactSearch::scan_group(uint32_t g) {
    const uint32_t mask = hopeful(group(0, g));
    uint32_t list[kExactWide], n = 0;
    for (uint32_t j = kExactWide; j-- > 0;) {
        list[n] = g * kExactWide + j;
        n += mask >> j & 1;
    }
    scan(list, n);
    if (at_.found >= neighbours_ + 128) settle();
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
