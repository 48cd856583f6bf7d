// SPDX-License-Identifier: Apache-2.0
// Catching the signals that ask for an end, and what they did before.
#include "signals.hpp"

namespace zeta::app {

EndSignals::EndSignals(void (*handler)(int), int flags) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = flags | static_cast<int>(SA_RESETHAND);
    for (size_t i = 0; i < 3; ++i) {
        ::sigaction(kSignals[i], nullptr, &before_[i]);
        if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
    }
}

EndSignals::~EndSignals() {
    for (size_t i = 0; i < 3; ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}

} // namespace zeta::app
