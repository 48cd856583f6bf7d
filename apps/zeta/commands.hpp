// SPDX-License-Identifier: Apache-2.0
// The subcommands of `zeta`. Each add_X registers one with the parser; its callback does the work and throws
// CommandError when it fails. program.cpp alone prints the sentence and turns it into an exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace CLI {
class App;
}

namespace zeta::app {

// Exit codes, all below 128. Documented in --help; never renumbered.
constexpr int kExitOk = 0;
constexpr int kExitInternal = 1; // a failed allocation, a cancelled call, a defect
constexpr int kExitUsage = 2;    // unknown option, option value out of its range
constexpr int kExitInput = 3;  // a file missing, truncated, corrupt, of the wrong type or shape; refused by the library
constexpr int kExitOutput = 4; // an output that cannot be written

// A failure with its exit code; `what()` is one line without the leading "zeta: ".
class CommandError : public std::runtime_error {
public:
    CommandError(int code, const std::string &message) : std::runtime_error(message), code_(code) {}
    int code() const { return code_; }

private:
    int code_;
};

void add_attend(CLI::App &app, int &exit_code);
void add_recall(CLI::App &app, int &exit_code);
void add_info(CLI::App &app, int &exit_code);
void add_bench(CLI::App &app, int &exit_code);
void add_predict(CLI::App &app, int &exit_code);

// Flushes the standard output. Throws CommandError if what was printed cannot be written: files are committed after
// this.
void flush_report();

// The whole program; returns its exit code. It keeps nothing from one call to the next but the format of std::cout.
int run_program(int argc, char **argv);

} // namespace zeta::app
