// SPDX-License-Identifier: Apache-2.0
// Two numbers for the whole process: workers that its contexts hold, and the most that were ever seen to run at once.
// Without a lock, which a fork() could leave taken: contexts that are made at the same moment may find less room than
// there is, never more.
#include "workers.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace zeta::cpu {
namespace {

std::atomic<int> held{0}, seen{0};

// A thread counts against the limits until the kernel has put it away, which is later than its join.
void wait_until_gone(pid_t thread) {
    for (int tries = 0; tries < 1000 && syscall(SYS_tgkill, getpid(), thread, 0) == 0; ++tries)
        std::this_thread::yield();
}

// How many of n threads can run at once.
int startable(int n) {
    std::mutex parked;
    std::vector<pid_t> ids(static_cast<size_t>(n));
    std::vector<std::thread> threads;
    threads.reserve(ids.size());
    std::unique_lock<std::mutex> parking(parked);
    try {
        for (pid_t &id : ids)
            threads.emplace_back([&parked, &id] {
                id = static_cast<pid_t>(syscall(SYS_gettid));
                const std::lock_guard<std::mutex> wait(parked);
            });
    } catch (const std::exception &) { // no more threads, or no memory for one: these are all
    }
    parking.unlock();
    for (std::thread &thread : threads) thread.join();
    for (size_t i = 0; i < threads.size(); ++i) wait_until_gone(ids[i]);
    return static_cast<int>(threads.size());
}

} // namespace

Workers::Workers(int wanted, int most) {
    if (wanted <= 0) return;
    const int before = held.fetch_add(wanted);
    const int needed = std::min(before + wanted, most);
    int known = seen.load();
    count_ = wanted;
    if (known >= needed) return;
    int found = 0;
    try {
        found = startable(needed);
    } catch (...) {
        held -= wanted;
        throw;
    }
    while (known < found && !seen.compare_exchange_weak(known, found)) {
    }
    known = std::max(known, found);
    if (known >= needed) return;
    count_ = std::clamp(known - before, 0, wanted);
    held -= wanted - count_;
}

Workers::~Workers() {
    held -= count_;
}

} // namespace zeta::cpu
