// SPDX-License-Identifier: Apache-2.0
// Columns of nodes moved about, and summaries of children.
#include "node.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace zeta::cache {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool finite(const float *key, int dk) {
    float zero = 0;
    for (int e = 0; e < dk; ++e) zero += key[e] * 0.0f;
    return zero == 0;
}

// A summary in the making, as one column: corners, smallest and largest position.
struct Summary {
    float low[32][kWide], high[32][kWide];
    uint32_t first[kWide], last[kWide];

    explicit Summary(int dk) {
        std::fill_n(&low[0][0], size_t(dk) * kWide, kInfinity);
        std::fill_n(&high[0][0], size_t(dk) * kWide, -kInfinity);
        std::fill_n(first, kWide, kUnused);
        std::fill_n(last, kWide, 0u);
    }
    void add(int e, const float *from, const float *to) {
        for (uint32_t j = 0; j < kWide; ++j) {
            low[e][j] = from[j] < low[e][j] ? from[j] : low[e][j];
            high[e][j] = to[j] > high[e][j] ? to[j] : high[e][j];
        }
    }
    void store(int dk, float *column, uint32_t *position) const {
        for (int e = 0; e < dk; ++e) {
            column[size_t(e) * kWide] = *std::min_element(low[e], low[e] + kWide);
            column[size_t(dk + e) * kWide] = *std::max_element(high[e], high[e] + kWide);
        }
        position[0] = *std::min_element(first, first + kWide);
        position[kWide] = *std::max_element(last, last + kWide);
    }
};

// 16 keys, of which the first n count.
void add_keys(Summary &summary, const float *block, const uint32_t *position, uint32_t n, int dk) {
    float zero[kWide] = {}, low[kWide], high[kWide];
    for (int e = 0; e < dk; ++e)
        for (uint32_t j = 0; j < kWide; ++j) zero[j] += block[size_t(e) * kWide + j] * 0.0f;
    for (uint32_t j = n; j < kWide; ++j) zero[j] = std::numeric_limits<float>::quiet_NaN();
    for (int e = 0; e < dk; ++e) {
        for (uint32_t j = 0; j < kWide; ++j) {
            const float x = block[size_t(e) * kWide + j];
            low[j] = zero[j] == 0 ? x : kInfinity;
            high[j] = zero[j] == 0 ? x : -kInfinity;
        }
        summary.add(e, low, high);
    }
    for (uint32_t j = 0; j < n; ++j) {
        summary.first[j] = std::min(summary.first[j], position[j]);
        summary.last[j] = std::max(summary.last[j], position[j]);
    }
}

// 16 children, of which the first n count.
void add_children(Summary &summary, const float *block, const uint32_t *position, uint32_t n, int dk) {
    float low[kWide], high[kWide];
    for (int e = 0; e < dk; ++e) {
        for (uint32_t j = 0; j < kWide; ++j) {
            low[j] = j < n ? block[size_t(e) * kWide + j] : kInfinity;
            high[j] = j < n ? block[size_t(dk + e) * kWide + j] : -kInfinity;
        }
        summary.add(e, low, high);
    }
    for (uint32_t j = 0; j < n; ++j) {
        summary.first[j] = std::min(summary.first[j], position[j]);
        summary.last[j] = std::max(summary.last[j], position[kWide + j]);
    }
}

size_t aligned(size_t bytes) {
    return (bytes + alignof(Node) - 1) / alignof(Node) * alignof(Node);
}

} // namespace

uint32_t rank_of(const uint64_t *words, uint32_t count, uint64_t word) {
    const uint64_t *first = words;
    while (count > 0) { // without a branch on the data
        const uint32_t half = (count + 1) / 2;
        first = first[half - 1] <= word ? first + half : first;
        count -= half;
    }
    return uint32_t(first - words);
}

Form Form::leaf(int dk) {
    Form form;
    form.rows = uint32_t(dk) + 1;
    form.capacity = kLeafKeys;
    form.position_row = uint32_t(dk);
    form.bytes = aligned(sizeof(Node) + kLeafKeys * (form.rows * sizeof(float) + sizeof(uint64_t)));
    return form;
}

