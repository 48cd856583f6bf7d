// SPDX-License-Identifier: Apache-2.0
// Settings and machine, for people and as JSON.
#include "bench_report.hpp"

#include <iostream>

namespace zeta::app {

void describe_attention(const AttentionOptions &options, Report &settings) {
    settings["neighbours"] = options.neighbours;
    settings["window"] = options.window == 0 ? options.neighbours : options.window;
    settings["select"] = options.select;
    settings["score"] = options.score;
    settings["causal"] = options.causal();
    settings["chunk"] = options.chunk;
    settings["local"] = options.local_width();
    settings["first"] = options.first;
    settings["mean"] = options.mean_on();
    settings["grid"] = options.grid;
    settings["dtype"] = options.dtype;
}

void describe_machine(const Context &context, Report &report) {
    report["version"] = zeta_version();
    report["cpu"] = cpu_name();
    report["isa"] = context.isa();
    report["threads"] = context.threads();
}

void print_heading(const Context &context, const Report &settings) {
    std::cout << "zeta " << zeta_version() << ", " << cpu_name() << ", " << context.isa() << ", " << context.threads()
              << (context.threads() == 1 ? " thread" : " threads") << "\n";
    const char *separator = "";
    for (const auto &item : settings.items()) {
        const std::string text = item.value().is_string() ? item.value().get<std::string>() : item.value().dump();
        std::cout << separator << item.key() << " " << text;
        separator = ", ";
    }
    std::cout << "\n";
}

} // namespace zeta::app
