// SPDX-License-Identifier: Apache-2.0
// A stream is predicted byte by byte, and an interrupt is its ordinary end: figures are printed and the cache is saved.
// A file is predicted in pieces, and an interrupt cancels.
#include "predict_stream.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <optional>
#include <vector>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "file.hpp"
#include "outputs.hpp"
#include "predict_corpus.hpp"
#include "predict_input.hpp"
#include "predict_saved.hpp"
#include "progress.hpp"

namespace zeta::app {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// The running figures, where the standard error stream is a terminal.
class RunningLine {
public:
    explicit RunningLine(const OnlinePredictor &predictor)
        : predictor_(predictor), terminal_(::isatty(STDERR_FILENO) == 1), begun_(Clock::now()),
          before_(predictor.bytes()) {}
    ~RunningLine() {
        if (drawn_) std::fputs("\r\033[K", stderr);
    }
    RunningLine(const RunningLine &) = delete;
    RunningLine &operator=(const RunningLine &) = delete;

    // `now`: whatever the time since the last line, as before a wait.
    void update(bool now) {
        constexpr auto kBetween = std::chrono::milliseconds(100);
        if (!terminal_ || (!now && Clock::now() - last_ < kBetween)) return;
        last_ = Clock::now();
        drawn_ = true;
        const auto bytes = static_cast<double>(predictor_.bytes());
        const double rate = (bytes - static_cast<double>(before_)) / std::max(seconds_since(begun_), 1e-3);
        std::fprintf(stderr, "\r%.0f bytes, %.4f bits/byte, the last thousand %.2f, %.0f bytes/s\033[K", bytes,
                     bytes > 0 ? predictor_.bits() / bytes : 0, predictor_.recent(), rate);
        std::fflush(stderr);
    }

private:
    const OnlinePredictor &predictor_;
    bool terminal_, drawn_ = false;
    Clock::time_point begun_, last_;
    int64_t before_;
};

// What a run adds to what was loaded, and how it ended.
struct Outcome {
    std::string source; // a path, or "standard input"
    int64_t bytes_before = 0;
    double bits_before = 0;
    const char *end = "end"; // or "limit", "interrupt"
    double seconds = 0;
};

void predict_stream(const OnlineJob &job, OnlinePredictor &predictor, LiveInput &input, Outcome &outcome) {
    RunningLine line(predictor);
    std::vector<uint8_t> buffer(size_t{1} << 16);
    int64_t left = job.limit > 0 ? job.limit : INT64_MAX;
    while (left > 0) {
        line.update(true);
        const auto room = static_cast<size_t>(std::min<int64_t>(left, static_cast<int64_t>(buffer.size())));
        const size_t got = input.read(buffer.data(), room);
        for (size_t i = 0; i < got && !LiveInput::interrupted(); ++i, --left) {
            predictor.predict(&buffer[i], 1);
            line.update(false);
        }
        if (got == 0 || LiveInput::interrupted()) break;
    }
    outcome.end = LiveInput::interrupted() ? "interrupt" : left == 0 ? "limit" : "end";
}

void predict_file(const OnlineJob &job, OnlinePredictor &predictor, ProgressBar &bar, const Outcome &outcome) {
    const Text text = read_text(outcome.source, job.limit);
    for (size_t at = 0; at < text.size();) {
        const size_t piece = std::min(text.size() - at, static_cast<size_t>(OnlinePredictor::kPiece));
        predictor.predict(text.data() + at, static_cast<int64_t>(piece));
        at += piece;
        bar.update(static_cast<double>(at) / static_cast<double>(text.size()));
        ProgressBar::check_interrupted("predict");
    }
    bar.relabel("save");
}

// Before the figures are printed: a reader of them that is gone does not cost what was learned.
void save(const OnlineJob &job, const OnlinePredictor &predictor, Outputs &outputs) {
    if (!outputs.wants("--save-cache")) return;
    write_run({job.model, job.plan, predictor.state(), predictor.save_cache()}, "--save-cache", outputs);
    if (!job.stream) ProgressBar::check_interrupted("predict");
    outputs.commit();
}

void print_json(const OnlineJob &job, const Context &context, const OnlinePredictor &predictor,
                const Outcome &outcome) {
    using Json = nlohmann::ordered_json;
    const int64_t bytes = predictor.bytes(), added = bytes - outcome.bytes_before;
    const auto each = [](double bits, int64_t count) {
        return count > 0 ? Json(bits / static_cast<double>(count)) : Json();
    };
    Json object;
    object["version"] = zeta_version();
    object["cpu"] = cpu_name();
    object["isa"] = context.isa();
    object["threads"] = context.threads();
    object["text"] = outcome.source;
    object["dk"] = job.model.dk;
    object["gamma"] = job.model.gamma;
    object["select"] = job.plan.select;
    object["neighbours"] = job.model.neighbours;
    object["window"] = job.plan.select == "reranked" ? job.model.reranked_window() : job.model.neighbours;
    object["keep"] = job.plan.keep;
    object["renew"] = job.plan.renew;
    object["bytes"] = bytes;
    object["bits_per_byte"] = each(predictor.bits(), bytes);
    object["size"] = static_cast<int64_t>(std::ceil(predictor.bits() / 8));
    object["new_bytes"] = added;
    object["new_bits_per_byte"] = each(predictor.bits() - outcome.bits_before, added);
    object["cache_length"] = predictor.cache_length();
    object["cache_first"] = predictor.cache_first();
    object["cache_bytes"] = predictor.cache_bytes();
    object["end"] = outcome.end;
    object["seconds"] = outcome.seconds;
    std::cout << object.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

void print_figures(const OnlineJob &job, const Context &context, const OnlinePredictor &predictor,
                   const Outcome &outcome) {
    const int64_t bytes = predictor.bytes(), added = bytes - outcome.bytes_before;
    const auto row = [](const char *name, int64_t count, double bits) {
        std::cout << "  " << std::left << std::setw(12) << name << std::right << std::setw(14) << count << " bytes";
        if (count > 0)
            std::cout << std::fixed << std::setprecision(4) << std::setw(10) << bits / static_cast<double>(count)
                      << " bits/byte";
        std::cout << "\n";
    };
    std::cout << "zeta " << zeta_version() << ", " << cpu_name() << ", " << context.isa() << ", " << context.threads()
              << (context.threads() == 1 ? " thread" : " threads") << "\n"
              << printable(outcome.source) << "; " << job.plan.select << ", K " << job.model.neighbours << ", "
              << job.model.gamma.size() << (job.model.gamma.size() == 1 ? " head" : " heads") << "\n";
    row("all", bytes, predictor.bits());
    if (outcome.bytes_before > 0) row("this run", added, predictor.bits() - outcome.bits_before);
    const double rate = static_cast<double>(added) / std::max(outcome.seconds, 1e-9);
    std::cout << std::setprecision(1) << std::fixed << outcome.seconds << " s, " << std::setprecision(0) << rate
              << " bytes/s; " << predictor.cache_length() - predictor.cache_first() << " positions kept in "
              << std::setprecision(1) << static_cast<double>(predictor.cache_bytes()) / (1 << 20) << " MiB; "
              << (outcome.end == std::string("interrupt") ? "interrupted"
                  : outcome.end == std::string("limit")   ? "up to --limit"
                                                          : "to the end")
              << "\n";
}

} // namespace

void run_online(const OnlineJob &job) {
    Outputs outputs;
    outputs.announce("--save-cache", job.save);
    const Context context(job.threads, job.isa);
    OnlinePredictor predictor(context, job.model, job.plan);
    if (!job.load.empty()) {
        const SavedRun run = read_run(job.load, job.model, job.plan);
        predictor.load(run.state, run.cache.data(), run.cache.size());
    }
    Outcome outcome;
    outcome.source = job.stream ? "standard input" : job.text.empty() ? shipped_text() : job.text;
    outcome.bytes_before = predictor.bytes();
    outcome.bits_before = predictor.bits();
    std::optional<LiveInput> input; // both hold signals off until everything is written
    std::optional<ProgressBar> bar;
    const auto start = Clock::now();
    if (job.stream)
        predict_stream(job, predictor, input.emplace(), outcome);
    else
        predict_file(job, predictor, bar.emplace(job.plan.select), outcome);
    outcome.seconds = seconds_since(start);
    save(job, predictor, outputs);
    job.json ? print_json(job, context, predictor, outcome) : print_figures(job, context, predictor, outcome);
}

} // namespace zeta::app
