// SPDX-License-Identifier: Apache-2.0
// The standard input as it comes, and a clean end: the first interrupt (Ctrl-C, SIGTERM) ends the input, also while
// nothing comes; a second one ends the program as ever.
#pragma once

#include <cstddef>
#include <cstdint>

#include <csignal>

namespace zeta::app {

class LiveInput {
public:
    LiveInput();
    ~LiveInput();
    LiveInput(const LiveInput &) = delete;
    LiveInput &operator=(const LiveInput &) = delete;

    // Waits until there are bytes and gives at most `room` of them; 0 at the end or after an interrupt. Throws
    // CommandError (kExitInput).
    size_t read(uint8_t *to, size_t room);

    static bool interrupted();

private:
    struct sigaction interrupt_, terminate_;
};

} // namespace zeta::app
