// SPDX-License-Identifier: Apache-2.0
// Keeping the indices of a state in step with its sequences: keys enter and leave one by one, or, where that costs
// less, an index is built anew. All memory is reserved before anything changes.
#pragma once

#include "../function_ref.hpp"
#include "state.hpp"

namespace zeta::cache {

class Update {
public:
    // next(b): what sequence b becomes. fresh: the indices are empty whatever the sequences say.
    using Next = FunctionRef<Sequence(int64_t b)>;
    Update(const Context &context, const Problem &problem, State &state, Next next, bool fresh = false);

    // On the calling thread; throws Error(ZETA_ERROR_MEMORY), and the state is as it was but for what is reserved.
    void reserve();
    // Changes the index of one head, while the rows that enter and those that leave are all there. On any thread, each
    // worker one head at a time.
    void apply(int64_t b, int64_t g, int worker);
    // On the calling thread: the sequences become what they are to be. Nothing fails.
    void finish();

private:
    struct Change {
        Range from, to;
        uint32_t leave, enter; // keys
        uint32_t changes() const { return leave + enter; }
        bool build;
    };
    Change change(int64_t b) const;
    void build(Head &head, int64_t g, Range range, int worker);

    const Context &context_;
    const Problem &p_;
    State &state_;
    const Next next_;
    const bool fresh_;
    uint32_t built_ = 0; // keys of the largest index to be built
    size_t slot_ = 0;    // bytes of a worker
    Allocation memory_;
};

} // namespace zeta::cache
