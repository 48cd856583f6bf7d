// SPDX-License-Identifier: Apache-2.0
// The keys of one sequence and key head sorted by (code, position), with their coordinates, for selection while the
// sequence grows: insertion, removal, the window of spec section 4 around a code, and the K nearest. A B+-tree whose
// leaves hold at most 64 keys and whose inner nodes have at most 64 children (node.hpp). A change touches one path and
// the neighbours on it: O(log n), at most one split or merge a height, and as many copies where nodes are shared. A
// window reads the leaves it lies in, exact search those whose boxes are near enough. 25 to 32 bytes a key at dk 3.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../context.hpp"
#include "nodes.hpp"

namespace zeta::cache {

struct Plan; // of a tree to be built

class Index {
public:
    explicit Index(int dk);
    Index(Index &&other) noexcept;
    Index &operator=(Index &&other) noexcept;
    ~Index(); // give_back() was called

    // ---- on the calling thread: these use the context's allocator, and throw Error(ZETA_ERROR_MEMORY) leaving all as
    // it was

    // Memory for so many insert() and erase() calls, in any order.
    void reserve(const Context &context, size_t insertions, size_t removals = 0);
    // Memory for build() of n keys.
    void reserve_build(const Context &context, size_t n);
    // Returns what is reserved and not needed any more; `all`: empties the index too.
    void give_back(const Context &context, bool all);

    // ---- on any thread: no memory is asked for and nothing fails

    // word: code << 24 | position, not yet there. key: [dk]
    void insert(uint64_t word, const float *key);
    void erase(uint64_t word); // is there
    // Replaces everything by n keys: words ascending, row i of `keys` [., dk] the key of position i.
    void build(const uint64_t *words, size_t n, const float *keys);
    // Becomes a copy of `other` that shares its memory until either changes. This one must be empty.
    void share(const Index &other);

    uint32_t count() const;
    size_t bytes() const; // nodes in use, shared ones in full, and reserved ones

    // The window of spec section 4: the keys with position < limit around `code`, `window` of them at most, in order of
    // (code, position): positions and squared distances to q [dk]. Room: window + simd::kListPad. Returns how many.
    uint32_t window(const simd::Kernels &kernels, uint64_t code, uint32_t limit, uint32_t window, const float *q,
                    uint32_t *ids, float *distances) const;

    // The `neighbours` nearest of the keys with position < limit (spec section 4: smallest distance, NaN as infinity,
    // of equal distances the larger position), in ascending position. Room in ids and distances:
    // exact_room(neighbours).
    uint32_t exact(const simd::Kernels &kernels, uint64_t code, uint32_t limit, uint32_t neighbours, const float *q,
                   uint32_t *ids, float *distances) const;
    static size_t exact_room(uint32_t neighbours);

private:
    NodeCount needed(size_t insertions, size_t removals) const;
    Node *make(uint32_t height);
    void discard(Node *node);
    Node *build_node(const Plan &plan, uint32_t height, size_t at);
    void balance(Node *parent, uint32_t at, uint64_t word);
    bool merge(Node *parent, uint32_t at);
    void remove_child(Node *parent, uint32_t at);
    void lower_root();

    Nodes nodes_;
    Node *root_ = nullptr; // NULL: no keys
    uint32_t count_ = 0;
    NodeCount used_;                          // nodes of the tree
    mutable std::atomic<bool> shared_{false}; // some of them may be part of another tree
};

} // namespace zeta::cache
