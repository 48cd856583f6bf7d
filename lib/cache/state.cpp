// SPDX-License-Identifier: Apache-2.0
// Making and unmaking what a cache holds.
#include "state.hpp"

#include <new>

#include "../scratch.hpp"

namespace zeta::cache {

static_assert(alignof(Head) <= Scratch::kAlignment);

Heads::Heads(const Context &context, const RowShape &rows, int dk, size_t count)
    : memory_(context.allocate(count * sizeof(Head))), count_(count) {
    for (size_t i = 0; i < count; ++i) new (begin() + i) Head(rows, dk);
}

Heads::~Heads() {
    for (Head &head : *this) head.~Head();
}

State::State(const Context &context, const RowShape &rows, const Problem &problem, int64_t batches)
    : context_(context), key_heads_(problem.key_heads),
      heads_(context, rows, problem.dk, size_t(batches * problem.key_heads)) {
    sequences_.resize(size_t(batches), {0, problem.first, 0});
    for (Head &head : heads_) head.mean.take(context, rows);
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
