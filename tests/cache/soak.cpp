// SPDX-License-Identifier: Apache-2.0
// All calls of several caches and their forks, from several threads at once, in random order, compared now and then
// with one zeta_forward over the whole sequence: soak [--seconds=20] [--threads=3] [--seed=S]. Caches wander between
// threads, so those that share memory are written from different ones. Prints its seed; a run of one thread is
// repeatable.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "soak_item.hpp"

using namespace cachetest;

namespace {

constexpr size_t kItems = 24; // alive at most
constexpr int64_t kTurns = 8; // calls a thread makes of an item before it puts it back

std::vector<Setup> soak_setups() {
    std::vector<Setup> setups(8);
    setups[0].name = "window";
    setups[1].name = "re-ranked int8";
    setups[1].value_type = ZETA_I8;
    setups[1].attention.window = 24;
    setups[2].name = "exact bfloat16";
    setups[2].value_type = ZETA_BF16;
    setups[2].attention.select = ZETA_SELECT_EXACT;
    setups[2].dv = 33;
    setups[3].name = "float16, not causal, mean";
    setups[3].value_type = ZETA_F16;
    setups[3].attention.causal = 0;
    setups[3].attention.mean = 1;
    setups[4].name = "chunk and local";
    setups[4].attention.chunk = 16;
    setups[4].attention.local = 20;
    setups[5].name = "first, no mean";
    setups[5].attention.first = 30;
    setups[5].attention.mean = 0;
    setups[6].name = "groups";
    setups[6].query_heads = 4;
    setups[6].key_heads = 2;
    setups[6].dk = 1;
    setups[6].dv = 64;
    setups[7].name = "exact, dot";
    setups[7].attention.select = ZETA_SELECT_EXACT;
    setups[7].attention.score = ZETA_SCORE_DOT;
    setups[7].attention.local = 0;
    setups[7].dk = 4;
    setups[7].dv = 1;
    for (Setup &setup : setups) setup.attention.neighbours = 8;
    return setups;
}

// Items that no thread is using.
class Pool {
public:
    // One of them, or nothing if another should be made.
    std::unique_ptr<Item> take(Chance &chance) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (items_.empty() || (alive_ < kItems && pick(chance, 0, 9) == 0)) {
            ++alive_;
            return nullptr;
        }
        std::swap(items_[size_t(pick(chance, 0, int64_t(items_.size()) - 1))], items_.back());
        std::unique_ptr<Item> item = std::move(items_.back());
        items_.pop_back();
        return item;
    }
    void put(std::unique_ptr<Item> item) {
        const std::lock_guard<std::mutex> lock(mutex_);
        items_.push_back(std::move(item));
    }
    // A fork goes in place of another when there are enough.
    void add(std::unique_ptr<Item> item, Chance &chance) {
        std::unique_ptr<Item> old; // destroyed without the lock
        const std::lock_guard<std::mutex> lock(mutex_);
        if (alive_ < kItems || items_.empty()) {
            ++alive_;
            items_.push_back(std::move(item));
        } else {
            old = std::exchange(items_[size_t(pick(chance, 0, int64_t(items_.size()) - 1))], std::move(item));
        }
    }

private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Item>> items_;
    size_t alive_ = 0;
};

struct Options {
    double seconds = 20;
    int threads = 3;
    uint64_t seed = uint64_t(std::chrono::system_clock::now().time_since_epoch().count()) % 100000;
};

std::atomic<bool> failed{false};
std::atomic<int64_t> calls{0};

void run(const Options &options, int thread, const std::vector<Setup> &setups, Pool &pool, const std::string &path) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
    Memory::caller = true;
    const zeta::Context one = Memory::context(1), two = Memory::context(2);
    Chance chance(options.seed * 1000 + uint64_t(thread));
    try {
        while (Clock::now() < end && !failed) {
            std::unique_ptr<Item> item = pool.take(chance);
            if (item == nullptr)
                item = std::make_unique<Item>(pick(chance, 0, 3) == 0 ? two : one,
                                              setups[size_t(pick(chance, 0, int64_t(setups.size()) - 1))]);
            for (int64_t turn = 0; turn < kTurns; ++turn, ++calls)
                if (auto fork = item->act(one, chance, path)) pool.add(std::move(fork), chance);
            pool.put(std::move(item));
        }
    } catch (const std::exception &error) {
        failed = true;
        std::fprintf(stderr, "thread %d: %s\n", thread, error.what());
    }
}

} // namespace

int main(int argc, char **argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        if (std::strncmp(argv[i], "--seconds=", 10) == 0) options.seconds = std::atof(argv[i] + 10);
        if (std::strncmp(argv[i], "--threads=", 10) == 0) options.threads = std::atoi(argv[i] + 10);
        if (std::strncmp(argv[i], "--seed=", 7) == 0) options.seed = std::strtoull(argv[i] + 7, nullptr, 10);
    }
    std::printf("soak: --seed=%llu --threads=%d --seconds=%g\n", static_cast<unsigned long long>(options.seed),
                options.threads, options.seconds);
    std::fflush(stdout);
    const std::vector<Setup> setups = soak_setups();
    const Folder folder;
    Memory::caller = true; // at the end it frees them
    Pool pool;
    std::vector<std::thread> threads;
    for (int i = 0; i < options.threads; ++i)
        threads.emplace_back(
            [&, i, path = folder.file("cache-" + std::to_string(i))] { run(options, i, setups, pool, path); });
    for (std::thread &thread : threads) thread.join();
    std::printf("%lld calls, %lld of them refused memory\n", static_cast<long long>(calls),
                static_cast<long long>(Item::refused));
    return failed ? 1 : 0;
}
