// SPDX-License-Identifier: Apache-2.0
// A handler for what asks a program to end (Ctrl-C, SIGTERM, a terminal that is closed) for as long as it exists. Each
// signal is caught once: the next of its kind does what it did before. What was ignored stays so, as under nohup.
#pragma once

#include <csignal>
#include <cstddef>

namespace zeta::app {

class EndSignals {
public:
    EndSignals(void (*handler)(int), int flags);
    ~EndSignals();
    EndSignals(const EndSignals &) = delete;
    EndSignals &operator=(const EndSignals &) = delete;

private:
    static constexpr int kSignals[3] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before_[3];
};

} // namespace zeta::app
