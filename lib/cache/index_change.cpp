// SPDX-License-Identifier: Apache-2.0
// Inserting and erasing one key: O(log n) nodes are touched, whatever the order of the keys. A full node first gives to
// a neighbour with room; it is split where the key goes in, so that keys that come sorted leave full nodes behind. A
// node that fits together with a neighbour is merged with it.
#include <algorithm>
#include <cassert>

#include "index.hpp"

namespace zeta::cache {
namespace {

// A neighbour with less room than this is as good as full: it would soon be asked again.
uint32_t room_asked(const Form &form) {
    return form.capacity / 8;
}

} // namespace

void Index::insert(uint64_t word, const float *key) {
    const Layout &layout = nodes_.layout;
    const uint32_t position = uint32_t(word & 0xffffff);
    if (root_ == nullptr) root_ = make(0);
    Node *node = nodes_.own(&root_);
    if (node->count == layout.of(node).capacity) {
        Node *above = make(node->height + 1u);
        above->count = 1;
        layout.inner.words(above)[0] = std::min(word, layout.of(node).words(node)[0]);
        layout.inner.children(above)[0] = node;
        layout.summarise(above, 0);
        root_ = node = above;
    }
    while (node->height > 0) {
        uint32_t at = layout.child_of(node, word);
        uint64_t &least = layout.inner.words(node)[at];
        least = std::min(least, word);
        layout.fetch(layout.inner.children(node)[at], node->height == 1);
        Node *child = nodes_.own(&layout.inner.children(node)[at]);
        if (child->count == layout.of(child).capacity) {
            balance(node, at, word);
            at = layout.child_of(node, word);
            child = layout.inner.children(node)[at];
        }
        layout.extend(node, at, key, position);
        node = child;
    }
    const Form &leaf = layout.leaf;
    const uint32_t at = rank_of(leaf.words(node), node->count, word);
    leaf.open(node, at);
    leaf.words(node)[at] = word;
    *leaf.position(node, at) = position;
    for (int e = 0; e < layout.dk; ++e) leaf.column(node, at)[size_t(e) * kWide] = key[e];
    ++count_;
}

// Makes room in a full child, or beside it, for what belongs to `word`. The parent has room.
void Index::balance(Node *parent, uint32_t at, uint64_t word) {
    const Layout &layout = nodes_.layout;
    const Form &inner = layout.inner;
    Node **children = inner.children(parent);
    Node *child = children[at];
    const Form &form = layout.of(child);
    const uint32_t most = form.capacity - room_asked(form);
    if (at > 0 && children[at - 1]->count <= most) {
        Node *left = nodes_.own(&children[at - 1]);
        form.move_left(left, child, (form.capacity - left->count + 1u) / 2);
        inner.words(parent)[at] = form.words(child)[0];
        layout.summarise(parent, at - 1);
        layout.summarise(parent, at);
        return;
    }
    if (at + 1 < parent->count && children[at + 1]->count <= most) {
        Node *right = nodes_.own(&children[at + 1]);
        form.move_right(child, right, (form.capacity - right->count + 1u) / 2);
        inner.words(parent)[at + 1] = form.words(right)[0];
    } else {
        const uint32_t rank = rank_of(form.words(child), child->count, word); // entries that stay, if at an end
        uint32_t stay = rank == 0 || rank == child->count ? rank : form.capacity / 2u;
        if (form.inner) stay = std::clamp(stay, 1u, form.capacity - 1u);
        Node *right = make(child->height);
        form.move_right(child, right, child->count - stay);
        inner.open(parent, at + 1);
        children[at + 1] = right;
        inner.words(parent)[at + 1] = right->count > 0 ? form.words(right)[0] : word;
    }
    layout.summarise(parent, at);
    layout.summarise(parent, at + 1);
}

void Index::erase(uint64_t word) {
    const Layout &layout = nodes_.layout;
    Node *path[kMaxHeight + 1];
    uint32_t at[kMaxHeight + 1];
    Node *node = nodes_.own(&root_);
    while (node->height > 0) {
        const uint32_t h = node->height;
        path[h] = node;
        at[h] = layout.child_of(node, word);
        layout.fetch(layout.inner.children(node)[at[h]], h == 1);
        node = nodes_.own(&layout.inner.children(node)[at[h]]);
    }
    const Form &leaf = layout.leaf;
    const uint32_t rank = rank_of(leaf.words(node), node->count, word) - 1;
    assert(rank < node->count && leaf.words(node)[rank] == word);
    float key[32];
    for (int e = 0; e < layout.dk; ++e) key[e] = leaf.column(node, rank)[size_t(e) * kWide];
    leaf.close(node, rank);
    --count_;
    bool fewer = true; // entries in the node below
    for (uint32_t h = 1; h <= root_->height; ++h) {
        const bool touched = layout.touches(path[h], at[h], key, uint32_t(word & 0xffffff));
        fewer = fewer && merge(path[h], at[h]);
        if (!fewer && !touched) return;
        if (!fewer) layout.summarise(path[h], at[h]);
    }
    lower_root();
}

// Merges a child with a neighbour if they fit together with some room. False: the parent has the children it had.
bool Index::merge(Node *parent, uint32_t at) {
    const Layout &layout = nodes_.layout;
    Node **children = layout.inner.children(parent);
    Node *child = children[at];
    const Form &form = layout.of(child);
    const uint32_t most = form.capacity * 3 / 4, count = child->count;
    if (count == 0) {
        remove_child(parent, at);
        return true;
    }
    if (count > form.capacity / 2) return false;
    if (at > 0 && children[at - 1]->count + count <= most) {
        form.move_left(nodes_.own(&children[at - 1]), child, count);
        remove_child(parent, at);
        layout.summarise(parent, at - 1);
        return true;
    }
    if (at + 1 < parent->count && children[at + 1]->count + count <= most) {
        Node *right = nodes_.own(&children[at + 1]);
        form.move_left(child, right, right->count);
        remove_child(parent, at + 1);
        layout.summarise(parent, at);
        return true;
    }
    return false;
}

void Index::remove_child(Node *parent, uint32_t at) {
    discard(nodes_.layout.inner.children(parent)[at]);
    nodes_.layout.inner.close(parent, at);
}

void Index::lower_root() {
    while (root_->height > 0 && root_->count == 1) {
        Node *child = nodes_.layout.inner.children(root_)[0];
        discard(root_);
        root_ = child;
    }
    if (root_->count > 0) return;
    discard(root_);
    root_ = nullptr;
}

} // namespace zeta::cache
