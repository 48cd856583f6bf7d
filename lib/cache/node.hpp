// SPDX-License-Identifier: Apache-2.0
// Nodes of the sorted index: a tree whose leaves hold keys and whose inner nodes hold, for each child, a lower bound of
// its words and a summary: the box around its keys, the smallest and the largest position. Keys and summaries lie in
// blocks of 16 columns, [rows][16] words, as the kernels of exact selection read them. A node may be part of several
// trees; it is written only by a tree that holds it alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../context.hpp"
#include "../cpu/fetch.hpp"

namespace zeta::cache {

constexpr uint32_t kWide = 16;           // columns of a block
constexpr uint32_t kLeafKeys = 64;       // of 2^20 Gaussian keys, dk 3: with 32, 2 bytes a key more; 128 is no quicker
constexpr uint32_t kChildren = 64;       // likewise: with 32, an insertion and a window take 1.3 us instead of 1.1
constexpr uint32_t kUnused = 0x7fffffff; // position of places without a key: never below a limit
constexpr uint32_t kMaxHeight = 12;      // more than 2^24 keys can need: neighbouring nodes are together over half full

struct alignas(64) Node {
    std::atomic<uint32_t> references;
    uint16_t height; // of the inner nodes below, itself included: 0 is a leaf
    uint16_t count;  // keys or children
    Node *next;      // in a list of spare nodes
};

// Where the parts of a leaf, or of an inner node, lie: behind the Node [blocks][rows][16], words [capacity] and, of an
// inner node, children [capacity].
struct Form {
    uint32_t rows = 0, capacity = 0, position_row = 0;
    bool inner = false;
    size_t bytes = 0;

    static Form leaf(int dk);
    static Form branch(int dk);

    // Column i of [rows][16]: row r is at [r * kWide].
    float *column(Node *node, uint32_t i) const {
        return reinterpret_cast<float *>(node + 1) + size_t(i / kWide * rows) * kWide + i % kWide;
    }
    const float *column(const Node *node, uint32_t i) const { return column(const_cast<Node *>(node), i); }
    // Positions of column i: of a key; of a child the smallest, and kWide on the largest.
    uint32_t *position(Node *node, uint32_t i) const {
        return reinterpret_cast<uint32_t *>(column(node, i)) + size_t(position_row) * kWide;
    }
    const uint32_t *position(const Node *node, uint32_t i) const { return position(const_cast<Node *>(node), i); }
    uint64_t *words(Node *node) const { return reinterpret_cast<uint64_t *>(column(node, capacity)); }
    const uint64_t *words(const Node *node) const { return words(const_cast<Node *>(node)); }
    Node **children(Node *node) const { return reinterpret_cast<Node **>(words(node) + capacity); }
    Node *const *children(const Node *node) const { return children(const_cast<Node *>(node)); }

    // Copies n columns with their words and children; within one node they may overlap.
    void move(const Node *from, uint32_t i, Node *to, uint32_t j, uint32_t n) const;
    // Makes room for one column at i.
    void open(Node *node, uint32_t i) const;
    // Takes column i out.
    void close(Node *node, uint32_t i) const;
    // Moves the first n columns of `right` to the end of `left`, or the last n of `left` to the front of `right`.
    void move_left(Node *left, Node *right, uint32_t n) const;
    void move_right(Node *left, Node *right, uint32_t n) const;

private:
    void shrink(Node *node, uint32_t count) const;
};

// How many of the words of a node are at most `word`.
uint32_t rank_of(const uint64_t *words, uint32_t count, uint64_t word);

struct Layout {
    explicit Layout(int dk_) : dk(dk_), leaf(Form::leaf(dk_)), inner(Form::branch(dk_)) {}

    const Form &of(const Node *node) const { return node->height == 0 ? leaf : inner; }
    // Begins to load what is read of a node on the way down, and of a leaf then.
    void fetch(const Node *node, bool is_leaf) const {
        const Form &form = is_leaf ? leaf : inner;
        fetch_columns(node, is_leaf ? kLeafKeys : 0);
        cpu::fetch(form.words(node), form.capacity * (sizeof(uint64_t) + (is_leaf ? 0 : sizeof(Node *))));
    }
    // The head of a leaf and its first keys, if they are not very long.
    void fetch_columns(const Node *node, uint32_t keys) const {
        const size_t bytes = size_t(keys + kWide - 1) / kWide * kWide * leaf.rows * sizeof(float);
        cpu::fetch(node, sizeof(Node) + std::min<size_t>(bytes, 2048));
    }
    // The child of an inner node that a word belongs to.
    uint32_t child_of(const Node *node, uint64_t word) const {
        const uint32_t rank = rank_of(inner.words(node), node->count, word);
        return rank == 0 ? 0 : rank - 1;
    }
    // Summary of child i, from all it holds. Keys that are not finite are in no box.
    void summarise(Node *parent, uint32_t i) const;
    // Adds a key to the summary of child i.
    void extend(Node *parent, uint32_t i, const float *key, uint32_t position) const;
    // Whether the summary of child i might be smaller without a key.
    bool touches(const Node *parent, uint32_t i, const float *key, uint32_t position) const;

    int dk;
    Form leaf, inner;
};

} // namespace zeta::cache
