// SPDX-License-Identifier: Apache-2.0
// The library's context with an owner, its statuses as CommandErrors, and what is known of the machine.
#pragma once

#include <string>

#include "zeta/zeta.h"

namespace zeta::app {

// Throws CommandError for any status but ZETA_OK: options out of range are kExitUsage, tensors the library refuses
// kExitInput, the rest kExitInternal. `what` names the action or option.
void check(zeta_status status, const std::string &what);

class Context {
public:
    // threads 0: all. isa empty: the environment's ZETA_ISA, or the best present.
    Context(int threads, const std::string &isa);
    ~Context();
    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;

    zeta_context *get() const { return context_; }
    int threads() const { return zeta_context_threads(context_); }
    std::string isa() const { return zeta_context_isa(context_); }

private:
    zeta_context *context_ = nullptr;
};

// The CPU's model name, or its architecture where the system does not tell.
std::string cpu_name();

} // namespace zeta::app
