// SPDX-License-Identifier: Apache-2.0
// The options of each command with values that are taken and values that are not.
#include "words.hpp"

#include <algorithm>

namespace fuzz {

namespace {

using Values = std::vector<const char *>;

struct Option {
    const char *name;
    Values values; // none: a flag
};
using Options = std::vector<Option>;

constexpr const char *kSixtyFive =
    "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
    "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1";

const Options &attention() {
    static const Options options{
        {"--neighbours", {"4", "1", "2", "33", "1024", "0", "1025", "many", "", "99999999999999999999", "0x8", " 3"}},
        {"--window", {"8", "1", "64", "65536", "65537", "-1"}},
        {"--select", {"exact", "window", "best", "exact,window", ""}},
        {"--chunk", {"2", "7", "1", "9223372036854775807", "0", "-1", "1e18", "9223372036854775808"}},
        {"--local", {"0", "5", "1", "16777216", "16777217", "-1"}},
        {"--first", {"1", "9", "0", "9223372036854775807", "-9223372036854775808"}},
        {"--no-causal", {}},
        {"--grid", {"range", "squash", "hex"}},
        {"--scale", {"0.25", "1", "0", "inf", "nan", "1e-30", "3e38", "1,2"}},
        {"--range", {"-1,1", "0,1", "1,1", "nan,1", "-3e38,3e38", "1", "0,1,2", "-inf,inf", "0,1e-45"}},
        {"--score", {"gaussian", "laplace", "inverse", "dot", "cauchy", "cosine"}},
        {"--gamma", {"0.5", "1,2,3,4", "0.5,2", "0", "nan", "1e-30", "1e9", "1,", "", "1,x", "inf", "1e-9,-0"}},
        {"--mean", {"on", "off", "maybe"}},
        {"--dtype", {"bf16", "f16", "f32", "f64"}},
        {"--threads", {"1", "2", "0", "3", "-1", "1025"}},
        {"--isa", {"scalar", "sse4", "avx2", "avx512", "auto", "mmx", ""}},
        {"--device", {"cpu", "cuda", "tpu"}},
    };
    return options;
}

const Options &sources() {
    static const Values broken{"few.npy",
                               "many.npy",
                               "heads.npy",
                               "channels.npy",
                               "scalar.npy",
                               "row.npy",
                               "odd.npy",
                               "rank5.npy",
                               "cut.npy",
                               "longer.npy",
                               "head.npy",
                               "text",
                               "one",
                               "big-endian.npy",
                               "fortran.npy",
                               "integers.npy",
                               "empty",
                               "all.safetensors",
                               "dangling",
                               "pipe",
                               "sub",
                               "missing.npy",
                               "/dev/null",
                               "/proc/self/mem",
                               "",
                               ".",
                               "new\nline"};
    const auto with = [](const std::string &letter) {
        static std::vector<std::string> names;
        names.reserve(64);
        Values values;
        for (const char *kind : {"", "-heads", "-batches", "-empty", "-wide", "-half"}) {
            names.push_back(letter + kind + ".npy");
            values.push_back(names.back().c_str());
        }
        values.insert(values.end(), broken.begin(), broken.end());
        return values;
    };
    static const Options options{
        {"--q", with("q")},
        {"--k", with("k")},
        {"--v", with("v")},
        {"--grad-out", with("g")},
        {"--in", {"all.safetensors", "cut.safetensors", "none.safetensors", "q.npy", "missing", "empty", "sub", ""}},
        {"--seqlens",
         {"12", "6,6", "5,0,7", "1,1,1,9", "13,-1", "x", "", "9223372036854775807,9223372036854775807,14"}},
        {"--seqlens-k", {"12", "6,6", "4,1,7", "2,1,1,8", "0", "-1,13"}},
        {"--json", {}},
    };
    return options;
}

const Options &outputs() {
    static const std::string longest(255, 'n'), longer(256, 'n');
    static const Values places{
        "out",   "two",      "sub/out",     "link",      "precious",      "q.npy",        "saved",
        "./out", "dangling", "missing/out", "out/",      "sub",           "pipe",         "/dev/null",
        ".",     "",         "sub/../out",  "q.npy/out", longest.c_str(), longer.c_str(), "text"};
    static const Options options{
        {"--out", places},          {"--save-neighbours", places},    {"--save-normaliser", places},
        {"--save-codes-q", places}, {"--save-codes-k", places},       {"--save-grad-q", places},
        {"--save-grad-k", places},  {"--save-grad-v", places},        {"--save-grad-gamma", places},
        {"--save-cache", places},   {"--save-distributions", places}, {"--picture", places}};
    return options;
}

const Options &timing() {
    static const Options options{
        {"--n", {"7", "0", "1", "64", "300", "-1", "2147483649", "99999999999999999999", "1e18", "0x7fffffffffffffff"}},
        {"--m", {"9", "0", "1", "64", "300", "16777217"}},
        {"--heads", {"2", "4", "1", "0", "65537", "4294967297"}},
        {"--kv-heads", {"2", "1", "3", "65537"}},
        {"--dk", {"2", "1", "3", "16", "32", "33", "0"}},
        {"--dv", {"1", "3", "33", "0", "65537"}},
        {"--pass", {"backward", "forward", "sideways"}},
        {"--input", {"clustered", "drift", "equal", "sorted", "gaussian", "noise"}},
        {"--repeat", {"1", "2", "0", "1000001"}},
        {"--copy", {}},
        {"--context", {"9", "1", "64", "200", "0", "16777216"}},
        {"--steps", {"5", "1", "9", "0", "1073741825"}},
        {"--span", {"1", "5", "0", "16777215", "16777216"}},
        {"--rounds", {"0", "1", "2", "-1", "1001"}},
        {"--value-type", {"bf16", "f16", "i8", "f32", "f64"}},
        {"--no-dense", {}},
        {"--json", {}},
    };
    return options;
}

const Options &prediction() {
    static const Options options{
        {"--text", {"text", "one", "empty", "q.npy", "pipe", "missing", "sub", "new\nline"}},
        {"--limit", {"100", "1", "0", "16777216", "16777217", "-1"}},
        {"--dense", {"0", "1", "50", "16777216", "-1"}},
        {"--stream", {}},
        {"--load-cache", {"saved", "patched", "text", "empty", "missing", ""}},
        {"--keep", {"16", "0", "1", "100", "8388608", "8388609"}},
        {"--renew", {"50", "2", "200", "330", "16777216", "1"}},
        {"--select", {"window", "reranked", "exact", "window,exact", "exact,exact", "best", "", ","}},
        {"--neighbours", {"4", "1", "8", "1024", "0"}},
        {"--window", {"8", "4", "65536", "65537"}},
        {"--gamma", {"0.5", "0.05,0.01", "1e-9,1e9", "1e-30", "nan", "0", "", kSixtyFive}},
        {"--dk", {"3", "1", "32", "33"}},
        {"--no-picture", {}},
        {"--threads", {"1", "2", "0", "1025"}},
        {"--isa", {"scalar", "auto", "mmx"}},
        {"--json", {}},
    };
    return options;
}

struct Word {
    std::string name, value{};
    bool valued = false;
};
using Line = std::vector<Word>;

struct Start {
    Line line;
    std::vector<const Options *> options;
};

// Commands that succeed, but for the last.
const std::vector<Start> &starts() {
    const Word attend{"attend"}, predict{"predict"}, model{"--neighbours", "4", true}, gamma{"--gamma", "0.5", true};
    const auto named = [](const char *name, const char *value) { return Word{name, value, true}; };
    const std::vector<const Options *> attending{&attention(), &sources(), &outputs()};
    const std::vector<const Options *> predicting{&prediction(), &outputs()}, timed{&attention(), &timing()};
    static const std::vector<Start> all{
        {{attend, named("--q", "q.npy"), named("--k", "k.npy"), named("--v", "v.npy"), named("--out", "out")},
         attending},
        {{attend,
          named("--q", "q-heads.npy"),
          named("--k", "k-heads.npy"),
          named("--v", "v-heads.npy"),
          named("--grad-out", "g-heads.npy"),
          named("--save-grad-q", "out"),
          {"--no-causal"}},
         attending},
        {{attend, named("--in", "all.safetensors"), named("--out", "out")}, attending},
        {{{"recall"}, named("--q", "q-batches.npy"), named("--k", "k-batches.npy")}, {&attention(), &sources()}},
        {{{"info"}}, {&attention(), &timing()}},
        {{{"bench"}, attend, named("--n", "7")}, timed},
        {{{"bench"}, {"decode"}, named("--context", "9")}, timed},
        {{predict, named("--text", "text"), model, gamma, {"--no-picture"}}, predicting},
        {{predict, named("--text", "text"), model, gamma, named("--load-cache", "saved")}, predicting},
        {{predict, {"--stream"}, model, gamma, named("--save-cache", "out")}, predicting},
        {{}, {&attention(), &sources(), &outputs(), &timing(), &prediction()}},
    };
    return all;
}

// Words of the fuzzer's own: no folder but the one at hand, three digits in all and two in one word, none hexadecimal.
class Raw {
public:
    std::string word(Bytes &bytes) {
        std::string text;
        int here = 2;
        for (int64_t length = bytes.choose(24); length > 0; --length) {
            char c = char(bytes.byte());
            const bool digit = c >= '0' && c <= '9',
                       hexadecimal = !text.empty() && text.back() == '0' && (c | 32) == 'x';
            if (c == '/' || c == '\0' || hexadecimal || (digit && (here == 0 || left_ == 0)))
                c = '_';
            else if (digit)
                --here, --left_;
            text += c;
        }
        return text;
    }

private:
    int left_ = 3;
};

void put(Line &line, const Word &word) {
    const auto same =
        std::find_if(line.begin(), line.end(), [&](const Word &other) { return other.name == word.name; });
    if (same == line.end())
        line.push_back(word);
    else
        *same = word;
}

Word choose_option(Bytes &bytes, const std::vector<const Options *> &from, Raw &raw) {
    const Options &options = *from[size_t(bytes.choose(int64_t(from.size())))];
    const Option &option = options[size_t(bytes.choose(int64_t(options.size())))];
    if (option.values.empty()) return {option.name};
    const uint8_t kind = bytes.byte();
    if (kind < 0xE0) return {option.name, option.values[kind % option.values.size()], true};
    return kind < 0xF8 ? Word{option.name, raw.word(bytes), true} : Word{option.name};
}

void change(Bytes &bytes, const std::vector<const Options *> &from, Line &line, Raw &raw) {
    const uint8_t kind = bytes.byte();
    if (kind < 0xC0)
        put(line, choose_option(bytes, from, raw));
    else if (kind < 0xD0)
        put(line, choose_option(bytes, starts().back().options, raw)); // of any command
    else if (kind < 0xE0)
        line.insert(line.begin() + bytes.choose(int64_t(line.size()) + 1), {raw.word(bytes)});
    else if (kind < 0xE8)
        put(line, {bytes.choose(2) == 0 ? "--help" : "--version"});
    else if (!line.empty()) {
        const auto at = line.begin() + bytes.choose(int64_t(line.size()));
        if (kind < 0xF4)
            line.erase(at);
        else
            line.push_back(Word(*at));
    }
}

// Adds what keeps a command short where nothing says how much it has to do.
void bound(std::vector<std::string> &words) {
    const auto has = [&](const std::string &name) {
        return std::any_of(words.begin(), words.end(), [&](const std::string &word) {
            return word == name || word.compare(0, name.size() + 1, name + "=") == 0;
        });
    };
    const auto need = [&](const char *name, const char *value) {
        if (!has(name)) words.insert(words.end(), {name, value});
    };
    if (has("bench") && has("decode")) {
        need("--context", "9");
        need("--steps", "5");
        need("--rounds", "1");
        words.push_back("--no-dense");
    } else if (has("bench")) {
        need("--n", "9");
        need("--repeat", "1");
    } else if (has("predict")) {
        if (!has("--stream")) need("--text", "text");
        need("--limit", "300");
    }
}

} // namespace

CommandLine command_line(Bytes &bytes) {
    constexpr int kMost = 24;
    static const char *const isas[] = {"", "scalar", "mmx", "auto"};
    const Start &start = starts()[size_t(bytes.choose(int64_t(starts().size())))];
    CommandLine result;
    Line line = start.line;
    Raw raw;
    const uint8_t more = bytes.byte();
    if (more >= 0xC0) result.isa = isas[more % 4];
    if (more % 8 == 7)
        for (int64_t i = bytes.choose(5); i > 0; --i) {
            const auto offset = bytes.raw<uint16_t>();
            result.patches.push_back({offset, bytes.byte()});
        }
    if (!result.patches.empty()) put(line, {"--load-cache", "patched", true});
    for (int i = 0; i < kMost && !bytes.done(); ++i) change(bytes, start.options, line, raw);
    for (const Word &word : line) {
        result.words.push_back(word.name);
        if (word.valued) result.words.push_back(word.value);
    }
    bound(result.words);
    return result;
}

} // namespace fuzz
