// SPDX-License-Identifier: Apache-2.0
// `zeta recall`: the share of the true nearest keys that the selection finds.
#include <iomanip>
#include <iostream>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "inputs.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace zeta::app {

namespace {

struct Job {
    InputPaths inputs;
    AttentionOptions options;
    bool json = false;
};

void run_recall(const Job &job) {
    zeta_attention_params params = job.options.params();
    const Context context(job.options.threads, job.options.isa);
    const Inputs inputs = load_inputs(job.inputs, job.options.element(), job.options.causal(), false);
    job.options.check_heads(inputs.q.extent(-3));
    const zeta_tensor q = inputs.q.view(4), k = inputs.k.view(4);
    std::vector<float> per_head(static_cast<size_t>(inputs.q.extent(-3)) + 1);
    double recall = 0;
    {
        ProgressBar bar("recall");
        params.progress = ProgressBar::callback;
        params.progress_user = &bar;
        check(zeta_recall(context.get(), &params, &q, &k, &recall, per_head.data()), "recall");
    }
    per_head.pop_back();
    if (job.json) {
        nlohmann::ordered_json report;
        report["recall"] = recall;
        report["per_head"] = per_head;
        std::cout << report.dump() << "\n";
        return;
    }
    std::cout << std::fixed << std::setprecision(6) << "recall " << recall << "\n";
    if (per_head.size() > 1)
        for (size_t head = 0; head < per_head.size(); ++head)
            std::cout << "head " << head << " " << per_head[head] << "\n";
}

constexpr const char *kExamples = R"(Examples:
  zeta recall --q q.npy --k k.npy
  zeta recall --in qkv.safetensors --window 128 --json

Per query: the share of its selected keys that are as near as the K-th nearest of all it may
search; per head the mean over queries and batches. --select exact gives 1.)";

} // namespace

void add_recall(CLI::App &app, int &exit_code) {
    auto job = std::make_shared<Job>();
    CLI::App *command = app.add_subcommand("recall", "how many of the true nearest keys the selection finds");
    add_input_options(*command, job->inputs, false);
    add_attention_options(*command, job->options, true);
    command->add_flag("--json", job->json, "print one JSON object: recall, per_head");
    command->footer(kExamples);
    command->callback([job, &exit_code] {
        run_recall(*job);
        exit_code = kExitOk;
    });
}

} // namespace zeta::app
