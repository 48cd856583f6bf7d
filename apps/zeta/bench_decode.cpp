// SPDX-License-Identifier: Apache-2.0
// `zeta bench decode`: options and report; the timing is in bench_decode_run.cpp, the dense opponent in
// bench_dense.cpp.
#include "bench_decode.hpp"

#include <cmath>
#include <iomanip>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

#include "bench_decode_run.hpp"
#include "bench_report.hpp"
#include "commands.hpp"
#include "options.hpp"
#include "zeta/cache.h"

namespace zeta::app {

namespace {

struct Job {
    AttentionOptions options;
    BenchShape shape;
    DecodePlan plan;
    std::string input = "gaussian";
    std::string value_type = "f32";
    bool no_dense = false;
    bool json = false;
};

int32_t value_type_of(const std::string &name) {
    if (name == "bf16") return ZETA_BF16;
    if (name == "f16") return ZETA_F16;
    return name == "i8" ? int32_t{ZETA_I8} : int32_t{ZETA_F32};
}

// Settings as they were used, defaults resolved.
Report settings_of(const Job &job) {
    Report settings;
    settings["context"] = job.plan.context;
    settings["steps"] = job.plan.steps;
    settings["span"] = job.plan.roll_back();
    settings["repeat"] = job.plan.runs;
    settings["input"] = job.input;
    settings["heads"] = job.shape.heads;
    settings["kv_heads"] = job.shape.groups;
    settings["dk"] = job.shape.dk;
    settings["dv"] = job.shape.dv;
    settings["value_type"] = job.value_type;
    describe_attention(job.options, settings);
    return settings;
}

double dense_us(const DecodeResult &result) {
    return std::min(result.loop_us, result.library_us);
}

Report times_json(const StepTimes &times) {
    return {{"median_us", times.median}, {"p99_us", times.p99}, {"p999_us", times.p999}, {"max_us", times.max}};
}

StepTimes per_head(const StepTimes &times, double heads) {
    return {times.median / heads, times.p99 / heads, times.p999 / heads, times.max / heads, times.mean / heads};
}

void print_json(const Job &job, const Context &context, const DecodeResult &result) {
    Report report = settings_of(job);
    describe_machine(context, report);
    report.update(times_json(result.best));
    report["tokens_per_second"] = 1e6 / result.best.mean;
    report["per_head"] = times_json(per_head(result.best, static_cast<double>(job.shape.heads)));
    report["runs"] = Report::array();
    for (const StepTimes &times : result.runs) report["runs"].push_back(times_json(times));
    report["bytes_per_token"] = result.bytes_per_token;
    report["bytes_of_raw"] = result.bytes_per_token / result.raw_bytes;
    const bool prefilled = job.plan.rounds > 0, dense = job.plan.dense;
    report["prefill_ms"] = prefilled ? Report(result.prefill_ms) : Report();
    report["forward_ms"] = prefilled ? Report(result.forward_ms) : Report();
    report["prefill_of_forward"] = prefilled ? Report(result.prefill_ms / result.forward_ms) : Report();
    report["dense_us"] = dense ? Report(dense_us(result)) : Report();
    report["dense_of_median"] = dense ? Report(dense_us(result) / result.best.median) : Report();
    report["dense_loop_us"] = dense ? Report(result.loop_us) : Report();
    report["dense_library_us"] = dense ? Report(result.library_us) : Report();
    std::cout << report.dump() << "\n";
}

void print_row(const std::string &name, const std::vector<std::pair<double, const char *>> &figures) {
    std::cout << std::left << std::setw(18) << name << std::right << std::fixed;
    for (const auto &[value, unit] : figures)
        std::cout << std::setprecision(value < 1000 ? 3 : 0) << std::setw(14) << value << " " << std::left
                  << std::setw(14) << unit << std::right;
    std::cout << "\n";
}

void print_table(const Job &job, const Context &context, const DecodeResult &result) {
    print_heading(context, settings_of(job));
    const auto heads = static_cast<double>(job.shape.heads);
    const auto times = [&](const char *name, double value) {
        print_row(name, {{value, "us a step"}, {value / heads, "us a head"}});
    };
    times("median", result.best.median);
    times("99 %", result.best.p99);
    times("99.9 %", result.best.p999);
    times("slowest", result.best.max);
    print_row("tokens", {{1e6 / result.best.mean, "a second"}});
    print_row("memory", {{result.bytes_per_token, "bytes a token"},
                         {result.bytes_per_token / result.raw_bytes, "of raw keys and values"}});
    if (job.plan.rounds > 0) {
        print_row("prefill", {{result.prefill_ms, "ms"}, {result.prefill_ms / result.forward_ms, "of forward"}});
        print_row("forward", {{result.forward_ms, "ms"}});
    }
    if (job.plan.dense) {
        print_row("dense", {{dense_us(result), "us a step"}, {dense_us(result) / result.best.median, "of the median"}});
        print_row("  plain loop", {{result.loop_us, "us"}});
        print_row("  library", {{result.library_us, "us"}});
    }
}

void run_bench_decode(Job &job) {
    if (job.shape.groups == 0) job.shape.groups = job.shape.heads;
    if (job.shape.heads % job.shape.groups != 0)
        throw CommandError(kExitUsage, "--heads " + std::to_string(job.shape.heads) + " is no multiple of --kv-heads " +
                                           std::to_string(job.shape.groups));
    if (job.plan.context + job.plan.roll_back() > ZETA_MAX_KEYS)
        throw CommandError(kExitUsage, "--context " + std::to_string(job.plan.context) + " and " +
                                           std::to_string(job.plan.roll_back()) + " steps (--span) are more than " +
                                           std::to_string(ZETA_MAX_KEYS) + " positions");
    job.plan.dense = !job.no_dense;
    job.plan.dtype = job.options.element();
    job.plan.value_type = value_type_of(job.value_type);
    const zeta_attention_params params = job.options.params();
    job.options.check_heads(job.shape.heads);
    const Context context(job.options.threads, job.options.isa);
    const DecodeResult result = run_decode(context, params, job.input, job.shape, job.plan);
    job.json ? print_json(job, context, result) : print_table(job, context, result);
}

void add_plan_options(CLI::App &command, Job &job) {
    const auto count = [&](const char *name, auto &value, int64_t least, int64_t most, const char *help,
                           const char *text) {
        command.add_option(name, value, help)->check(CLI::Range(least, most))->option_text(text);
    };
    count("--context", job.plan.context, 1, ZETA_MAX_KEYS - 1, "positions in the cache before the first step [65536]",
          "N");
    count("--steps", job.plan.steps, 1, 1 << 30, "steps timed one by one in each run [20000]", "S");
    count("--repeat", job.plan.runs, 1, 1000, "runs; each tail figure is that of the best [3]", "R");
    count("--span", job.plan.span, 0, ZETA_MAX_KEYS - 1, "steps after which the cache is rolled back to N [N / 8]",
          "S");
    count("--rounds", job.plan.rounds, 0, 1000,
          "prefill and forward are timed so often; 0: the context is appended [3]", "R");
    count("--heads", job.shape.heads, 1, 65536, "query heads [1]", "H");
    count("--kv-heads", job.shape.groups, 1, 65536, "key and value heads [H]", "G");
    count("--dk", job.shape.dk, 1, ZETA_MAX_DK, "coordinates of a key [3]", "D");
    count("--dv", job.shape.dv, 1, 65536, "channels of a value [64]", "D");
    command.add_option("--value-type", job.value_type, "how the cache keeps values [f32]")
        ->check(CLI::IsMember({"f32", "bf16", "f16", "i8"}))
        ->option_text("f32|bf16|f16|i8");
    command
        .add_option("--input", job.input, "gaussian, clustered, drift, equal, sorted, crowded or outlier [gaussian]")
        ->check(CLI::IsMember(bench_kinds()))
        ->option_text("KIND");
    command.add_flag("--no-dense", job.no_dense, "leave the dense step out");
}

constexpr const char *kExamples = R"(Examples:
  zeta bench decode --context 1048576 --threads 1
  zeta bench decode --context 65536 --heads 16 --value-type bf16 --json
  zeta bench decode --context 4194304 --input drift --rounds 0 --no-dense

A step appends one token and answers its queries; q, k, v and out lie in the cache of the CPU.
Prefill goes into a new cache each time and takes turns with zeta_forward of the same tokens.
Median and tokens a second are medians over runs, tails those of the best run. dense: the same
query against every key in float32, by a vectorised loop and by zeta_dense_forward, whichever
is faster; with T threads they share the keys.)";

} // namespace

void add_bench_decode(CLI::App &bench, int &exit_code) {
    auto job = std::make_shared<Job>();
    job->shape.groups = 0;
    CLI::App *command =
        bench.add_subcommand("decode", "a cache of keys and values: steps of one token, prefill, memory");
    add_plan_options(*command, *job);
    add_attention_options(*command, job->options, false);
    command->add_flag("--json", job->json, "print one JSON object: settings, median_us, p999_us, max_us, dense_us ...");
    command->footer(kExamples);
    command->callback([job, &exit_code] {
        run_bench_decode(*job);
        exit_code = kExitOk;
    });
}

} // namespace zeta::app
