// SPDX-License-Identifier: Apache-2.0
// `zeta predict`: attention over the contexts of a text as a predictor of its next byte. Nothing is trained: the keys
// are a fixed function of the text, the heads differ in gamma alone, and their distributions are mixed online.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "options.hpp"
#include "outputs.hpp"
#include "predict_compressors.hpp"
#include "predict_corpus.hpp"
#include "predict_picture.hpp"
#include "predict_report.hpp"
#include "predict_run.hpp"
#include "predict_stream.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace zeta::app {

namespace {

constexpr int64_t kDense = 16384; // bytes: a few seconds on two cores
constexpr int64_t kKeep = 65536;  // positions of a stream: about 40 MiB

struct Job {
    PredictModel model;
    std::string text; // empty: the one that comes with zeta
    int64_t limit = 0;
    int64_t dense = kDense;
    std::vector<std::string> select{"window", "reranked", "exact"};
    std::string picture = "zeta-predict.svg";
    bool no_picture = false;
    std::string save_distributions;
    int32_t threads = 0;
    std::string isa;
    bool json = false;
    bool stream = false; // the rest: with a cache
    std::string save_cache, load_cache;
    int64_t keep = -1; // < 0: kKeep of a stream, all of a file
    int64_t renew = ZETA_MAX_KEYS;
};

void check_job(const Job &job) {
    if (job.model.window > 0 && job.model.window < job.model.neighbours)
        throw CommandError(kExitUsage, "--window " + std::to_string(job.model.window) + " is less than --neighbours " +
                                           std::to_string(job.model.neighbours));
    if (job.model.gamma.size() > 64)
        throw CommandError(kExitUsage, "--gamma: " + std::to_string(job.model.gamma.size()) +
                                           " heads given, at most 64 can be mixed");
    for (float gamma : job.model.gamma)
        if (!(gamma >= 0x1p-30f && gamma <= 0x1p30f))
            throw CommandError(kExitUsage, "--gamma " + std::to_string(gamma) + " is not in 2^-30..2^30");
}

void run_passes(const Job &job, const Context &context, const Corpus &corpus, PredictReport &report, Outputs &outputs,
                ProgressBar &bar) {
    Array distributions;
    if (outputs.wants("--save-distributions")) distributions = Array(ZETA_F32, {report.bytes, 256});
    for (const std::string &select : job.select) {
        const bool save = report.passes.empty() && distributions.size() > 0;
        report.passes.push_back(run_pass(context, job.model, corpus,
                                         {select, report.bytes, report.prefix, save ? &distributions : nullptr}, bar));
        if (select == "exact")
            report.passes.back().recall = 1;
        else
            measure_recall(context, job.model, corpus, report.passes.back(), bar);
    }
    if (report.prefix > 0)
        report.dense = run_pass(context, job.model, corpus, {"dense", report.prefix, report.prefix, nullptr}, bar);
    outputs.write("--save-distributions", distributions);
}

void run_predict(Job &job) {
    const auto start = std::chrono::steady_clock::now();
    if (job.no_picture) job.picture.clear();
    Outputs outputs;
    outputs.announce("--picture", job.picture);
    outputs.announce("--save-distributions", job.save_distributions);
    const Context context(job.threads, job.isa);
    PredictReport report;
    report.text = job.text.empty() ? shipped_text() : job.text;
    Corpus corpus;
    corpus.text = read_text(report.text, job.limit);
    corpus.keys = embed(corpus.text, job.model.dk);
    corpus.values = embed_values(corpus.text);
    report.bytes = static_cast<int64_t>(corpus.text.size());
    report.model = job.model;
    report.isa = context.isa();
    report.threads = context.threads();
    report.prefix = std::min(job.dense, report.bytes);
    ProgressBar bar("predict"); // holds signals off until everything is written
    run_passes(job, context, corpus, report, outputs, bar);
    report.compressors = run_compressors(corpus.text);
    if (!job.picture.empty()) {
        const std::string picture = draw_picture(context, job.model, corpus, picture_position(corpus.text));
        outputs.write("--picture", {{picture.data(), picture.size()}});
    }
    report.picture = job.picture;
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ProgressBar::check_interrupted("predict");
    job.json ? print_json(report) : print_table(report);
    flush_report();
    outputs.commit();
}

// Whether a cache predicts. Throws CommandError for what does not go together.
bool check_online(const CLI::App &command, const Job &job) {
    const auto given = [&](const char *name) { return command.get_option(name)->count() > 0; };
    const auto usage = [](const std::string &sentence) { throw CommandError(kExitUsage, sentence); };
    const bool save = given("--save-cache"), load = given("--load-cache"), online = job.stream || save || load;
    for (const char *name : {"--keep", "--renew"})
        if (!online && given(name)) usage(std::string(name) + " belongs to --stream, --save-cache or --load-cache");
    for (const char *name : {"--picture", "--save-distributions", "--dense"})
        if (online && given(name))
            usage(std::string(name) + " does not go with --stream, --save-cache or --load-cache");
    if (job.stream && given("--text")) usage("--text does not go with --stream, which reads the standard input");
    if (online && given("--select") && job.select.size() > 1)
        usage("--select: a cache serves one selection, " + std::to_string(job.select.size()) + " given");
    if (job.keep > job.renew / 2)
        usage("--keep " + std::to_string(job.keep) + " is more than half of --renew " + std::to_string(job.renew));
    return online;
}

void run_predict_online(const CLI::App &command, const Job &job) {
    OnlineJob online;
    online.model = job.model;
    online.plan.select = command.get_option("--select")->count() > 0 ? job.select[0] : "window";
    online.plan.keep = job.keep >= 0 ? job.keep : job.stream ? std::min(kKeep, job.renew / 2) : 0;
    online.plan.renew = job.renew;
    online.stream = job.stream;
    online.text = job.text;
    online.limit = job.limit;
    online.save = job.save_cache;
    online.load = job.load_cache;
    online.threads = job.threads;
    online.isa = job.isa;
    online.json = job.json;
    run_online(online);
}

void add_text_options(CLI::App &command, Job &job) {
    command.add_option("--text", job.text, "predict this file [the novel that comes with zeta]")
        ->check(named_file())
        ->option_text("FILE");
    command.add_option("--limit", job.limit, "only its first bytes; 0 for all [0]")
        ->check(CLI::Range(int64_t{0}, int64_t{ZETA_MAX_KEYS}))
        ->option_text("BYTES");
    command.add_option("--dense", job.dense, "give dense attention the first bytes; 0 for none [16384]")
        ->check(CLI::Range(int64_t{0}, int64_t{ZETA_MAX_KEYS}))
        ->option_text("BYTES");
}

void add_cache_options(CLI::App &command, Job &job) {
    command.add_flag("--stream", job.stream, "predict the standard input as it comes, to its end or Ctrl-C");
    command.add_option("--save-cache", job.save_cache, "write what is needed to go on after the last byte")
        ->check(named_file())
        ->option_text("FILE");
    command.add_option("--load-cache", job.load_cache, "go on where --save-cache left off, with the same options")
        ->check(named_file())
        ->option_text("FILE");
    command
        .add_option("--keep", job.keep, "search the last P positions alone, to a sixteenth; 0: all [65536; files: 0]")
        ->check(CLI::Range(int64_t{0}, int64_t{ZETA_MAX_KEYS / 2}))
        ->option_text("P");
    command
        .add_option("--renew", job.renew, "start the cache again from those kept when it has P positions [16777216]")
        ->check(CLI::Range(int64_t{2}, int64_t{ZETA_MAX_KEYS}))
        ->option_text("P");
}

void add_model_options(CLI::App &command, Job &job) {
    command.add_option("--select", job.select, "comma-separated: window, reranked, exact [all three]")
        ->delimiter(',')
        ->check(CLI::IsMember({"window", "reranked", "exact"}))
        ->option_text("NAME[,NAME...]");
    command.add_option("--neighbours", job.model.neighbours, "neighbours per query and head, 1..1024 [128]")
        ->check(CLI::Range(1, ZETA_MAX_NEIGHBOURS))
        ->option_text("K");
    command.add_option("--window", job.model.window, "candidates of the re-ranked selection, K..65536 [4 K]")
        ->check(CLI::Range(1, ZETA_MAX_WINDOW))
        ->option_text("W");
    add_list(command, "--gamma", job.model.gamma, "one head for each, widest first [0.05,0.01,0.002,0.0003,0.00003]")
        ->option_text("X[,X...]");
    command.add_option("--dk", job.model.dk, "coordinates of a key, 1..32 [3]")
        ->check(CLI::Range(1, ZETA_MAX_DK))
        ->option_text("D");
}

void add_other_options(CLI::App &command, Job &job) {
    auto *picture = command.add_option("--picture", job.picture, "where the picture goes [zeta-predict.svg]");
    picture->check(named_file())->option_text("FILE");
    command.add_flag("--no-picture", job.no_picture, "draw none")->excludes(picture);
    command
        .add_option("--save-distributions", job.save_distributions,
                    "float32 [N, 256]: row t the distribution of byte t under the first selection; 1 KiB a byte")
        ->check(named_file())
        ->option_text("F.npy");
    command.add_option("--threads", job.threads, "threads, 0 for all [0]")
        ->check(CLI::Range(0, 1024))
        ->option_text("T");
    command.add_option("--isa", job.isa, "scalar, sse4, avx2, avx512, neon, sve or auto [$ZETA_ISA, else auto]")
        ->option_text("NAME");
    command.add_flag("--json", job.json, "print one JSON object");
}

constexpr const char *kExamples = R"(Examples:
  zeta predict
  zeta predict --text book.txt --select window --no-picture
  zeta predict --limit 20000 --save-distributions p.npy --json
  tail -f log.txt | zeta predict --stream --keep 100000
  zeta predict --text one.txt --save-cache c.zeta
  zeta predict --text two.txt --load-cache c.zeta --save-cache c.zeta

Every position of the text asks which earlier contexts were most like its own; what followed
them is the prediction. A context is a point: the bits of the bytes before it, latest first,
dealt round the dk coordinates, so that the Z-curve sorts reversed contexts. Heads weigh near
and far contexts differently (gamma); an online mixer learns as it goes whom to believe. Row t
uses bytes before t alone. Sizes are code lengths, set beside xz -9e and bzip2 -9. recall: the
share of the true K nearest contexts that the selection found.

--stream, --save-cache and --load-cache predict with a cache of keys and values and one
selection (window unless --select says another), and compare with nothing. Figures are those of
one run over all of the text, also where it came in several runs. On a terminal --stream shows
bits per byte as it reads. The end of the input, --limit, Ctrl-C and SIGTERM end a stream alike:
the byte at hand is finished, the cache saved if it is to be, the figures printed, exit code 0.)";

} // namespace

void add_predict(CLI::App &app, int &exit_code) {
    auto job = std::make_shared<Job>();
    CLI::App *command = app.add_subcommand("predict", "predict each byte of a text from the contexts before it");
    add_text_options(*command, *job);
    add_cache_options(*command, *job);
    add_model_options(*command, *job);
    add_other_options(*command, *job);
    command->footer(kExamples);
    command->callback([job, command, &exit_code] {
        check_job(*job);
        check_online(*command, *job) ? run_predict_online(*command, *job) : run_predict(*job);
        exit_code = kExitOk;
    });
}

} // namespace zeta::app
