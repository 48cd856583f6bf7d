// SPDX-License-Identifier: Apache-2.0
// `zeta bench` and `zeta bench attend`: options and report; the timing is in bench_run.cpp, the inputs in
// bench_inputs.cpp.
#include <iomanip>
#include <iostream>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>

#include "bench_decode.hpp"
#include "bench_report.hpp"
#include "bench_run.hpp"
#include "commands.hpp"
#include "options.hpp"

namespace zeta::app {

namespace {

struct Job {
    AttentionOptions options;
    BenchShape shape;
    BenchPlan plan;
    std::string pass = "forward";
    std::string input = "gaussian";
    bool json = false;
};

// Settings as they were used, defaults resolved.
Report settings_of(const Job &job) {
    Report settings;
    settings["pass"] = job.pass;
    settings["input"] = job.input;
    settings["n"] = job.shape.n;
    settings["m"] = job.shape.m;
    settings["heads"] = job.shape.heads;
    settings["kv_heads"] = job.shape.groups;
    settings["dk"] = job.shape.dk;
    settings["dv"] = job.shape.dv;
    describe_attention(job.options, settings);
    settings["repeat"] = job.plan.repeat;
    return settings;
}

void print_json(const Job &job, const Context &context, const BenchResult &result) {
    Report report = settings_of(job);
    describe_machine(context, report);
    report["median_ms"] = result.median_ms;
    report["min_ms"] = result.min_ms;
    if (job.plan.copy) report["copy_ms"] = result.copy_ms;
    report["stages"] = Report::object();
    for (const auto &stage : result.stages) report["stages"][stage.first] = stage.second;
    std::cout << report.dump() << "\n";
}

void print_table(const Job &job, const Context &context, const BenchResult &result) {
    print_heading(context, settings_of(job));
    const auto row = [](const std::string &name, double ms) {
        std::cout << std::left << std::setw(16) << name << std::right << std::fixed << std::setprecision(3)
                  << std::setw(14) << ms << " ms\n";
    };
    row("median", result.median_ms);
    row("min", result.min_ms);
    if (job.plan.copy) row("copy", result.copy_ms);
    for (const auto &stage : result.stages) row("  " + stage.first, stage.second);
}

void run_bench_attend(Job &job) {
    if (job.shape.m < 0) job.shape.m = job.shape.n;
    if (job.shape.groups == 0) job.shape.groups = job.shape.heads;
    if (job.shape.heads % job.shape.groups != 0)
        throw CommandError(kExitUsage, "--heads " + std::to_string(job.shape.heads) + " is no multiple of --kv-heads " +
                                           std::to_string(job.shape.groups));
    if (job.options.causal() && job.shape.m < job.shape.n)
        throw CommandError(kExitUsage, "--m " + std::to_string(job.shape.m) + " is less than --n " +
                                           std::to_string(job.shape.n) +
                                           ": causal attention needs a key for each query");
    job.plan.backward = job.pass == "backward";
    const zeta_attention_params params = job.options.params();
    job.options.check_heads(job.shape.heads);
    const Context context(job.options.threads, job.options.isa);
    BenchInputs inputs = make_bench_inputs(job.input, job.shape, job.plan.backward);
    for (Array *array : {&inputs.q, &inputs.k, &inputs.v, &inputs.grad_out})
        *array = round_to(std::move(*array), job.options.element());
    const BenchResult result = run_bench(context, params, inputs, job.plan);
    job.json ? print_json(job, context, result) : print_table(job, context, result);
}

void add_shape_options(CLI::App &command, Job &job) {
    const auto count = [&](const char *name, int64_t &value, int64_t least, int64_t most, const char *help,
                           const char *text) {
        command.add_option(name, value, help)->check(CLI::Range(least, most))->option_text(text);
    };
    count("--n", job.shape.n, 0, int64_t{1} << 31, "queries [65536]", "N");
    count("--m", job.shape.m, 0, ZETA_MAX_KEYS, "keys [N]", "M");
    count("--heads", job.shape.heads, 1, 65536, "query heads [1]", "H");
    count("--kv-heads", job.shape.groups, 1, 65536, "key and value heads [H]", "G");
    count("--dk", job.shape.dk, 1, ZETA_MAX_DK, "coordinates of a key [3]", "D");
    count("--dv", job.shape.dv, 1, 65536, "channels of a value [64]", "D");
    command.add_option("--pass", job.pass, "backward: zeta_backward alone, given saved state [forward]")
        ->check(CLI::IsMember({"forward", "backward"}))
        ->option_text("forward|backward");
    command
        .add_option("--input", job.input, "gaussian, clustered, drift, equal, sorted, crowded or outlier [gaussian]")
        ->check(CLI::IsMember(bench_kinds()))
        ->option_text("KIND");
    command.add_option("--repeat", job.plan.repeat, "timed calls, after one warm-up [5]")
        ->check(CLI::Range(1, 1000000))
        ->option_text("R");
    command.add_flag("--copy", job.plan.copy, "time a copy of q, k, v and out beside each call");
}

constexpr const char *kExamples = R"(Examples:
  zeta bench attend --n 65536 --threads 1
  zeta bench attend --n 1048576 --input drift --copy --json
  zeta bench attend --n 65536 --select exact --pass backward --repeat 9

Inputs have a fixed seed. clustered: 256 centres, spread 0.05; crowded: 8, 0.00001; drift:
keys walk along, queries beside them; equal: all 0.25; sorted: each coordinate sorted; outlier:
the first key a million away. Stages are those of the run at the median; with several heads in
flight they add up over heads.)";

} // namespace

void add_bench(CLI::App &app, int &exit_code) {
    auto job = std::make_shared<Job>();
    job->shape.n = 65536;
    job->shape.m = -1;
    job->shape.groups = 0;
    CLI::App *bench = app.add_subcommand("bench", "time the library on generated inputs");
    bench->require_subcommand(1);
    CLI::App *command = bench->add_subcommand("attend", "attention, forward or backward");
    add_shape_options(*command, *job);
    add_attention_options(*command, job->options, false);
    command->add_flag("--json", job->json, "print one JSON object: settings, median_ms, min_ms, stages in ms");
    command->footer(kExamples);
    bench->footer(
        "Examples:\n  zeta bench attend --n 65536 --threads 1\n  zeta bench decode --context 1048576 --threads 1");
    command->callback([job, &exit_code] {
        run_bench_attend(*job);
        exit_code = kExitOk;
    });
    add_bench_decode(*bench, exit_code);
}

} // namespace zeta::app
