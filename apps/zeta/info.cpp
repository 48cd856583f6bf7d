// SPDX-License-Identifier: Apache-2.0
// `zeta info`: what this build and this machine offer.
#include <iostream>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "session.hpp"

namespace zeta::app {

namespace {

struct Job {
    int threads = 0;
    std::string isa;
    bool json = false;
};

void run_info(const Job &job) {
    const Context context(job.threads, job.isa);
    std::vector<std::string> present;
    for (int32_t index = 0; const char *name = zeta_isa_present(index); ++index) present.push_back(name);
    if (job.json) {
        nlohmann::ordered_json report;
        report["version"] = zeta_version();
        report["cpu"] = cpu_name();
        report["isa_present"] = present;
        report["isa_used"] = context.isa();
        report["threads"] = context.threads();
        report["blas_core"] = zeta_blas_core();
        report["cuda"] = zeta_has_feature("cuda") == 1;
        std::cout << report.dump() << "\n";
        return;
    }
    std::cout << "version      " << zeta_version() << "\n"
              << "cpu          " << cpu_name() << "\n"
              << "isa present ";
    for (const std::string &name : present) std::cout << " " << name;
    std::cout << "\n"
              << "isa used     " << context.isa() << "\n"
              << "threads      " << context.threads() << "\n"
              << "blas core    " << zeta_blas_core() << "\n"
              << "cuda         " << (zeta_has_feature("cuda") == 1 ? "yes" : "no") << "\n";
}

constexpr const char *kExamples = R"(Examples:
  zeta info
  zeta info --json
  ZETA_ISA=avx2 zeta info)";

} // namespace

void add_info(CLI::App &app, int &exit_code) {
    auto job = std::make_shared<Job>();
    CLI::App *command = app.add_subcommand("info", "version, CPU, instruction sets, threads, BLAS, CUDA");
    command->add_option("--threads", job->threads, "threads, 0 for all [0]")
        ->check(CLI::Range(0, 1024))
        ->option_text("T");
    command->add_option("--isa", job->isa, "instruction set to ask for [$ZETA_ISA, else auto]")->option_text("NAME");
    command->add_flag("--json", job->json,
                      "print one JSON object: version, cpu, isa_present, isa_used, threads, blas_core, cuda");
    command->footer(kExamples);
    command->callback([job, &exit_code] {
        run_info(*job);
        exit_code = kExitOk;
    });
}

} // namespace zeta::app
