// SPDX-License-Identifier: Apache-2.0
// The sorted index as a whole: its memory, building it at once, sharing it.
#include "index.hpp"

#include <algorithm>
#include <cassert>

namespace zeta::cache {

namespace {

constexpr uint32_t kBuiltKeys = 58, kBuiltChildren = 58; // of a node that is built: some room for what comes later
constexpr size_t kSlack = 16;                            // spare nodes more than needed that are kept
constexpr uint64_t kPositionMask = (uint64_t{1} << 24) - 1;

} // namespace

// Nodes at each height, and what goes into them, spread evenly.
struct Plan {
    Plan(size_t n_, const uint64_t *words_, const float *keys_) : n(n_), words(words_), keys(keys_) {
        if (n == 0) return;
        nodes[0] = (n + kBuiltKeys - 1) / kBuiltKeys;
        count.leaves = nodes[0];
        while (nodes[height] > 1) {
            nodes[height + 1] = (nodes[height] + kBuiltChildren - 1) / kBuiltChildren;
            count.inner += nodes[++height];
        }
    }
    // The first entry of node i of a height: a key, or a node of the height below.
    size_t begin(uint32_t h, size_t i) const { return (h == 0 ? n : nodes[h - 1]) * i / nodes[h]; }

    size_t n;
    const uint64_t *words;
    const float *keys;
    uint32_t height = 0;
    size_t nodes[kMaxHeight + 1] = {};
    NodeCount count;
};

Index::Index(int dk) : nodes_(dk) {}

Index::Index(Index &&other) noexcept : nodes_(other.nodes_.layout.dk) {
    *this = std::move(other);
}

Index &Index::operator=(Index &&other) noexcept {
    if (this == &other) return *this;
    nodes_ = std::move(other.nodes_);
    std::swap(root_, other.root_);
    std::swap(count_, other.count_);
    std::swap(used_, other.used_);
    const bool shared = shared_.load(std::memory_order_relaxed);
    shared_.store(other.shared_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    other.shared_.store(shared, std::memory_order_relaxed);
    return *this;
}

Index::~Index() {
    assert(root_ == nullptr && nodes_.spare().leaves == 0 && nodes_.spare().inner == 0);
}

// A change takes at each height at most a copy of the node on its path, and either a copy of a neighbour or, if it is
// an insertion, a new node; an insertion may add a root. The whole tree never has more nodes than neighbours that do
// not fit together allow. So a removal from nodes that no other tree has takes none.
NodeCount Index::needed(size_t insertions, size_t removals) const {
    const size_t changes = insertions + removals;
    const size_t most_leaves = (count_ + changes) / 13 + 16, most_inner = (used_.leaves + changes) / 4 + kMaxHeight;
    const size_t levels = (root_ == nullptr ? 0 : root_->height) + 1 + changes / (kChildren / 2);
    const auto most = [&](size_t per_change, size_t bound, size_t used) {
        const size_t all = changes * per_change;
        const size_t fresh = std::min(insertions * per_change, bound > used ? bound - used : 0);
        return shared_.load(std::memory_order_relaxed) ? std::min(2 * all, fresh + std::min(2 * all, used)) : fresh;
    };
    return {most(1, most_leaves, used_.leaves), most(levels, most_inner, used_.inner)};
}

void Index::reserve(const Context &context, size_t insertions, size_t removals) {
    const NodeCount wanted = needed(insertions, removals), spare = nodes_.spare();
    if (spare.leaves < wanted.leaves || spare.inner < wanted.inner) nodes_.reserve(context, wanted);
    if (spare.leaves > wanted.leaves + 2 * kSlack || spare.inner > wanted.inner + 2 * kSlack)
        nodes_.trim(context, {wanted.leaves + kSlack, wanted.inner + kSlack});
}

void Index::reserve_build(const Context &context, size_t n) {
    NodeCount wanted = Plan(n, nullptr, nullptr).count;
    if (!shared_.load(std::memory_order_relaxed)) { // the tree there is will be spare
        wanted.leaves -= std::min(wanted.leaves, used_.leaves);
        wanted.inner -= std::min(wanted.inner, used_.inner);
    }
    nodes_.reserve(context, wanted);
}

void Index::give_back(const Context &context, bool all) {
    if (all) build(nullptr, 0, nullptr);
    nodes_.trim(context, all ? NodeCount{} : needed(1, 0));
}

Node *Index::make(uint32_t height) {
    ++(height == 0 ? used_.leaves : used_.inner);
    return nodes_.take(height);
}

void Index::discard(Node *node) {
    --(node->height == 0 ? used_.leaves : used_.inner);
    nodes_.put(node);
}

void Index::build(const uint64_t *words, size_t n, const float *keys) {
    if (root_ != nullptr) nodes_.drop(root_);
    root_ = nullptr;
    used_ = {};
    count_ = uint32_t(n);
    shared_.store(false, std::memory_order_relaxed);
    if (n == 0) return;
    const Plan plan(n, words, keys);
    root_ = build_node(plan, plan.height, 0);
}

Node *Index::build_node(const Plan &plan, uint32_t height, size_t at) {
    const Layout &layout = nodes_.layout;
    const Form &form = height == 0 ? layout.leaf : layout.inner;
    Node *node = make(height);
    const size_t begin = plan.begin(height, at), end = plan.begin(height, at + 1), dk = size_t(layout.dk);
    node->count = uint16_t(end - begin);
    for (size_t i = begin; i < end; ++i) {
        const uint32_t column = uint32_t(i - begin);
        if (height > 0) {
            Node *child = build_node(plan, height - 1, i);
            form.words(node)[column] = layout.of(child).words(child)[0];
            form.children(node)[column] = child;
            layout.summarise(node, column);
            continue;
        }
        constexpr size_t kAhead = 24; // rows of keys are read in curve order, that is at random: fetch ahead
        if (i + kAhead < plan.n) __builtin_prefetch(plan.keys + (plan.words[i + kAhead] & kPositionMask) * dk);
        const uint32_t position = uint32_t(plan.words[i] & kPositionMask);
        form.words(node)[column] = plan.words[i];
        *form.position(node, column) = position;
        for (size_t e = 0; e < dk; ++e) form.column(node, column)[e * kWide] = plan.keys[position * dk + e];
    }
    return node;
}

void Index::share(const Index &other) {
    assert(root_ == nullptr && nodes_.layout.dk == other.nodes_.layout.dk);
    if (other.root_ == nullptr) return;
    other.root_->references.fetch_add(1, std::memory_order_relaxed);
    other.shared_.store(true, std::memory_order_relaxed);
    shared_.store(true, std::memory_order_relaxed);
    root_ = other.root_;
    count_ = other.count_;
    used_ = other.used_;
}

uint32_t Index::count() const {
    return count_;
}

size_t Index::bytes() const {
    return nodes_.bytes_of(used_) + nodes_.bytes_of(nodes_.spare());
}

} // namespace zeta::cache
