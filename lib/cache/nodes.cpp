// SPDX-License-Identifier: Apache-2.0
// Spare nodes and shared nodes.
#include "nodes.hpp"

#include <cassert>
#include <cstring>
#include <new>

#include "../status.hpp"

namespace zeta::cache {

void Nodes::reserve(const Context &context, NodeCount wanted) {
    const NodeCount before = spare();
    try {
        reserve(context, spare_[0], layout.leaf.bytes, wanted.leaves);
        reserve(context, spare_[1], layout.inner.bytes, wanted.inner);
    } catch (...) {
        trim(context, before);
        throw;
    }
}

void Nodes::reserve(const Context &context, Spare &spare, size_t bytes, size_t wanted) {
    while (spare.count < wanted) {
        void *block = context.take(bytes);
        if (block == nullptr)
            fail(ZETA_ERROR_MEMORY, "out of memory: %zu bytes of the sorted index were refused", bytes);
        std::memset(block, 0, bytes); // vectors are read past the columns in use
        Node *node = new (block) Node;
        node->next = spare.first;
        spare.first = node;
        ++spare.count;
    }
}

void Nodes::trim(const Context &context, NodeCount kept) {
    trim(context, spare_[0], layout.leaf.bytes, kept.leaves);
    trim(context, spare_[1], layout.inner.bytes, kept.inner);
}

void Nodes::trim(const Context &context, Spare &spare, size_t bytes, size_t kept) {
    while (spare.count > kept) {
        Node *node = spare.first;
        spare.first = node->next;
        --spare.count;
        context.give(node, bytes);
    }
}

Node *Nodes::take(uint32_t height) {
    Spare &spare = spare_[height > 0];
    assert(spare.count > 0);
    Node *node = spare.first;
    spare.first = node->next;
    --spare.count;
    node->references.store(1, std::memory_order_relaxed);
    node->height = uint16_t(height);
    node->count = 0;
    if (height == 0)
        for (uint32_t i = 0; i < kLeafKeys; ++i) *layout.leaf.position(node, i) = kUnused;
    return node;
}

void Nodes::put(Node *node) {
    Spare &spare = spare_[node->height > 0];
    node->next = spare.first;
    spare.first = node;
    ++spare.count;
}

Node *Nodes::own(Node **slot) {
    Node *node = *slot;
    if (node->references.load(std::memory_order_acquire) == 1) return node;
    const Form &form = layout.of(node);
    Node *copy = take(node->height);
    form.move(node, 0, copy, 0, node->count);
    copy->count = node->count;
    if (form.inner)
        for (uint32_t i = 0; i < node->count; ++i)
            form.children(copy)[i]->references.fetch_add(1, std::memory_order_relaxed);
    drop(node);
    return *slot = copy;
}

void Nodes::drop(Node *node) {
    if (node->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (node->height > 0)
        for (uint32_t i = 0; i < node->count; ++i) drop(layout.inner.children(node)[i]);
    put(node);
}

} // namespace zeta::cache
