// SPDX-License-Identifier: Apache-2.0
// The K nearest keys (spec section 4, `exact`) of the index: from the leaf of the query's code outward, nearest box
// first. Boxes are ordered by (smallest distance, newest position) and left out against the K-th key known, so that
// ties (many equal keys) end the search as well. Keys infinitely far away, or with a NaN, come last, the newest first.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "index.hpp"

namespace zeta::cache {
namespace {

constexpr float kFarthest = std::numeric_limits<float>::max();
constexpr uint32_t kMore = 32;             // keys found beyond K before they are cut to K
constexpr uint32_t kOrder = 64;            // keys that exact_order sorts
constexpr uint32_t kSpare = 32;            // places behind a list that kernels may write
constexpr uint32_t kEach[] = {0, 1, 2, 3}; // blocks of a node
static_assert(kLeafKeys <= 4 * kWide && kChildren <= 4 * kWide, "kEach");

uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

// Orders keys as the spec does: by distance, of equal ones the newer first.
uint64_t rank_of(float distance, uint32_t position) {
    return uint64_t(bits_of(distance)) << 32 | uint32_t(~position);
}

uint32_t room_of(uint32_t neighbours) {
    return neighbours + kMore + kLeafKeys + kSpare;
}

class Nearest {
public:
    // ids and distances: room_of(wanted), for what is found, in no order.
    Nearest(const simd::Kernels &kernels, const Layout &layout, uint32_t limit, const float *q, uint32_t *ids,
            float *distances)
        : kernels_(kernels), layout_(layout), limit_(limit), q_(q), ids_(ids), distances_(distances) {
        std::copy_n(q, layout.dk, box_);
        std::copy_n(q, layout.dk, box_ + layout.dk);
    }

    // The `wanted` nearest of finite distance. Returns how many there are, at most `wanted`.
    uint32_t near(const Node *root, uint64_t word, uint32_t wanted);
    // The `wanted` newest of the others; the lists begin behind the first `skip` entries now.
    uint32_t far(const Node *root, uint32_t skip, uint32_t wanted);

private:
    struct Step {
        uint64_t rank;
        const Node *node;
    };
    void open(const Node *node, const Node *except);
    void search();
    void scan(const Node *leaf);
    void scan_far(const Node *leaf);
    void settle();

