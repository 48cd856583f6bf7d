// SPDX-License-Identifier: Apache-2.0
// The queries of a call (spec section 7): for each, its code, its neighbours from the index, the rows they and the
// local positions have gathered into one place, and there the weights and sums of the full-sequence engine (lib/cpu),
// whose bits they have.
#pragma once

#include "state.hpp"

namespace zeta::cache {

struct Call;
struct Shape;
struct DecodeWork; // memory of one thread

class Decoder {
public:
    // Memory for answering on so many threads, kept from call to call. Throws Error(ZETA_ERROR_MEMORY).
    void reserve(const Context &context, const Shape &shape, const RowShape &rows);
    // Answers; nothing fails. The state has the call's keys already.
    void run(const Context &context, const Shape &shape, const State &state, const Call &call);
    size_t bytes() const { return memory_.size(); }

private:
    Allocation memory_;
    DecodeWork *work_ = nullptr; // [workers_]
    int workers_ = 0;
};

} // namespace zeta::cache
