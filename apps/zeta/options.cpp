// SPDX-License-Identifier: Apache-2.0
// Ranges that do not depend on the inputs are checked here, by the parser; the library checks the rest.
#include "options.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <initializer_list>

#include <CLI/CLI.hpp>

#include "commands.hpp"

namespace zeta::app {

namespace {

bool parse_number(const std::string &text, float &value) {
    char *end = nullptr;
    value = std::strtof(text.c_str(), &end);
    return !text.empty() && !std::isspace(static_cast<unsigned char>(text[0])) && *end == '\0';
}

bool parse_number(const std::string &text, int64_t &value) {
    char *end = nullptr;
    errno = 0;
    value = std::strtoll(text.c_str(), &end, 10);
    return !text.empty() && !std::isspace(static_cast<unsigned char>(text[0])) && *end == '\0' && errno == 0;
}

template <class T>
CLI::Option *add_list_of(CLI::App &app, const std::string &name, std::vector<T> &list, const std::string &help) {
    return app.add_option_function<std::string>(
        name,
        [name, &list](const std::string &text) {
            std::vector<T> values;
            for (size_t begin = 0; begin <= text.size();) {
                const size_t end = std::min(text.find(',', begin), text.size());
                T value{};
                if (!parse_number(text.substr(begin, end - begin), value))
                    throw CLI::ValidationError(name, "'" + text + "' is not a comma-separated list of numbers");
                values.push_back(value);
                begin = end + 1;
            }
            list = values;
        },
        help);
}

int32_t index_of(const std::string &name, std::initializer_list<const char *> names) {
    int32_t index = 0;
    for (const char *candidate : names) {
        if (name == candidate) return index;
        ++index;
    }
    throw CommandError(kExitInternal, "unhandled option value '" + name + "'");
}

void add_search_options(CLI::App &app, AttentionOptions &options) {
    app.add_option("--neighbours", options.neighbours, "neighbours kept per query, 1..1024 [32]")
        ->check(CLI::Range(1, ZETA_MAX_NEIGHBOURS))
        ->option_text("K");
    app.add_option("--window", options.window, "candidates looked at before the K nearest are kept, K..65536 [K]")
        ->check(CLI::Range(1, ZETA_MAX_WINDOW))
        ->option_text("W");
    app.add_option("--select", options.select, "window: along the curve; exact: the true K nearest [window]")
        ->check(CLI::IsMember({"window", "exact"}))
        ->option_text("window|exact");
    app.add_option("--chunk", options.chunk, "causality granularity of the search; 1 is token-exact [1]")
        ->check(CLI::Range(int64_t{1}, INT64_MAX))
        ->option_text("C");
    app.add_option("--local", options.local, "most recent positions always attended [1; 0 with --no-causal]")
        ->check(CLI::Range(int64_t{0}, int64_t{ZETA_MAX_KEYS}))
        ->option_text("w");
    app.add_option("--first", options.first, "keys before this position are not searched [0]")
        ->check(CLI::Range(int64_t{0}, INT64_MAX))
        ->option_text("P");
    app.add_flag("--no-causal", options.no_causal, "every query may search every key");
    app.add_option("--grid", options.grid, "squash: the whole line; range: --range is the grid [squash]")
        ->check(CLI::IsMember({"squash", "range"}))
        ->option_text("squash|range");
    add_list(app, "--scale", options.scale, "width of the squash grid: half its cells lie in |x| < S [1]")
        ->option_text("S");
    add_list(app, "--range", options.range, "ends of the range grid [0,1]")->option_text("LO,HI");
}

void add_weight_options(CLI::App &app, AttentionOptions &options) {
    app.add_option("--score", options.score, "how distance becomes weight [cauchy]")
        ->check(CLI::IsMember({"cauchy", "gaussian", "laplace", "inverse", "dot"}))
        ->option_text("cauchy|gaussian|laplace|inverse|dot");
    add_list(app, "--gamma", options.gamma, "width of the score, one number or one per query head [1]")
        ->option_text("X[,X...]");
    app.add_option("--mean", options.mean, "attend the mean of the history too [on; off with --no-causal]")
        ->check(CLI::IsMember({"on", "off"}))
        ->option_text("on|off");
}

void add_machine_options(CLI::App &app, AttentionOptions &options) {
    app.add_option("--dtype", options.dtype, "round q, k, v to this type and run its kernels [f32]")
        ->check(CLI::IsMember({"f32", "bf16", "f16"}))
        ->option_text("f32|bf16|f16");
    app.add_option("--threads", options.threads, "threads, 0 for all [0]")
        ->check(CLI::Range(0, 1024))
        ->option_text("T");
    app.add_option("--isa", options.isa, "scalar, sse4, avx2, avx512, neon, sve or auto [$ZETA_ISA, else auto]")
        ->option_text("NAME");
    app.add_option("--device", options.device, "where to compute [cpu]")
        ->check(CLI::IsMember({"cpu", "cuda"}))
        ->option_text("cpu|cuda");
}

void check_grid(const AttentionOptions &options) {
    const auto usage = [](const std::string &sentence) { throw CommandError(kExitUsage, sentence); };
    if (!options.scale.empty() && options.grid != "squash") usage("--scale belongs to --grid squash");
    if (!options.range.empty() && options.grid != "range") usage("--range belongs to --grid range");
    if (options.scale.size() > 1)
        usage("--scale: " + std::to_string(options.scale.size()) + " numbers given, 1 needed");
    if (!options.range.empty() && options.range.size() != 2)
        usage("--range: " + std::to_string(options.range.size()) + " numbers given, 2 needed (LO,HI)");
}

void check_lengths(const char *option, const std::vector<int64_t> &lengths, int64_t most) {
    for (const int64_t length : lengths)
        if (length < 0 || length > most)
            throw CommandError(kExitUsage, std::string(option) + ": a length of " + std::to_string(length) +
                                               " is not in 0.." + std::to_string(most));
}

} // namespace

CLI::Validator named_file() {
    return CLI::Validator([](std::string &name) { return name.empty() ? "the name of a file is missing" : ""; }, "");
}

CLI::Option *add_list(CLI::App &app, const std::string &name, std::vector<float> &list, const std::string &help) {
    return add_list_of(app, name, list, help);
}

CLI::Option *add_list(CLI::App &app, const std::string &name, std::vector<int64_t> &list, const std::string &help) {
    return add_list_of(app, name, list, help);
}

void add_attention_options(CLI::App &app, AttentionOptions &options, bool packed) {
    add_search_options(app, options);
    add_weight_options(app, options);
    if (packed) {
        add_list(app, "--seqlens", options.seqlens, "lengths of packed sequences, adding up to N")
            ->option_text("A,B,...");
        add_list(app, "--seqlens-k", options.seqlens_k, "lengths of their keys, adding up to M [--seqlens]")
            ->option_text("A,B,...")
            ->needs("--seqlens");
    }
    add_machine_options(app, options);
}

int32_t AttentionOptions::element() const {
    return dtype == "bf16" ? ZETA_BF16 : dtype == "f16" ? ZETA_F16 : ZETA_F32;
}

zeta_attention_params AttentionOptions::params() const {
    if (device != "cpu") throw CommandError(kExitUsage, "--device " + device + ": not supported by this build of zeta");
    check_grid(*this);
    if (!seqlens_k.empty() && seqlens_k.size() != seqlens.size())
        throw CommandError(kExitUsage, "--seqlens-k: " + std::to_string(seqlens_k.size()) +
                                           " lengths given, but --seqlens has " + std::to_string(seqlens.size()));
    check_lengths("--seqlens", seqlens, seqlens_k.empty() ? ZETA_MAX_KEYS : INT64_MAX);
    check_lengths("--seqlens-k", seqlens_k, ZETA_MAX_KEYS);
    zeta_attention_params params;
    zeta_attention_params_init(&params);
    params.neighbours = neighbours;
    params.window = window;
    params.select = index_of(select, {"window", "exact"});
    params.score = index_of(score, {"cauchy", "gaussian", "laplace", "inverse", "dot"});
    params.causal = causal() ? 1 : 0;
    params.mean = mean.empty() ? ZETA_DEFAULT : mean == "on" ? 1 : 0;
    params.chunk = chunk;
    params.local = local;
    params.first = first;
    params.gamma = gamma.empty() ? nullptr : gamma.data();
    params.gamma_count = static_cast<int64_t>(gamma.size());
    params.grid.kind = index_of(grid, {"squash", "range"});
    if (!scale.empty()) params.grid.scale = scale.data();
    if (!range.empty()) {
        params.grid.lo = &range[0];
        params.grid.hi = &range[1];
    }
    params.sequences = static_cast<int64_t>(seqlens.size());
    params.q_lengths = seqlens.empty() ? nullptr : seqlens.data();
    params.k_lengths = seqlens_k.empty() ? nullptr : seqlens_k.data();
    return params;
}

void AttentionOptions::check_heads(int64_t heads) const {
    const auto given = static_cast<int64_t>(gamma.size());
    if (given > 1 && given != heads)
        throw CommandError(kExitUsage, "--gamma: " + std::to_string(given) + " numbers given, but q has " +
                                           std::to_string(heads) + " heads");
}

} // namespace zeta::app
