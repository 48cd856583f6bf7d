// SPDX-License-Identifier: Apache-2.0
// What the reports of all benchmarks begin with: the settings as they were used, and the machine.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"
#include "session.hpp"

namespace zeta::app {

using Report = nlohmann::ordered_json;

// Adds neighbours ... dtype, defaults resolved.
void describe_attention(const AttentionOptions &options, Report &settings);

// Adds version, cpu, isa and threads.
void describe_machine(const Context &context, Report &report);

// Two lines: the machine, then "name value, name value, ...".
void print_heading(const Context &context, const Report &settings);

} // namespace zeta::app
