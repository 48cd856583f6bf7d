// SPDX-License-Identifier: Apache-2.0
// What a cache holds: the sequences, and for each sequence and key head its rows, mean and index. A state can be built
// beside another and then swapped with it.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "index.hpp"
#include "mean.hpp"

namespace zeta::cache {

struct Sequence {
    int64_t length = 0;
    int64_t first = 0;   // spec section 7: that of the options, or up to where rows were evicted
    int64_t evicted = 0; // rows before this position are gone
};

// Positions [begin, end).
struct Range {
    uint32_t begin, end;

    uint32_t size() const { return end - begin; }
};

// Positions whose keys are in the index: what queries at the last position, or at one before it, may search.
inline Range indexed(const Problem &p, const Sequence &s) {
    const int64_t end = p.causal ? s.length - std::max<int64_t>(p.local, 1) : s.length;
    return {uint32_t(s.first), uint32_t(std::max(end, s.first))};
}

struct Head {
    Head(const RowShape &shape, int dk) : rows(shape), index(dk) {}

    Rows rows;
    Mean mean;
    Index index; // the keys from `first` on that any query may search
};

// A fixed number of heads, in memory of the context's: they are made in their places and never move.
class Heads {
public:
    Heads(const Context &context, const RowShape &rows, int dk, size_t count);
    Heads(const Heads &) = delete;
    Heads &operator=(const Heads &) = delete;
    ~Heads();

    size_t size() const { return count_; }
    Head &operator[](size_t i) { return begin()[i]; }
    const Head &operator[](size_t i) const { return begin()[i]; }
    Head *begin() { return static_cast<Head *>(memory_.data()); }
    Head *end() { return begin() + count_; }
    const Head *begin() const { return static_cast<const Head *>(memory_.data()); }
    const Head *end() const { return begin() + count_; }

private:
    Allocation memory_;
    size_t count_;
};

class State {
public:
    // Empty sequences with `first` as the options say. Throws Error(ZETA_ERROR_MEMORY).
    State(const Context &context, const RowShape &rows, const Problem &problem, int64_t batches);
    State(const State &) = delete;
    State &operator=(const State &) = delete;
    ~State();
    void clear(); // no rows in any head

    int64_t batches() const { return int64_t(sequences_.size()); }
    int64_t key_heads() const { return key_heads_; }
    Sequence &sequence(int64_t b) { return sequences_[size_t(b)]; }
    const Sequence &sequence(int64_t b) const { return sequences_[size_t(b)]; }
    Head &head(int64_t b, int64_t g) { return heads_[size_t(b * key_heads_ + g)]; }
    const Head &head(int64_t b, int64_t g) const { return heads_[size_t(b * key_heads_ + g)]; }
    size_t bytes() const;

private:
    const Context &context_;
    int64_t key_heads_;
    std::vector<Sequence> sequences_;
    Heads heads_; // [B, G]
};

} // namespace zeta::cache
