// SPDX-License-Identifier: Apache-2.0
// The program `zeta` as a function: parses the command line, runs one subcommand and turns every failure into one line
// on the standard error stream and an exit code below 128.
#include <csignal>
#include <iostream>
#include <new>

#include <fcntl.h>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "file.hpp"
#include "zeta/zeta.h"

namespace zeta::app {

namespace {

constexpr const char *kFooter = R"(Examples:
  zeta attend --q q.npy --k k.npy --v v.npy --out out.npy
  zeta attend --help

Exit codes:
  0  success
  1  failure inside: out of memory, interrupted, a defect
  2  usage: unknown option, a value out of its range or not supported here
  3  bad input: a file missing, truncated, corrupt, of the wrong type or shape
  4  an output that cannot be written
Errors are one line on the standard error stream; no output is left behind.)";

// A closed standard stream must not lend its number to a file of ours, and broken pipes and size limits are errors to
// report, not signals to die of.
void prepare_process() {
    for (int descriptor = 0; descriptor < 3; ++descriptor)
        if (::fcntl(descriptor, F_GETFD) < 0 && ::open("/dev/null", descriptor == 1 ? O_RDONLY : O_RDWR) < 0) return;
    std::signal(SIGPIPE, SIG_IGN);
#ifdef SIGXFSZ
    std::signal(SIGXFSZ, SIG_IGN);
#endif
}

int report(int code, const std::string &message) {
    std::cerr << "zeta: " + printable(message) + "\n";
    return code;
}

int parse_and_run(CLI::App &app, int argc, char **argv) {
    int exit_code = kExitOk;
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("zeta ") + zeta_version());
    app.footer(kFooter);
    app.get_formatter()->column_width(42);
    add_attend(app, exit_code);
    add_recall(app, exit_code);
    add_predict(app, exit_code);
    add_bench(app, exit_code);
    add_info(app, exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp &help) {
        app.exit(help); // prints to the standard output
    } catch (const CLI::CallForAllHelp &help) {
        app.exit(help);
    } catch (const CLI::CallForVersion &version) {
        app.exit(version);
    } catch (const CLI::RequiredError &error) { // an unknown word hides behind the subcommand that is missing
        const auto rest = app.remaining(true);
        return report(kExitUsage, (rest.empty() ? std::string(error.what()) : "unknown command '" + rest[0] + "'") +
                                      " (see zeta --help)");
    } catch (const CLI::ParseError &error) {
        return report(kExitUsage, std::string(error.what()) + " (see zeta --help)");
    }
    flush_report();
    return exit_code;
}

} // namespace

void flush_report() {
    std::cout.flush();
    if (!std::cout) throw CommandError(kExitOutput, "the standard output cannot be written");
}

int run_program(int argc, char **argv) {
    try {
        prepare_process();
        CLI::App app("zeta: attention over the nearest keys on a Z-order curve", "zeta");
        return parse_and_run(app, argc, argv);
    } catch (const CommandError &error) {
        return report(error.code(), error.what());
    } catch (const std::bad_alloc &) {
        return report(kExitInternal, "out of memory");
    } catch (const std::exception &error) {
        return report(kExitInternal, error.what());
    } catch (...) {
        return report(kExitInternal, "unknown failure");
    }
}

} // namespace zeta::app
