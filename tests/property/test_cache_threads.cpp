// SPDX-License-Identifier: Apache-2.0
// Caches, forks of each other among them, used from several threads at once: each answers as if it were alone.
#include <doctest/doctest.h>

#include <thread>

#include "cache_program.hpp"

using namespace property;

namespace {

CachePointer forked(zeta_cache *cache) {
    zeta_cache *fork = nullptr;
    CHECK(zeta_cache_fork(cache, nullptr, 0, &fork) == ZETA_OK);
    return CachePointer(fork);
}

} // namespace

TEST_CASE("cache threads: programs of their own side by side, made with one context") {
    const Context shared = make_context(nullptr, 2);
    for (int round = 0; round < 3; ++round) {
        constexpr size_t count = 4;
        std::vector<std::string> messages(count);
        std::vector<std::thread> threads;
        for (size_t t = 0; t < count; ++t)
            threads.emplace_back([&, t] {
                const uint64_t seed = settings().seed * 86028121 + static_cast<uint64_t>(round) * count + t;
                Random random(seed);
                const CacheSetup setup = random_setup(random);
                const Context own = make_context(nullptr, 1);
                std::vector<History> histories(static_cast<size_t>(setup.problem.shape.batches));
                for (History &history : histories) history.first = setup.problem.options.first;
                CacheProgram program(own.get(), setup, seed, 40, make_cache(shared.get(), setup), histories);
                messages[t] = program.run(100);
                if (!messages[t].empty()) messages[t] += " in " + describe(setup);
            });
        for (std::thread &thread : threads) thread.join();
        for (const std::string &message : messages) CHECK(message == "");
    }
}

// The original goes on as well, and is gone before the forks are.
TEST_CASE("cache threads: forks of one cache") {
    for (int round = 0; round < std::max(1, settings().cases / 40); ++round) {
        const uint64_t seed = settings().seed * 67867967 + static_cast<uint64_t>(round);
        Random random(seed);
        CacheSetup setup = random_setup(random);
        const Context context = make_context(nullptr, round % 2 == 0 ? 1 : 3);
        auto original = std::make_unique<CacheProgram>(context.get(), setup, seed, round % 3 == 0 ? 1500 : 60);
        INFO("round ", round, ": ", describe(setup));
        const std::string before = original->run(40);
        CHECK(before == "");
        if (!before.empty()) continue;
        constexpr size_t count = 3;
        std::vector<std::string> messages(count);
        std::vector<std::thread> threads;
        for (size_t t = 0; t < count; ++t)
            threads.emplace_back(
                [&, t, cache = forked(original->cache()), histories = original->histories()]() mutable {
                    const Context own = make_context(nullptr, 1);
                    CacheProgram program(own.get(), setup, seed + t, 60, std::move(cache), std::move(histories));
                    messages[t] = program.run(80);
                });
        CHECK(original->run(40) == "");
        original.reset();
        for (std::thread &thread : threads) thread.join();
        for (const std::string &message : messages) CHECK(message == "");
    }
}
