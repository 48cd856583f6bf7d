// SPDX-License-Identifier: Apache-2.0
// Small caches whose files are kept under golden/: `golden check FOLDER` makes them again and compares every byte,
// loads the kept ones and compares what they answer with the numbers beside them (NAME.txt). `golden write FOLDER`
// writes both, once, when a version of the format is born. What the bytes mean is checked apart from zeta by
// test_format.py.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "harness.hpp"

using namespace cachetest;

namespace {

struct Golden {
    Setup setup;
    int64_t rows, evict; // of the first sequence
};

std::vector<Golden> goldens() {
    Setup evicted; // the mean has a history of more than a block
    evicted.name = "int8-evicted";
    evicted.dk = 2;
    evicted.dv = 3;
    evicted.value_type = ZETA_I8;
    Setup range;
    range.name = "bfloat16-range";
    range.batches = 1;
    range.query_heads = range.key_heads = 2;
    range.value_type = ZETA_BF16;
    range.attention.select = ZETA_SELECT_EXACT;
    range.attention.score = ZETA_SCORE_GAUSSIAN;
    range.attention.mean = 0;
    range.attention.local = 2;
    range.attention.first = 1;
    range.attention.grid.kind = ZETA_GRID_RANGE;
    range.gamma = {0.5f, 0.75f};
    range.lo = {-1.0f};
    Setup whole; // not causal, with the mean of all
    whole.name = "float16-whole";
    whole.dk = 1;
    whole.dv = 2;
    whole.value_type = ZETA_F16;
    whole.attention.causal = 0;
    whole.attention.mean = 1;
    whole.attention.window = 8;
    Setup plain;
    plain.name = "float32";
    plain.batches = 1;
    plain.key_heads = 2;
    return {{evicted, 601, 598}, {range, 7, 0}, {whole, 6, 0}, {plain, 9, 2}};
}

zeta::Cache make(const zeta::Context &context, const Golden &golden) {
    zeta::Cache cache = golden.setup.make(context);
    std::vector<int64_t> counts(size_t(golden.setup.batches), 5), evict(counts.size(), 0);
    counts[0] = golden.rows;
    evict[0] = golden.evict;
    append(cache, golden.setup, 1, golden.rows, &counts);
    cache.evict_before(evict);
    return cache;
}

std::string text_of(const Answer &answer) {
    std::ostringstream text;
    text.precision(9);
    text << "neighbours";
    for (const int32_t position : answer.neighbours) text << ' ' << position;
    text << "\nout";
    for (const float value : answer.out) text << ' ' << value;
    text << "\n";
    return text.str();
}

// Outputs of other instruction sets differ in their last bits.
bool close(const std::string &kept, const Answer &answer) {
    std::istringstream text(kept);
    std::string word;
    text >> word;
    for (const int32_t position : answer.neighbours) {
        int32_t expected = 0;
        if (!(text >> expected) || expected != position) return false;
    }
    text >> word;
    for (const float value : answer.out) {
        float expected = 0;
        if (!(text >> expected) || !(std::fabs(expected - value) <= 2e-6f)) return false;
    }
    return !(text >> word);
}

bool check(const zeta::Context &context, const Golden &golden, const std::string &start) {
    zeta::Cache made = make(context, golden), loaded = golden.setup.make(context);
    if (made.save() != read_file(start + ".zeta")) {
        std::fprintf(stderr, "%s.zeta: a save has other bytes now\n", start.c_str());
        return false;
    }
    loaded.load(start + ".zeta");
    const Answer answer = ask(loaded, golden.setup, 3, 2);
    std::ifstream file(start + ".txt");
    std::ostringstream kept;
    kept << file.rdbuf();
    if (close(kept.str(), answer)) return true;
    std::fprintf(stderr, "%s.txt says\n%s but now it is\n%s", start.c_str(), kept.str().c_str(),
                 text_of(answer).c_str());
    return false;
}

void write(const zeta::Context &context, const Golden &golden, const std::string &start) {
    zeta::Cache cache = make(context, golden);
    write_file(start + ".zeta", cache.save());
    std::ofstream(start + ".txt") << text_of(ask(cache, golden.setup, 3, 2));
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    bool good = true;
    try {
        const zeta::Context context = make_context();
        for (const Golden &golden : goldens()) {
            const std::string start = std::string(argv[2]) + "/" + golden.setup.name;
            if (std::strcmp(argv[1], "write") == 0)
                write(context, golden, start);
            else
                good = check(context, golden, start) && good;
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return good ? 0 : 1;
}
