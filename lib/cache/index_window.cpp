// SPDX-License-Identifier: Apache-2.0
// The window of spec section 4 in the index: back from the query's place over half the window, then on from there.
// Nodes whose smallest position is not below the limit are passed over, so the cost is O(window + log n) on any input.
#include <algorithm>

#include "index.hpp"

namespace zeta::cache {
namespace {

// A place between two keys.
class Cursor {
public:
    Cursor(const Layout &layout, const Node *root, uint32_t limit)
        : layout_(layout), height_(root->height), limit_(limit), leaf_(root) {
        node_[height_] = root;
    }
    // Behind the keys of a word that is at most this.
    void seek(uint64_t word);
    // Back over `wanted` keys below the limit, or to the first. Returns over how many.
    uint32_t back(uint32_t wanted);
    // The next `most` keys below the limit, in order. Returns how many.
    uint32_t emit(const simd::Kernels &kernels, const float *q, uint32_t most, uint32_t *ids, float *distances) const;

private:
    bool previous_leaf();
    bool next_leaf();
    void enter(uint32_t h, uint32_t at);
    bool whole() const; // every key of the leaf is below the limit
    const uint32_t *range(uint32_t h, uint32_t i) const { return layout_.inner.position(node_[h], i); }

    const Layout &layout_;
    const uint32_t height_, limit_;
    const Node *node_[kMaxHeight + 1]; // inner nodes from the root down to height 1
    uint32_t at_[kMaxHeight + 1];      // and the child of each that the place is in
    const Node *leaf_;
    uint32_t key_ = 0; // of the leaf, behind the place
};

void Cursor::seek(uint64_t word) {
    for (uint32_t h = height_; h > 0; --h) {
        enter(h, layout_.child_of(node_[h], word));
        layout_.fetch(h == 1 ? leaf_ : node_[h - 1], h == 1);
    }
    key_ = rank_of(layout_.leaf.words(leaf_), leaf_->count, word);
}

bool Cursor::whole() const {
    return height_ > 0 && range(1, at_[1])[kWide] < limit_;
}

// Goes to child `at` of node_[h].
void Cursor::enter(uint32_t h, uint32_t at) {
    at_[h] = at;
    const Node *child = layout_.inner.children(node_[h])[at];
    if (h == 1)
        leaf_ = child;
    else
        node_[h - 1] = child;
}

// To the end of the leaf before that has a key below the limit; false: there is none, and the place is as it was.
bool Cursor::previous_leaf() {
    for (uint32_t up = 1; up <= height_; ++up) {
        uint32_t i = at_[up];
        while (i > 0 && range(up, i - 1)[0] >= limit_) --i;
        if (i == 0) continue;
        enter(up, i - 1);
        for (uint32_t h = up - 1; h > 0; --h) { // some child has one
            i = node_[h]->count - 1u;
            while (range(h, i)[0] >= limit_) --i;
            enter(h, i);
        }
        key_ = leaf_->count;
        return true;
    }
    return false;
}

// Likewise to the beginning of the next.
bool Cursor::next_leaf() {
    for (uint32_t up = 1; up <= height_; ++up) {
        uint32_t i = at_[up] + 1;
        while (i < node_[up]->count && range(up, i)[0] >= limit_) ++i;
        if (i == node_[up]->count) continue;
        enter(up, i);
        for (uint32_t h = up - 1; h > 0; --h) {
            i = 0;
            while (range(h, i)[0] >= limit_) ++i;
            enter(h, i);
        }
        key_ = 0;
        return true;
    }
    return false;
}

uint32_t Cursor::back(uint32_t wanted) {
    uint32_t left = wanted;
    for (;;) {
        if (whole()) {
            const uint32_t n = std::min(key_, left);
            key_ -= n;
            left -= n;
        } else {
            while (key_ > 0 && left > 0) left -= *layout_.leaf.position(leaf_, --key_) < limit_;
        }
        if (left == 0 || !previous_leaf()) return wanted - left;
        cpu::fetch(layout_.leaf.column(leaf_, (key_ > left ? key_ - left : 0) / kWide * kWide),
                   std::min<size_t>(std::min(key_, left) + kWide, kLeafKeys) * layout_.leaf.rows * sizeof(float));
    }
}

uint32_t Cursor::emit(const simd::Kernels &kernels, const float *q, uint32_t most, uint32_t *ids,
                      float *distances) const {
    Cursor here = *this;
    const Form &form = layout_.leaf;
    simd::Level block{};
    block.stride = kWide;
    uint32_t n = 0;
    for (;;) {
        const uint32_t count = here.leaf_->count;
        for (uint32_t i = here.key_; i < count && n < most; i = (i / kWide + 1) * kWide) {
            const uint32_t first = i / kWide * kWide;
            block.count = std::min(kWide, count - first);
            block.position = form.position(here.leaf_, first);
            block.coordinate = form.column(here.leaf_, first);
            n += kernels.select_emit(block, i - first, block.count, limit_, most - n, q, layout_.dk, ids + n,
                                     distances + n);
        }
        if (n == most || !here.next_leaf()) return n;
        layout_.fetch_columns(here.leaf_, most - n);
    }
}

} // namespace

uint32_t Index::window(const simd::Kernels &kernels, uint64_t code, uint32_t limit, uint32_t window, const float *q,
                       uint32_t *ids, float *distances) const {
    if (root_ == nullptr || window == 0) return 0;
    Cursor from(nodes_.layout, root_, std::min(limit, kUnused));
    from.seek(code << 24 | 0xffffff);
    const uint32_t below = from.back(window / 2);
    const uint32_t found = from.emit(kernels, q, window, ids, distances);
    if (found == window || below < window / 2) return found;
    // Fewer above than hoped: the rest comes from below, if there can be more than were taken already.
    if (from.back(window - found) == 0) return found;
    return from.emit(kernels, q, window, ids, distances);
}

} // namespace zeta::cache
