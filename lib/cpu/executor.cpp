// SPDX-License-Identifier: Apache-2.0
// ArenaExecutor: loops cut into pieces, run inline or as tasks of the arena. Each task sets the floating-point
// environment, since oneTBB's threads take theirs from the arena. The first exception comes out at the caller together
// with its sentence, which lies in a buffer of the thread that failed.
#include "arena.hpp"

#include <algorithm>
#include <climits>
#include <unistd.h>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include "../fp_environment.hpp"
#include "handover.hpp"

namespace zeta::cpu {
namespace {

using Body = Executor::Body;

void run_piece(size_t piece, size_t n, size_t grain, Body body, int worker) {
    const size_t begin = piece * grain;
    body(begin, std::min(n - begin, grain) + begin, worker);
}

// oneTBB runs no more threads than there are CPUs or the host has allowed, and an arena that asks for more makes it
// print.
int possible(int threads) {
    const size_t allowed = tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
    return std::max(1, std::min({threads, tbb::info::default_concurrency(), int(std::min<size_t>(allowed, 1024))}));
}

// Those that serve an arena besides the caller's thread.
Workers workers_of(int threads) {
    return threads > 1 ? Workers(possible(threads) - 1, possible(INT_MAX) - 1) : Workers(0, 0);
}

// The executor whose task this thread is running, NULL outside.
thread_local const ArenaExecutor *running_in = nullptr;

class Running {
public:
    explicit Running(const ArenaExecutor *executor) : before_(running_in) { running_in = executor; }
    ~Running() { running_in = before_; }
    Running(const Running &) = delete;
    Running &operator=(const Running &) = delete;

private:
    const ArenaExecutor *const before_;
};

// piece(worker), as a task of `executor`. numbers: of each of its workers.
template <class Piece>
void run_task(const ArenaExecutor *executor, std::atomic<bool> *numbers, FirstFailure &failure, const Piece &piece) {
    const FpEnvironment environment;
    const Running running(executor);
    const int worker = tbb::this_task_arena::current_thread_index();
    const Succession succession(numbers[worker]);
    try {
        piece(worker);
    } catch (...) {
        failure.keep();
        throw;
    }
}

// Isolated: while a nested loop waits, this thread must not take a task of the outer one, whose scratch it holds.
template <class Tasks> void run_isolated(tbb::task_arena &arena, FirstFailure &failure, const Tasks &tasks) {
    try {
        arena.execute([&] { tbb::this_task_arena::isolate(tasks); });
    } catch (...) {
        if (failure.kept()) failure.rethrow();
        throw;
    }
}

} // namespace

struct ArenaExecutor::Arena {
    explicit Arena(int threads) : arena(threads), numbers(new std::atomic<bool>[size_t(threads)]()) {
        arena.initialize();
    }
    tbb::task_arena arena;
    std::unique_ptr<std::atomic<bool>[]> numbers;
};

ArenaExecutor::ArenaExecutor(int threads, const simd::Kernels &kernels)
    : granted_(workers_of(threads)), threads_(1 + granted_.count()), kernels_(kernels), owner_(getpid()) {
    if (threads_ > 1) arena_ = std::make_unique<Arena>(threads_);
}

ArenaExecutor::~ArenaExecutor() {
    // Ending an arena waits for threads that a child process does not have: it is left behind there.
    if (forked()) static_cast<void>(arena_.release());
}

bool ArenaExecutor::forked() const {
    return getpid() != owner_;
}

int ArenaExecutor::workers() const {
    return threads_ > 1 && forked() ? 1 : threads_;
}

void ArenaExecutor::parallel_for(size_t n, size_t grain, Body body) const {
    if (n == 0) return;
    grain = std::max<size_t>(grain, 1);
    const size_t pieces = n / grain + (n % grain != 0);
    if (arena_ == nullptr || forked()) {
        for (size_t piece = 0; piece < pieces; ++piece) run_piece(piece, n, grain, body, 0);
        return;
    }
    if (pieces == 1) { // not worth a task: outside of one, this thread is the only one that works for the context
        body(0, n, running_in == this ? tbb::this_task_arena::current_thread_index() : 0);
        return;
    }

    FirstFailure failure;
    Handover handover;
    const auto run = [&](const tbb::blocked_range<size_t> &range) {
        const Handover::Piece handed(handover);
        run_task(this, arena_->numbers.get(), failure, [&](int worker) {
            for (size_t piece = range.begin(); piece < range.end(); ++piece) run_piece(piece, n, grain, body, worker);
        });
    };
    run_isolated(arena_->arena, failure, [&] { tbb::parallel_for(tbb::blocked_range<size_t>(0, pieces), run); });
}

void ArenaExecutor::pipeline(size_t n, size_t slots, size_t stages, Start start, Step step) const {
    if (arena_ == nullptr || forked()) {
        Executor::pipeline(n, slots, stages, start, step);
        return;
    }
    FirstFailure failure;
    Handover handover;
    std::atomic<bool> *numbers = arena_->numbers.get();
    size_t next = 0;
    using tbb::filter_mode;
    auto line = tbb::make_filter<void, size_t>(filter_mode::serial_in_order,
                                               [&](tbb::flow_control &flow) {
                                                   if (next == n) flow.stop();
                                                   return next++;
                                               }) &
                tbb::make_filter<size_t, size_t>(filter_mode::parallel, [&](size_t item) {
                    const Handover::Piece handed(handover);
                    handover.follow(); // the slot's last item
                    run_task(this, numbers, failure, [&](int worker) { start(item, item % slots, worker); });
                    return item;
                });
    for (size_t stage = 0; stage < stages; ++stage)
        line = line & tbb::make_filter<size_t, size_t>(filter_mode::serial_in_order, [&, stage](size_t item) {
                   const Handover::Piece handed(handover);
                   handover.follow();
                   run_task(this, numbers, failure, [&](int worker) { step(item, item % slots, stage, worker); });
                   return item;
               });
    // Items leave in order: those under way have numbers in a row, and so slots of their own.
    const auto last = tbb::make_filter<size_t, void>(filter_mode::serial_in_order, [](size_t) {});
    run_isolated(arena_->arena, failure, [&] { tbb::parallel_pipeline(slots, line & last); });
}

} // namespace zeta::cpu
