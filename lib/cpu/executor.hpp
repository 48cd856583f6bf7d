// SPDX-License-Identifier: Apache-2.0
// Where work runs: the context's kernels, its threads, and the one floating-point environment of every task. At one
// thread it is a plain loop that allocates nothing; above, tasks go to the context's oneTBB arena. Results never depend
// on the split: every loop writes to places that its index owns.
#pragma once

#include <cstddef>

#include "../../simd/kernels.hpp"
#include "../function_ref.hpp"

namespace zeta::cpu {

class Executor {
public:
    using Body = FunctionRef<void(size_t begin, size_t end, int worker)>;
    using Start = FunctionRef<void(size_t item, size_t slot, int worker)>;
    using Step = FunctionRef<void(size_t item, size_t slot, size_t stage, int worker)>;

    virtual ~Executor() = default;
    // Runs body(begin, end, worker) over [0, n) in pieces of at most `grain`; worker < workers() names the running
    // thread's own scratch. Nested calls are allowed. Exceptions come out at the caller.
    virtual void parallel_for(size_t n, size_t grain, Body body) const = 0;
    // start() for every item below n, at any time and on any thread; after it step() for each stage below `stages`, a
    // stage's items in order and one at a time. At most `slots` items are under way; each has a slot below that to
    // itself. Exceptions come out at the caller.
    virtual void pipeline(size_t n, size_t slots, size_t stages, Start start, Step step) const {
        static_cast<void>(slots);
        for (size_t item = 0; item < n; ++item) {
            start(item, 0, 0);
            for (size_t stage = 0; stage < stages; ++stage) step(item, 0, stage, 0);
        }
    }
    virtual int workers() const = 0;
    virtual const simd::Kernels &kernels() const = 0;
};

} // namespace zeta::cpu
