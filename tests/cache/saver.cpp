// SPDX-License-Identifier: Apache-2.0
// For test_kill.py. `saver save FILE START` saves a cache over and over while it grows, loses rows and rolls back, from
// state START on, and prints the number of each state once it is saved; `saver check FILE` prints which state FILE
// holds, having compared it byte by byte, and that it answers as that state does.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "harness.hpp"

using namespace cachetest;

namespace {

constexpr int kStates = 200; // state i + kStates has the content of state i

Setup the_setup() {
    Setup setup;
    setup.batches = 2;
    setup.dv = 32;
    setup.value_type = ZETA_I8;
    return setup;
}

// From the state before state i. No two have the same lengths.
void advance(zeta::Cache &cache, const Setup &setup, int i) {
    i %= kStates;
    const std::vector<int64_t> counts{i == 0 ? 0 : 40, 1};
    if (i == 0) cache.reset();
    append(cache, setup, uint64_t(i), 40, &counts);
    if (i % 9 == 4) cache.evict_before({cache.length(0) / 2, 0});
    if (i % 7 == 3) cache.truncate({cache.length(0) - 15, cache.length(1)});
}

int save(const char *path, int start) {
    const zeta::Context context = make_context();
    const Setup setup = the_setup();
    zeta::Cache cache = setup.make(context);
    for (int i = 0; i < start; ++i) advance(cache, setup, i);
    for (int i = start;; ++i) {
        advance(cache, setup, i);
        cache.save(path);
        std::printf("%d\n", i % kStates);
        std::fflush(stdout);
    }
}

int check(const char *path) {
    const zeta::Context context = make_context();
    const Setup setup = the_setup();
    zeta::Cache cache = setup.make(context), loaded = setup.make(context);
    loaded.load(path);
    for (int i = 0; i < kStates; ++i) {
        advance(cache, setup, i);
        if (extents(cache) != extents(loaded)) continue;
        if (cache.save() != read_file(path) || !(ask(cache, setup, 3) == ask(loaded, setup, 3))) break;
        std::printf("%d\n", i);
        return 0;
    }
    std::fprintf(stderr, "%s is none of the states that were saved\n", path);
    return 1;
}

} // namespace

int main(int argc, char **argv) {
    try {
        if (argc == 4 && std::strcmp(argv[1], "save") == 0) return save(argv[2], std::atoi(argv[3]));
        if (argc == 3 && std::strcmp(argv[1], "check") == 0) return check(argv[2]);
        std::fprintf(stderr, "saver save FILE START, or saver check FILE\n");
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    return 2;
}
