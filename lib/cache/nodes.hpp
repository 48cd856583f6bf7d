// SPDX-License-Identifier: Apache-2.0
// Memory of the nodes of one index. The context's allocator is asked on the calling thread, by reserve(); everything
// else takes from the spare nodes and gives to them, and nodes are shared by counting references.
#pragma once

#include <utility>

#include "node.hpp"

namespace zeta::cache {

struct NodeCount {
    size_t leaves = 0, inner = 0;
};

class Nodes {
public:
    explicit Nodes(int dk) : layout(dk) {}
    Nodes(Nodes &&other) noexcept : layout(other.layout) { std::swap(spare_, other.spare_); }
    Nodes &operator=(Nodes &&other) noexcept {
        std::swap(layout, other.layout);
        std::swap(spare_, other.spare_);
        return *this;
    }

    // Until so many are spare. Throws Error(ZETA_ERROR_MEMORY), and then has taken none.
    void reserve(const Context &context, NodeCount wanted);
    // Until no more than so many are.
    void trim(const Context &context, NodeCount kept);
    NodeCount spare() const { return {spare_[0].count, spare_[1].count}; }
    size_t bytes_of(NodeCount n) const { return n.leaves * layout.leaf.bytes + n.inner * layout.inner.bytes; }

    // An empty node of one's own.
    Node *take(uint32_t height);
    // Makes a node spare that holds no children and is one's own.
    void put(Node *node);
    // *slot, replaced by a copy if another tree has it too.
    Node *own(Node **slot);
    // Gives up a node, and with the last reference those below it.
    void drop(Node *node);

    Layout layout;

private:
    struct Spare {
        Node *first = nullptr;
        size_t count = 0;
    };
    void reserve(const Context &context, Spare &spare, size_t bytes, size_t wanted);
    void trim(const Context &context, Spare &spare, size_t bytes, size_t kept);

    Spare spare_[2]; // leaves, inner nodes
};

} // namespace zeta::cache
