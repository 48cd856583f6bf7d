// SPDX-License-Identifier: Apache-2.0
// Context, statuses and the machine.
#include "session.hpp"

#include <cstdlib>
#include <fstream>

#include <sys/utsname.h>

#include "commands.hpp"

namespace zeta::app {

namespace {

int exit_code_of(zeta_status status) {
    switch (status) {
    case ZETA_ERROR_ARGUMENT: // pointers are ours and good: what remains is an option's value
    case ZETA_ERROR_DEVICE:
    case ZETA_ERROR_ISA:
        return kExitUsage;
    case ZETA_ERROR_SHAPE:
    case ZETA_ERROR_STRIDE:
    case ZETA_ERROR_DTYPE:
    case ZETA_ERROR_OVERLAP:
    case ZETA_ERROR_FORMAT:
        return kExitInput;
    default:
        return kExitInternal;
    }
}

} // namespace

void check(zeta_status status, const std::string &what) {
    if (status == ZETA_OK) return;
    if (status == ZETA_ERROR_CANCELLED) throw CommandError(kExitInternal, what + ": interrupted");
    std::string sentence = zeta_last_error();
    if (sentence.empty()) sentence = zeta_status_name(status);
    throw CommandError(exit_code_of(status), what + ": " + sentence);
}

Context::Context(int threads, const std::string &isa) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = threads;
    params.isa = isa.empty() ? nullptr : isa.c_str();
    const char *from_environment = std::getenv("ZETA_ISA");
    const bool named = isa.empty() && from_environment && *from_environment;
    check(zeta_context_create(&context_, &params), named ? "ZETA_ISA" : isa.empty() ? "context" : "--isa " + isa);
}

Context::~Context() {
    zeta_context_destroy(&context_);
}

std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        const size_t colon = line.find(':');
        if (line.rfind("model name", 0) == 0 && colon != std::string::npos && colon + 2 < line.size())
            return line.substr(colon + 2);
    }
    struct utsname system;
    return ::uname(&system) == 0 ? system.machine : "unknown";
}

} // namespace zeta::app
