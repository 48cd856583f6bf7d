// SPDX-License-Identifier: Apache-2.0
// Making and unmaking what a cache holds.
#include "state.hpp"

namespace zeta::cache {

State::State(const Context &context, const RowShape &rows, const Problem &problem, int64_t batches)
    : context_(context), key_heads_(problem.key_heads) {
    sequences_.resize(size_t(batches), {0, problem.first, 0});
    heads_.reserve(size_t(batches * key_heads_)); // heads never move
    for (int64_t i = 0; i < batches * key_heads_; ++i) {
        heads_.emplace_back(rows, problem.dk);
        heads_.back().mean.take(context, rows);
    }
}

State::~State() {
    clear();
}

void State::clear() {
    for (Head &head : heads_) {
        head.rows.release(context_);
        head.mean.clear();
        head.index.give_back(context_, true);
    }
}

size_t State::bytes() const {
    size_t total = sequences_.size() * sizeof(Sequence) + heads_.size() * sizeof(Head);
    for (const Head &head : heads_) total += head.rows.bytes() + head.mean.bytes() + head.index.bytes();
    return total;
}

} // namespace zeta::cache