    const simd::Kernels &kernels_;
    const Layout &layout_;
    const uint32_t limit_;
    const float *const q_;
    float box_[2 * 32]; // around q
    uint32_t *ids_;
    float *distances_;
    bool far_ = false;
    uint32_t wanted_ = 0, found_ = 0, enough_ = 0;
    float bound_ = kFarthest;
    uint64_t last_ = 0; // (distance, position) that the last one wanted is known not to exceed
    uint32_t top_ = 0;
    Step stack_[kMaxHeight * kChildren];
};

// Puts the children of a node that may hold one of the nearest on the stack, the nearest on top.
void Nearest::open(const Node *node, const Node *except) {
    const Form &inner = layout_.inner;
    const uint32_t bottom = top_;
    uint32_t near[kChildren + kWide], count = node->count;
    float distances[kChildren] = {};
    if (far_) {
        std::iota(near, near + count, 0u);
    } else {
        const float *boxes = inner.column(node, 0);
        count = kernels_.exact_open(boxes, kEach, (count + kWide - 1) / kWide, layout_.dk, box_, bound_, limit_, near);
        if (count == 0) return;
        for (uint32_t i = near[0] / kWide * kWide; i <= near[count - 1]; i += kWide)
            kernels_.exact_near(inner.column(node, i), layout_.dk, q_, distances + i);
    }
    for (uint32_t n = 0; n < count; ++n) {
        const uint32_t i = near[n], *range = inner.position(node, i);
        if (i >= node->count || !(distances[i] <= bound_) || range[0] >= limit_) continue;
        const Step child{rank_of(distances[i], std::min(range[kWide], limit_ - 1)), inner.children(node)[i]};
        if (child.rank > last_ || child.node == except) continue;
        uint32_t at = top_++;
        for (; at > bottom && stack_[at - 1].rank < child.rank; --at) stack_[at] = stack_[at - 1];
        stack_[at] = child;
    }
    if (node->height > 1) return;
    constexpr uint32_t kAhead = 8; // leaves
    for (uint32_t i = top_; i > bottom && i + kAhead > top_; --i) layout_.fetch_columns(stack_[i - 1].node, kLeafKeys);
}

void Nearest::search() {
    while (top_ > 0) {
        const Step step = stack_[--top_];
        if (step.rank > last_) continue;
        if (step.node->height > 0)
            open(step.node, nullptr);
        else if (far_)
            scan_far(step.node);
        else
            scan(step.node);
    }
}

void Nearest::scan(const Node *leaf) {
    found_ += kernels_.exact_scan(layout_.leaf.column(leaf, 0), kEach, (leaf->count + kWide - 1) / kWide, layout_.dk,
                                  q_, bound_, limit_, ids_ + found_, distances_ + found_);
    if (found_ >= enough_) settle();
}

// Distances that are infinite or no number.
void Nearest::scan_far(const Node *leaf) {
    const Form &form = layout_.leaf;
    simd::Level block{};
    block.stride = kWide;
    for (uint32_t first = 0; first < leaf->count; first += kWide) {
        block.count = std::min<uint32_t>(kWide, leaf->count - first);
        block.position = form.position(leaf, first);
        block.coordinate = form.column(leaf, first);
        uint32_t *ids = ids_ + found_;
        float *distances = distances_ + found_;
        const uint32_t n = kernels_.select_emit(block, 0, block.count, limit_, kWide, q_, layout_.dk, ids, distances);
        for (uint32_t i = 0, kept = 0; i < n; ++i) {
            if (distances[i] <= kFarthest) continue;
            ids[kept] = ids[i];
            distances[kept++] = distances[i];
            ++found_;
        }
    }
    if (found_ >= enough_) settle();
}

// Keeps those wanted; the last of them is a bound from now on.
void Nearest::settle() {
    if (found_ > wanted_) {
        float most = 0;
        if (far_)
            kernels_.select_nearest(ids_, distances_, found_, wanted_, &most); // keeps NaN and infinity apart
        else
            bound_ = kernels_.exact_cut(ids_, distances_, found_, wanted_, bound_);
        found_ = wanted_;
    }
    enough_ = wanted_ + kMore;
    if (found_ < wanted_) return;
    last_ = 0;
    for (uint32_t i = 0; i < found_; ++i) last_ = std::max(last_, rank_of(far_ ? 0 : distances_[i], ids_[i]));
    if (!far_) {
        const uint32_t bits = uint32_t(last_ >> 32);
        std::memcpy(&bound_, &bits, sizeof bound_);
    }
}

uint32_t Nearest::near(const Node *root, uint64_t word, uint32_t wanted) {
    wanted_ = enough_ = wanted;
    last_ = rank_of(kFarthest, 0);
    const Node *path[kMaxHeight + 1];
    const Node *node = root;
    for (; node->height > 0; node = layout_.inner.children(node)[layout_.child_of(node, word)])
        path[node->height] = node;
    path[0] = node;
    scan(node);
    for (uint32_t h = 1; h <= root->height; ++h) {
        open(path[h], path[h - 1]);
        search();
    }
    settle();
    return found_;
}

uint32_t Nearest::far(const Node *root, uint32_t skip, uint32_t wanted) {
    far_ = true;
    ids_ += skip;
    distances_ += skip;
    found_ = 0;
    wanted_ = enough_ = wanted;
    last_ = ~uint64_t{0};
    stack_[top_++] = {0, root};
    search();
    settle();
    return found_;
}

// Sorts by position what lies behind the first neighbours, to the front.
void order(const simd::Kernels &kernels, uint32_t neighbours, uint32_t found, uint32_t *ids, float *distances) {
    uint32_t *found_ids = ids + neighbours;
    const float *found_distances = distances + neighbours;
    if (found <= kOrder) {
        kernels.exact_order(found_ids, found_distances, found, ids, distances);
        return;
    }
    const uintptr_t behind = reinterpret_cast<uintptr_t>(found_ids + room_of(neighbours));
    uint64_t *words = reinterpret_cast<uint64_t *>((behind + 7) / 8 * 8);
    for (uint32_t i = 0; i < found; ++i) words[i] = uint64_t(found_ids[i]) << 32 | bits_of(found_distances[i]);
    kernels.sort_words(words, found);
    for (uint32_t i = 0; i < found; ++i) {
        const uint32_t bits = uint32_t(words[i]);
        ids[i] = uint32_t(words[i] >> 32);
        std::memcpy(&distances[i], &bits, sizeof bits);
    }
}

} // namespace

// The result, what is found, and words to sort.
size_t Index::exact_room(uint32_t neighbours) {
    return neighbours + room_of(neighbours) + (neighbours > kOrder ? 2 * size_t(neighbours) + 2 : 0);
}

uint32_t Index::exact(const simd::Kernels &kernels, uint64_t code, uint32_t limit, uint32_t neighbours, const float *q,
                      uint32_t *ids, float *distances) const {
    if (root_ == nullptr || neighbours == 0) return 0;
    Nearest nearest(kernels, nodes_.layout, std::min(limit, kUnused), q, ids + neighbours, distances + neighbours);
    uint32_t found = nearest.near(root_, code << 24 | 0xffffff, neighbours);
    if (found < neighbours && found < count_) found += nearest.far(root_, found, neighbours - found);
    order(kernels, neighbours, found, ids, distances);
    return found;
}

} // namespace zeta::cache
