// SPDX-License-Identifier: Apache-2.0
// Whoever crosses the next 256th of the work tells it, unless another thread is telling just then.
#include "progress.hpp"

#include <algorithm>

#include <tbb/task_arena.h>

#include "status.hpp"

namespace zeta {

// A task that calls back takes no other of this call while it waits for one of the callback's own: that might come back
// here, where the lock is held.
int ProgressMeter::call(double fraction) const {
    if (tbb::this_task_arena::current_thread_index() == tbb::task_arena::not_initialized)
        return callback_(user_, fraction);
    return tbb::this_task_arena::isolate([&] { return callback_(user_, fraction); });
}

void ProgressMeter::tell(uint64_t work) {
    const uint64_t done = std::min(done_.fetch_add(work) + work, total_);
    if (!cancelled_) {
        // The last one waits, so that completion is always told.
        std::unique_lock<std::mutex> lock(mutex_, std::defer_lock);
        if (done == total_)
            lock.lock();
        else if (!lock.try_lock())
            return;
        const double fraction = double(std::min(done_.load(), total_)) / double(total_);
        const auto step = uint64_t(fraction * 256);
        if (cancelled_ || step > told_) {
            told_ = step;
            if (!cancelled_ && call(fraction) != 0) cancelled_ = true;
        }
    }
    if (cancelled_) fail(ZETA_ERROR_CANCELLED, "the progress callback asked to stop");
}

} // namespace zeta
