// SPDX-License-Identifier: Apache-2.0
// `zeta attend`: attention of tensors in files, its neighbours, normalisers, codes and gradients.
#include <chrono>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "inputs.hpp"
#include "options.hpp"
#include "outputs.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace zeta::app {

namespace {

using Clock = std::chrono::steady_clock;

struct Job {
    InputPaths inputs;
    AttentionOptions options;
    std::string out, neighbours, normaliser, codes_q, codes_k;
    std::string grad_out, grad_q, grad_k, grad_v, grad_gamma;
    bool json = false;
};

struct Timing {
    double forward_ms = 0, backward_ms = 0;
};

double ms_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void announce_all(const Job &job, Outputs &outputs) {
    outputs.announce("--out", job.out);
    outputs.announce("--save-neighbours", job.neighbours);
    outputs.announce("--save-normaliser", job.normaliser);
    outputs.announce("--save-codes-q", job.codes_q);
    outputs.announce("--save-codes-k", job.codes_k);
    outputs.announce("--save-grad-q", job.grad_q);
    outputs.announce("--save-grad-k", job.grad_k);
    outputs.announce("--save-grad-v", job.grad_v);
    outputs.announce("--save-grad-gamma", job.grad_gamma);
    if (outputs.empty()) throw CommandError(kExitUsage, "nothing to do: give --out or a --save option");
    const bool gradients = outputs.wants("--save-grad-q") || outputs.wants("--save-grad-k") ||
                           outputs.wants("--save-grad-v") || outputs.wants("--save-grad-gamma");
    if (gradients && job.grad_out.empty()) throw CommandError(kExitUsage, "the --save-grad options need --grad-out");
    if (!gradients && !job.grad_out.empty()) throw CommandError(kExitUsage, "--grad-out needs a --save-grad option");
}

// An array of an output that was asked for, with its view as the library wants it; NULL else.
struct Wanted {
    Wanted(const Outputs &outputs, const char *name, int32_t dtype, Shape shape, int rank) : option(name) {
        if (!outputs.wants(name)) return;
        array = Array(dtype, std::move(shape));
        tensor = array.view(rank);
        view = &tensor;
    }
    Wanted(const Wanted &) = delete;
    Wanted &operator=(const Wanted &) = delete;

