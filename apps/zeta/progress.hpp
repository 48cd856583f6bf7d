// SPDX-License-Identifier: Apache-2.0
// A progress bar on the standard error stream, drawn only when that is a terminal and the work takes long, and a polite
// stop: while a bar exists the first interrupt (signals.hpp) cancels the call, so that nothing is left half done.
#pragma once

#include <chrono>
#include <string>

#include "signals.hpp"

namespace zeta::app {

class ProgressBar {
public:
    explicit ProgressBar(std::string label);
    ~ProgressBar();
    ProgressBar(const ProgressBar &) = delete;
    ProgressBar &operator=(const ProgressBar &) = delete;

    // What the library calls; `user` is a ProgressBar. Non-zero once interrupted.
    static int callback(void *user, double fraction);

    void relabel(const std::string &label);
    void update(double fraction); // in 0..1

    // Throws CommandError "COMMAND: interrupted" once interrupted.
    static void check_interrupted(const std::string &command);

private:
    void erase();

    std::string label_;
    bool terminal_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point begun_, last_;
    EndSignals signals_;
};

} // namespace zeta::app
