// SPDX-License-Identifier: Apache-2.0
// The progress bar and the handler of the first interrupt; a second one ends the program as ever.
#include "progress.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include "commands.hpp"

namespace zeta::app {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kQuiet = std::chrono::milliseconds(400); // shorter work shows no bar
constexpr auto kBetween = std::chrono::milliseconds(100);
constexpr int kWidth = 40;

volatile std::sig_atomic_t interrupted_flag = 0;

void on_interrupt(int) {
    interrupted_flag = 1;
}

} // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), terminal_(::isatty(STDERR_FILENO) == 1), begun_(Clock::now()), last_(begun_),
      signals_(on_interrupt, static_cast<int>(SA_RESTART)) {}

ProgressBar::~ProgressBar() {
    erase();
}

int ProgressBar::callback(void *user, double fraction) {
    static_cast<ProgressBar *>(user)->update(fraction);
    return interrupted_flag != 0 ? 1 : 0;
}

void ProgressBar::relabel(const std::string &label) {
    erase();
    label_ = label;
    begun_ = last_ = Clock::now();
}

void ProgressBar::update(double fraction) {
    const auto now = Clock::now();
    if (!terminal_ || now - begun_ < kQuiet || now - last_ < kBetween) return;
    last_ = now;
    const double part = std::clamp(fraction, 0.0, 1.0);
    const int full = static_cast<int>(part * kWidth);
    const std::string bar =
        std::string(static_cast<size_t>(full), '#') + std::string(static_cast<size_t>(kWidth - full), '.');
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    std::fprintf(stderr, "\r%-9s [%s] %3.0f %%  %.1f s ", label_.c_str(), bar.c_str(), part * 100, seconds);
    std::fflush(stderr);
    drawn_ = true;
}

void ProgressBar::check_interrupted(const std::string &command) {
    if (interrupted_flag != 0) throw CommandError(kExitInternal, command + ": interrupted");
}

void ProgressBar::erase() {
    if (!drawn_) return;
    std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
    drawn_ = false;
}

} // namespace zeta::app