    const char *option;
    Array array;
    zeta_tensor tensor;
    const zeta_tensor *view = nullptr;
};

void write_codes(const Context &context, const zeta_grid &grid, const Array &x, const char *option, Outputs &outputs) {
    Wanted codes(outputs, option, ZETA_U64, shape_like(x, -1), 3);
    if (!codes.view) return;
    const zeta_tensor points = x.view(4);
    check(zeta_codes_encode(context.get(), &grid, &points, codes.view), option);
    outputs.write(option, codes.array);
}

std::unique_ptr<char[]> run_forward(const Context &context, const zeta_attention_params &params, const Inputs &inputs,
                                    bool save, size_t *saved_size, Outputs &outputs, Timing &timing) {
    const zeta_tensor q = inputs.q.view(4), k = inputs.k.view(4), v = inputs.v.view(4);
    Array out(v.dtype, shape_like(inputs.q, inputs.v.extent(-1)));
    const zeta_tensor out_view = out.view(4);
    Wanted neighbours(outputs, "--save-neighbours", ZETA_I32, shape_like(inputs.q, params.neighbours), 4);
    Wanted normaliser(outputs, "--save-normaliser", ZETA_F32, shape_like(inputs.q, -1), 3);
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &out_view;
    args.neighbours = neighbours.view;
    args.normaliser = normaliser.view;
    std::unique_ptr<char[]> saved;
    if (save) {
        check(zeta_saved_size(context.get(), &params, &args, saved_size), "attend");
        saved.reset(new char[*saved_size + 1]);
        args.saved = saved.get();
        args.saved_size = *saved_size;
    }
    const auto begin = Clock::now();
    check(zeta_forward(context.get(), &params, &args), "attend");
    timing.forward_ms = ms_since(begin);
    outputs.write("--out", out);
    outputs.write("--save-neighbours", neighbours.array);
    outputs.write("--save-normaliser", normaliser.array);
    return saved;
}

void run_backward(const Context &context, const zeta_attention_params &params, const Inputs &inputs,
                  const Array &grad_out, const void *saved, size_t saved_size, Outputs &outputs, Timing &timing) {
    const zeta_tensor q = inputs.q.view(4), k = inputs.k.view(4), v = inputs.v.view(4), grad = grad_out.view(4);
    Wanted grad_q(outputs, "--save-grad-q", q.dtype, inputs.q.shape(), 4);
    Wanted grad_k(outputs, "--save-grad-k", k.dtype, inputs.k.shape(), 4);
    Wanted grad_v(outputs, "--save-grad-v", v.dtype, inputs.v.shape(), 4);
    Wanted grad_gamma(outputs, "--save-grad-gamma", ZETA_F32, {inputs.q.extent(-3)}, 1);
    zeta_backward_args args;
    zeta_backward_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.grad_out = &grad;
    args.grad_q = grad_q.view;
    args.grad_k = grad_k.view;
    args.grad_v = grad_v.view;
    args.grad_gamma = grad_gamma.view;
    args.saved = saved;
    args.saved_size = saved_size;
    const auto begin = Clock::now();
    check(zeta_backward(context.get(), &params, &args), "attend, backward");
    timing.backward_ms = ms_since(begin);
    for (const Wanted *wanted : {&grad_q, &grad_k, &grad_v, &grad_gamma}) outputs.write(wanted->option, wanted->array);
}

void print_report(const Job &job, const Context &context, const Inputs &inputs, const Timing &timing) {
    nlohmann::ordered_json report;
    report["version"] = zeta_version();
    report["isa"] = context.isa();
    report["threads"] = context.threads();
    report["dtype"] = job.options.dtype;
    report["q"] = inputs.q.shape();
    report["k"] = inputs.k.shape();
    report["v"] = inputs.v.shape();
    report["forward_ms"] = timing.forward_ms;
    if (!job.grad_out.empty()) report["backward_ms"] = timing.backward_ms;
    std::cout << report.dump() << "\n";
}

void run_attend(const Job &job) {
    zeta_attention_params params = job.options.params();
    Outputs outputs;
    announce_all(job, outputs);
    const Context context(job.options.threads, job.options.isa);
    const int32_t dtype = job.options.element();
    const Inputs inputs = load_inputs(job.inputs, dtype, job.options.causal(), true);
    job.options.check_heads(inputs.q.extent(-3));
    const bool backward = !job.grad_out.empty();
    const Array grad_out = backward ? load_grad_out(job.grad_out, inputs, dtype) : Array();

    ProgressBar bar("attend");
    params.progress = ProgressBar::callback;
    params.progress_user = &bar;
    Timing timing;
    const bool forward =
        backward || outputs.wants("--out") || outputs.wants("--save-neighbours") || outputs.wants("--save-normaliser");
    if (forward) {
        size_t saved_size = 0;
        const auto saved = run_forward(context, params, inputs, backward, &saved_size, outputs, timing);
        if (backward) {
            bar.relabel("backward");
            run_backward(context, params, inputs, grad_out, saved.get(), saved_size, outputs, timing);
        }
    }
    write_codes(context, params.grid, inputs.q, "--save-codes-q", outputs);
    write_codes(context, params.grid, inputs.k, "--save-codes-k", outputs);
    ProgressBar::check_interrupted("attend");
    if (job.json) print_report(job, context, inputs, timing);
    flush_report();
    outputs.commit();
}

constexpr const char *kExamples = R"(Examples:
  zeta attend --q q.npy --k k.npy --v v.npy --out out.npy
  zeta attend --in qkv.safetensors --out out.npy --neighbours 64 --window 256 --local 16
  zeta attend --in qkv.safetensors --out out.npy --score gaussian --gamma 0.5,1,2,4
  zeta attend --in qkv.safetensors --select exact --save-neighbours near.npy --dtype bf16
  zeta attend --in qkv.safetensors --grad-out g.npy --save-grad-q gq.npy --save-grad-k gk.npy

All outputs appear together or not at all. Floating outputs are float32, neighbours int32
(-1 for empty slots), codes uint64; leading axes are those of the inputs.)";

} // namespace

void add_attend(CLI::App &app, int &exit_code) {
    auto job = std::make_shared<Job>();
    CLI::App *command = app.add_subcommand("attend", "attention of q, k and v in files, forward and backward");
    add_input_options(*command, job->inputs, true);
    const auto output = [&](const char *name, std::string &path, const char *help) {
        command->add_option(name, path, help)->check(named_file())->option_text("FILE");
    };
    output("--out", job->out, "output .npy, [..., H, N, dv]");
    output("--save-neighbours", job->neighbours, "selected positions, int32 [..., H, N, K]");
    output("--save-normaliser", job->normaliser, "sum of weights (cauchy, inverse) or its logarithm, [..., H, N]");
    output("--save-codes-q", job->codes_q, "Z-order codes of the queries, uint64 [..., H, N]");
    output("--save-codes-k", job->codes_k, "Z-order codes of the keys, uint64 [..., G, M]");
    output("--grad-out", job->grad_out, "input: gradient of the output, shaped like it");
    output("--save-grad-q", job->grad_q, "gradient of q, shaped like q");
    output("--save-grad-k", job->grad_k, "gradient of k, shaped like k");
    output("--save-grad-v", job->grad_v, "gradient of v, shaped like v");
    output("--save-grad-gamma", job->grad_gamma, "gradient of gamma, [H]");
    add_attention_options(*command, job->options, true);
    command->add_flag("--json", job->json, "print times and shapes as one JSON object");
    command->footer(kExamples);
    command->callback([job, &exit_code] {
        run_attend(*job);
        exit_code = kExitOk;
    });
}

} // namespace zeta::app
