// SPDX-License-Identifier: Apache-2.0
// A command line of the fuzzer's choice, run in a folder of its own as `zeta` runs it: an exit code that --help names,
// of which "failure inside" is none that small inputs reach; one line on the standard error stream where it failed, and
// there nothing else is printed and no file is changed, made or lost; where it succeeded, none but those named; nothing
// stays open. An engine's relative names would count from that folder while a command runs: give it absolute ones.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include "commands.hpp"
#include "words.hpp"

namespace {

using namespace zeta::app;
using fuzz::CommandLine;
using fuzz::Folder;

struct Outcome {
    int code = -1;
    std::string out, err;
};

// The streams' buffers and format, and the working directory, as they were when it ends.
class Surroundings {
public:
    Surroundings()
        : home_(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), out_(std::cout.rdbuf(new_out_.rdbuf())),
          err_(std::cerr.rdbuf(new_err_.rdbuf())) {
        format_.copyfmt(std::cout);
    }
    ~Surroundings() {
        std::cout.rdbuf(out_); // which also clears its state
        std::cerr.rdbuf(err_);
        std::cout.copyfmt(format_);
        if (::fchdir(home_) != 0) std::abort();
        ::close(home_);
    }
    Surroundings(const Surroundings &) = delete;
    Surroundings &operator=(const Surroundings &) = delete;
    std::string out() const { return new_out_.str(); }
    std::string err() const { return new_err_.str(); }

private:
    int home_;
    std::ostringstream new_out_, new_err_;
    std::streambuf *out_, *err_;
    std::ios format_{nullptr};
};

Outcome run(Folder &folder, const CommandLine &line) {
    std::vector<std::string> words = line.words;
    words.insert(words.begin(), "zeta");
    std::vector<char *> argv;
    for (std::string &word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::setenv("ZETA_ISA", line.isa.c_str(), 1);
    Outcome outcome;
    const Surroundings surroundings;
    folder.enter();
    folder.rewind_input();
    outcome.code = run_program(int(words.size()), argv.data());
    outcome.out = surroundings.out();
    outcome.err = surroundings.err();
    return outcome;
}

// With a saved prediction; and no program is found, so that no compressor runs.
Folder &prepared() {
    static Folder folder;
    static const bool once = [] {
        ::setenv("PATH", "/nowhere", 1);
        const char *save[] = {"predict", "--text", "text",         "--neighbours", "4",
                              "--gamma", "0.5",    "--save-cache", "saved"};
        CommandLine line;
        line.words.assign(std::begin(save), std::end(save));
        if (run(folder, line).code != kExitOk) std::abort();
        folder.keep();
        return true;
    }();
    static_cast<void>(once);
    return folder;
}

int free_descriptor() {
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(descriptor);
    return descriptor;
}

void require(bool condition, const CommandLine &line, const Outcome &outcome, const std::string &what) {
    if (condition) return;
    std::fprintf(stderr, "fuzz_command: %s\nzeta", what.c_str());
    for (const std::string &word : line.words) std::fprintf(stderr, " '%s'", word.c_str());
    std::fprintf(stderr, "\nZETA_ISA '%s', exit code %d\n%s%s", line.isa.c_str(), outcome.code, outcome.err.c_str(),
                 outcome.out.c_str());
    std::abort();
}

// Names of files that the words may mean.
std::set<std::string> named(const CommandLine &line) {
    std::set<std::string> names{"zeta-predict.svg"};
    for (const std::string &word : line.words)
        for (const std::string &name : {word, word.substr(word.find('=') + 1)})
            names.insert(std::filesystem::path(name).lexically_normal().string());
    if (names.count("link") != 0) names.insert("precious");
    return names;
}

bool one_line(const std::string &text) {
    bool printable = text.size() > 7 && text.compare(0, 6, "zeta: ") == 0 && text.back() == '\n';
    for (size_t i = 0; i + 1 < text.size(); ++i) printable = printable && (text[i] & 0xE0) != 0 && text[i] != 127;
    return printable;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Folder &folder = prepared();
    fuzz::Bytes bytes(data, size);
    const CommandLine line = fuzz::command_line(bytes);
    if (!line.patches.empty()) folder.patch(line.patches);
    const int descriptor = free_descriptor();
    const Outcome outcome = run(folder, line);
    const bool succeeded = outcome.code == kExitOk;
    require(descriptor == free_descriptor(), line, outcome, "a file stays open");
    require(succeeded || outcome.code == kExitUsage || outcome.code == kExitInput || outcome.code == kExitOutput, line,
            outcome, "an exit code it should not have");
    require(succeeded ? outcome.err.empty() : one_line(outcome.err), line, outcome, "not one line where it failed");
    require(succeeded || outcome.out.empty(), line, outcome, "failed and printed");
    const std::set<std::string> changed = folder.changed(), allowed = named(line);
    for (const std::string &name : changed)
        require(succeeded && allowed.count(name) != 0, line, outcome, "changed or left a file: " + name);
    require(folder.alone(), line, outcome, "a file beside its folder");
    folder.restore(changed);
    return 0;
}
