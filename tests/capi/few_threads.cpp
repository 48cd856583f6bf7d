// SPDX-License-Identifier: Apache-2.0
// A process that the system allows only some threads, or none, as under RLIMIT_NPROC or in a container: a context gets
// fewer, says so, and computes the same bits, with other contexts at work beside it. Here pthread_create() refuses what
// is beyond a number, whoever runs the test; each number has a process of its own, since oneTBB keeps its threads.
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <dlfcn.h>
#include <memory>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "zeta/zeta.hpp"

namespace {

std::atomic<int> room{INT_MAX}; // threads that may still begin

struct Start {
    void *(*function)(void *);
    void *argument;
};

void *run(void *given) {
    const std::unique_ptr<Start> start(static_cast<Start *>(given));
    void *const result = start->function(start->argument);
    ++room;
    return result;
}

} // namespace

extern "C" __attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument) {
    using Create = int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    if (--room < 0) {
        ++room;
        return EAGAIN;
    }
    auto start = std::make_unique<Start>(Start{function, argument});
    const int error = create(thread, attributes, run, start.get());
    if (error == 0)
        start.release();
    else
        ++room;
    return error;
}

namespace {

constexpr std::int64_t N = 6000, DK = 3, DV = 8;
constexpr int kCpus = 7; // that many_cpus.cpp shows at least, with glibc

int cpus() {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

struct Data {
    std::vector<float> q = std::vector<float>(N * DK), v = std::vector<float>(N * DV);
    Data() {
        for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(i * 7919 % 1009) / 500.0f;
        for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i * 104729 % 997) / 400.0f;
    }
};

zeta::Context context_of(int threads) {
    zeta::ContextParams params;
    params.threads = threads;
    return zeta::Context(params);
}

std::vector<float> forward(zeta::Context &context, const Data &data) {
    std::vector<float> out(N * DV);
    const zeta::Tensor q(data.q.data(), {1, 1, N, DK}), v(data.v.data(), {1, 1, N, DV});
    context.forward(zeta::Params(), {q, q, v, zeta::Tensor(out.data(), {1, 1, N, DV})});
    return out;
}

bool expect(bool holds, const char *what, int allowed) {
    if (!holds) std::fprintf(stderr, "with %d threads allowed: %s\n", allowed, what);
    return holds;
}

// In a process of its own, before it has used oneTBB.
bool works_with(int allowed) {
    const Data data;
    zeta::Context alone = context_of(1);
    const std::vector<float> expected = forward(alone, data);
    // A thread of the host, begun before there is no more room, calls with a context of its own.
    std::atomic<zeta::Context *> given{nullptr};
    std::atomic<bool> same{true};
    std::thread host([&] {
        while (given == nullptr) std::this_thread::yield();
        for (int i = 0; i < 20; ++i) same = same && forward(*given, data) == expected;
    });
    room = allowed;
    bool good = true;
    try {
        { // the room of a context that is gone is there for others
            zeta::Context first = context_of(kCpus);
            good &= expect(first.threads() == 1 + (allowed < kCpus ? allowed : kCpus - 1), "threads", allowed);
        }
        zeta::Context context = context_of(kCpus), other = context_of(3), last = context_of(kCpus);
        const int held = context.threads() + other.threads() + last.threads() - 3;
        good &= expect(context.threads() == 1 + (allowed < kCpus ? allowed : kCpus - 1), "threads again", allowed);
        const int most = cpus() - 1; // that oneTBB runs
        good &= expect(allowed >= most || held <= allowed, "all contexts together", allowed);
        given = &other;
        for (int i = 0; i < 20; ++i)
            good &= expect(forward(i % 2 == 0 ? context : last, data) == expected, "other bits", allowed);
        host.join();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "with %d threads allowed: %s\n", allowed, error.what());
        _exit(1); // the other thread may be at work
    }
    return good & expect(same, "other bits on the other thread", allowed);
}

} // namespace

int main() {
    if (cpus() < kCpus) return 77; // skipped
    bool good = true;
    for (const int allowed : {0, 1, 2, 3, 5, 6, 100}) {
        const pid_t child = fork();
        if (child == 0) _exit(works_with(allowed) ? 0 : 1);
        int status = -1;
        good &= expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the process failed", allowed);
    }
    return good ? 0 : 1;
}
