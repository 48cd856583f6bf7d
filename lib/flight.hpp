// SPDX-License-Identifier: Apache-2.0
// Units in flight: with as many units as threads, whole units run side by side, each with its own memory; otherwise one
// after another, each using all threads inside. Both from one block of scratch, whose size the same code measures.
#pragma once

#include <atomic>

#include "context.hpp"
#include "cpu/unit.hpp"
#include "scratch.hpp"
#include "status.hpp"

namespace zeta {

// A Job has take(Scratch &), which takes the memory of everything, and run(slot, worker, unit).
inline int slots_of(const cpu::Executor &executor, int64_t units) {
    const int workers = executor.workers();
    return units >= workers ? workers : 1;
}

template <class Job> size_t measure(Job &job) {
    Scratch scratch;
    job.take(scratch);
    return scratch.needed();
}

// `finish` runs at the end, while the scratch is still there.
template <class Job, class Finish = void (*)()>
void fly(
    Context &context, const Problem &p, Job &job, void *block, size_t size, Finish finish = [] {}) {
    const cpu::Executor &executor = context.executor();
    const int64_t units = cpu::unit_count(p);
    const size_t needed = measure(job);
    if (block != nullptr && size < needed)
        fail(ZETA_ERROR_SCRATCH, "scratch_size is %zu but this call needs %zu bytes", size, needed);
    Allocation allocation;
    if (block == nullptr) {
        size = needed;
        allocation = context.allocate(size);
        block = allocation.data();
    }
    Scratch scratch(block, size);
    job.take(scratch);
    if (units == 0) return finish();
    std::atomic<int64_t> next{0};
    const auto body = [&](size_t begin, size_t end, int worker) {
        for (size_t s = begin; s < end; ++s) {
            cpu::UnitWalk walk(p);
            for (int64_t u = next++; u < units; u = next++) job.run(int(s), worker, walk.at(u));
        }
    };
    executor.parallel_for(size_t(slots_of(executor, units)), 1, body);
    finish();
}

} // namespace zeta