Form Form::branch(int dk) {
    Form form;
    form.rows = 2 * uint32_t(dk) + 2;
    form.capacity = kChildren;
    form.position_row = 2 * uint32_t(dk);
    form.inner = true;
    form.bytes = aligned(sizeof(Node) + kChildren * (form.rows * sizeof(float) + sizeof(uint64_t) + sizeof(Node *)));
    return form;
}

// ---- columns
// ---------------------------------------------------------------------------------------------------------

void Form::move(const Node *from, uint32_t i, Node *to, uint32_t j, uint32_t n) const {
    std::memmove(words(to) + j, words(from) + i, n * sizeof(uint64_t));
    if (inner) std::memmove(children(to) + j, children(from) + i, n * sizeof(Node *));
    const bool backward = from == to && j > i;
    while (n > 0) { // as many as lie in one block of both
        uint32_t run = 0, at = 0;
        if (backward) {
            run = std::min({n, (i + n - 1) % kWide + 1, (j + n - 1) % kWide + 1});
            at = n - run;
        } else {
            run = std::min({n, kWide - i % kWide, kWide - j % kWide});
        }
        const float *source = column(from, i + at);
        float *target = column(to, j + at);
        for (uint32_t r = 0; r < rows; ++r)
            std::memmove(target + size_t(r) * kWide, source + size_t(r) * kWide, run * sizeof(float));
        n -= run;
        if (!backward) i += run, j += run;
    }
}

void Form::open(Node *node, uint32_t i) const {
    move(node, i, node, i + 1, node->count - i);
    ++node->count;
}

void Form::close(Node *node, uint32_t i) const {
    move(node, i + 1, node, i, node->count - i - 1);
    shrink(node, node->count - 1);
}

void Form::move_left(Node *left, Node *right, uint32_t n) const {
    move(right, 0, left, left->count, n);
    left->count = uint16_t(left->count + n);
    move(right, n, right, 0, right->count - n);
    shrink(right, right->count - n);
}

void Form::move_right(Node *left, Node *right, uint32_t n) const {
    move(right, 0, right, n, right->count);
    right->count = uint16_t(right->count + n);
    move(left, left->count - n, right, 0, n);
    shrink(left, left->count - n);
}

void Form::shrink(Node *node, uint32_t count) const {
    if (!inner)
        for (uint32_t i = count; i < node->count; ++i) *position(node, i) = kUnused;
    node->count = uint16_t(count);
}

// ---- summaries
// -------------------------------------------------------------------------------------------------------

void Layout::summarise(Node *parent, uint32_t i) const {
    const Node *child = inner.children(parent)[i];
    const Form &form = of(child);
    Summary summary(dk);
    for (uint32_t at = 0; at < child->count; at += kWide) {
        const auto add = child->height == 0 ? add_keys : add_children;
        add(summary, form.column(child, at), form.position(child, at), std::min(kWide, child->count - at), dk);
    }
    summary.store(dk, inner.column(parent, i), inner.position(parent, i));
}

void Layout::extend(Node *parent, uint32_t i, const float *key, uint32_t position) const {
    float *low = inner.column(parent, i), *high = low + size_t(dk) * kWide;
    uint32_t *range = inner.position(parent, i);
    range[0] = std::min(range[0], position);
    range[kWide] = std::max(range[kWide], position);
    if (!finite(key, dk)) return;
    for (int e = 0; e < dk; ++e) {
        low[size_t(e) * kWide] = std::min(low[size_t(e) * kWide], key[e]);
        high[size_t(e) * kWide] = std::max(high[size_t(e) * kWide], key[e]);
    }
}

bool Layout::touches(const Node *parent, uint32_t i, const float *key, uint32_t position) const {
    const float *low = inner.column(parent, i), *high = low + size_t(dk) * kWide;
    const uint32_t *range = inner.position(parent, i);
    bool touch = range[0] == position || range[kWide] == position;
    for (int e = 0; e < dk; ++e) touch |= low[size_t(e) * kWide] == key[e] || high[size_t(e) * kWide] == key[e];
    return touch;
}

} // namespace zeta::cache
