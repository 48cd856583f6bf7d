// SPDX-License-Identifier: Apache-2.0
// Progress of a call: work done by any thread, told to the caller's callback one call at a time, at most 256 times.
// A callback that asks to stop ends the call with ZETA_ERROR_CANCELLED at every thread's next advance().
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "zeta/attention.h"

namespace zeta {

class ProgressMeter {
public:
    // `total` in any unit; callback may be NULL.
    ProgressMeter(zeta_progress callback, void *user, uint64_t total)
        : callback_(callback), user_(user), total_(total == 0 ? 1 : total) {}
    ProgressMeter(const ProgressMeter &) = delete;
    ProgressMeter &operator=(const ProgressMeter &) = delete;

    // Throws Error(ZETA_ERROR_CANCELLED) once the callback asked to stop.
    void advance(uint64_t work) {
        if (callback_ != nullptr) tell(work);
    }

private:
    void tell(uint64_t work);
    int call(double fraction) const;

    const zeta_progress callback_;
    void *const user_;
    const uint64_t total_;
    std::atomic<uint64_t> done_{0};
    std::atomic<bool> cancelled_{false};
    std::mutex mutex_;
    uint64_t told_ = 0; // 256ths, under mutex_
};

} // namespace zeta
