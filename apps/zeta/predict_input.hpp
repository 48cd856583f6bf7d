// SPDX-License-Identifier: Apache-2.0
// The standard input as it comes, and a clean end: the first interrupt (signals.hpp) ends the input, also while nothing
// comes; a second one ends the program as ever.
#pragma once

#include <cstddef>
#include <cstdint>

#include "signals.hpp"

namespace zeta::app {

class LiveInput {
public:
    LiveInput();
    LiveInput(const LiveInput &) = delete;
    LiveInput &operator=(const LiveInput &) = delete;

    // Waits until there are bytes and gives at most `room` of them; 0 at the end or after an interrupt. Throws
    // CommandError (kExitInput).
    size_t read(uint8_t *to, size_t room);

    static bool interrupted();

private:
    struct WakePipe {
        WakePipe();
        ~WakePipe();
    } pipe_; // before the handler that writes to it
    EndSignals signals_;
};

} // namespace zeta::app
