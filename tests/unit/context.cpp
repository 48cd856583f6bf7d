// SPDX-License-Identifier: Apache-2.0
// lib/context, lib/cpu/executor, lib/progress and lib/fp_environment.
#include "context.hpp"

#include <doctest/doctest.h>

#include <cfenv>
#include <cstring>
#include <numeric>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <cblas.h>

#include "progress.hpp"
#include "status.hpp"

namespace {

zeta_context *make(int32_t threads) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = threads;
    zeta_context *context = nullptr;
    REQUIRE(zeta_context_create(&context, &params) == ZETA_OK);
    return context;
}

// Runs a loop inside a loop over `context`; true if every index was met once and scratch was never shared.
bool nested_loops(zeta_context *context) {
    const zeta::cpu::Executor &executor = context->executor();
    std::vector<int> met(40 * 1000);
    std::vector<std::atomic<int>> inside(size_t(executor.workers()));
    std::atomic<bool> shared{false};
    executor.parallel_for(40, 1, [&](size_t begin, size_t end, int worker) {
        if (inside[size_t(worker)]++ != 0) shared = true;
        for (size_t i = begin; i < end; ++i)
            executor.parallel_for(1000, 7, [&, i](size_t from, size_t to, int) {
                for (size_t j = from; j < to; ++j) ++met[i * 1000 + j];
            });
        --inside[size_t(worker)];
    });
    for (const int count : met)
        if (count != 1) return false;
    return !shared;
}

// Runs a pipeline; true if all items met start and every stage, in order and one at a time, and had slots of their own.
bool orderly_pipeline(zeta_context *context, size_t n, size_t slots, size_t stages) {
    std::vector<std::atomic<size_t>> next(stages), in_slot(slots);
    std::vector<std::atomic<int>> inside(size_t(context->executor().workers()));
    for (std::atomic<size_t> &item : in_slot) item = n; // none
    std::atomic<size_t> started{0};
    std::atomic<bool> wrong{false};
    context->executor().pipeline(
        n, slots, stages,
        [&](size_t item, size_t slot, int worker) {
            if (inside[size_t(worker)]++ != 0) wrong = true;
            if (in_slot[slot].exchange(item) != n) wrong = true;
            ++started;
            --inside[size_t(worker)];
        },
        [&](size_t item, size_t slot, size_t stage, int worker) {
            if (inside[size_t(worker)]++ != 0) wrong = true;
            if (next[stage] != item || (stage > 0 && next[stage - 1] <= item) || in_slot[slot] != item) wrong = true;
            std::this_thread::yield();
            if (stage + 1 == stages) in_slot[slot] = n;
            if (next[stage]++ != item) wrong = true;
            --inside[size_t(worker)];
        });
    for (const std::atomic<size_t> &items : next)
        if (items != n) return false;
    return started == n && !wrong;
}

int stop_at_half(void *user, double fraction) {
    *static_cast<double *>(user) = fraction;
    return fraction >= 0.5;
}

} // namespace

TEST_CASE("executor: loops meet every index once, in pieces that begin at multiples of the grain") {
    for (const int32_t threads : {1, 2, 5}) {
        CAPTURE(threads);
        zeta_context *context = make(threads);
        CHECK(zeta_context_threads(context) == context->executor().workers());
        CHECK(context->executor().workers() <= threads);
        CHECK(nested_loops(context));
        std::atomic<size_t> total{0};
        std::atomic<bool> aligned{true};
        context->executor().parallel_for(103, 10, [&](size_t begin, size_t end, int worker) {
            if (begin % 10 != 0 || end - begin > 10 || worker < 0 || worker >= threads) aligned = false;
            total += end - begin;
        });
        CHECK(total == 103);
        CHECK(aligned);
        context->executor().parallel_for(0, 10, [&](size_t, size_t, int) { aligned = false; });
        CHECK(aligned);
        zeta_context_destroy(&context);
        CHECK(context == nullptr);
    }
}

TEST_CASE("executor: a pipeline's stages meet every item in order") {
    for (const int32_t threads : {1, 2, 5}) {
        CAPTURE(threads);
        zeta_context *context = make(threads);
        for (const size_t stages : {1, 2, 3}) CHECK(orderly_pipeline(context, 500, 2 * size_t(threads), stages));
        CHECK(orderly_pipeline(context, 20, 1, 2));
        CHECK(orderly_pipeline(context, 0, 4, 1));
        zeta_context_destroy(&context);
    }
}

TEST_CASE("executor: an error on any thread comes out at the caller with its sentence") {
    for (const int32_t threads : {1, 3}) {
        zeta_context *context = make(threads);
        const zeta_status status = zeta::guarded([&] {
            context->executor().parallel_for(64, 1, [](size_t begin, size_t, int) {
                if (begin == 63) zeta::fail(ZETA_ERROR_SHAPE, "piece %d is wrong", 63);
            });
        });
        CHECK(status == ZETA_ERROR_SHAPE);
        CHECK(std::string(zeta_last_error()) == "piece 63 is wrong");
        for (const size_t place : {0, 1, 2}) { // the start, or either stage
            CAPTURE(place);
            const auto fail_in = [&](size_t item, size_t at) {
                if (item == 9 && at == place) zeta::fail(ZETA_ERROR_SHAPE, "item %d is wrong", 9);
            };
            const zeta_status of_pipeline = zeta::guarded([&] {
                context->executor().pipeline(
                    30, 6, 2, [&](size_t item, size_t, int) { fail_in(item, 0); },
                    [&](size_t item, size_t, size_t stage, int) { fail_in(item, stage + 1); });
            });
            CHECK(of_pipeline == ZETA_ERROR_SHAPE);
            CHECK(std::string(zeta_last_error()) == "item 9 is wrong");
        }
        CHECK(nested_loops(context));
        CHECK(orderly_pipeline(context, 50, 4, 2));
        zeta_context_destroy(&context);
    }
}

TEST_CASE("executor: every task rounds to nearest, and the caller's environment comes back") {
    zeta_context *context = make(3);
    REQUIRE(std::fesetround(FE_UPWARD) == 0);
    std::atomic<int> wrong{0};
    {
        const zeta::BusyGuard guard = context->enter();
        context->executor().parallel_for(64, 1,
                                         [&](size_t, size_t, int) { wrong += std::fegetround() != FE_TONEAREST; });
        context->executor().pipeline(
            64, 6, 1, [&](size_t, size_t, int) { wrong += std::fegetround() != FE_TONEAREST; },
            [&](size_t, size_t, size_t, int) { wrong += std::fegetround() != FE_TONEAREST; });
    }
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    CHECK(wrong == 0);
    CHECK(after == FE_UPWARD);
    zeta_context_destroy(&context);
}

TEST_CASE("context: one call at a time, and a child process goes on alone") {
    zeta_context *context = make(2);
    CHECK(nested_loops(context));
    {
        const zeta::BusyGuard guard = context->enter();
        CHECK(zeta::guarded([&] { context->enter(); }) == ZETA_ERROR_BUSY);
        CHECK(std::strlen(zeta_last_error()) > 0);
        const pid_t child = fork();
        if (child == 0) {
            bool sound = false;
            zeta::guarded([&] {
                const zeta::BusyGuard again = context->enter(); // the holder is not in this process
                sound =
                    context->executor().workers() == 1 && nested_loops(context) && orderly_pipeline(context, 50, 4, 2);
            });
            zeta_context_destroy(&context);
            _exit(sound ? 0 : 1);
        }
        int status = -1;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    CHECK(zeta::guarded([&] { context->enter(); }) == ZETA_OK);
    zeta_context_destroy(&context);
}

TEST_CASE("context: memory comes from the hook and goes back to it") {
    struct Hook {
        size_t held = 0;
        bool refuse = false;
    } hook;
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = 1;
    params.allocator.user = &hook;
    params.allocator.allocate = [](void *user, size_t size, size_t alignment) -> void * {
        auto *self = static_cast<Hook *>(user);
        if (self->refuse) return nullptr;
        self->held += size;
        return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    };
    params.allocator.release = [](void *user, void *block, size_t size) {
        static_cast<Hook *>(user)->held -= size;
        std::free(block);
    };
    zeta_context *context = nullptr;
    REQUIRE(zeta_context_create(&context, &params) == ZETA_OK);
    {
        zeta::Allocation first = context->allocate(1000);
        CHECK(first.data() != nullptr);
        zeta::Allocation second = std::move(first);
        CHECK(hook.held == 1000);
        CHECK(context->allocate(0).data() == nullptr);
    }
    CHECK(hook.held == 0);
    hook.refuse = true;
    CHECK(zeta::guarded([&] { context->allocate(5); }) == ZETA_ERROR_MEMORY);
    zeta_context_destroy(&context);
}

TEST_CASE("progress: fractions grow, and a callback that asks to stop cancels") {
    double seen = 0;
    zeta::ProgressMeter meter(stop_at_half, &seen, 1000);
    int steps = 0;
    const zeta_status status = zeta::guarded([&] {
        for (; steps < 1000; ++steps) meter.advance(1);
    });
    CHECK(status == ZETA_ERROR_CANCELLED);
    CHECK(seen == doctest::Approx(0.5).epsilon(0.01));
    CHECK(steps < 520);
    CHECK(zeta::guarded([&] { meter.advance(1); }) == ZETA_ERROR_CANCELLED);
}

TEST_CASE("progress: a thread does not wait for the callback that another is in, except to tell of the end") {
    struct Teller {
        std::atomic<int> calls{0};
        std::atomic<bool> passed{false};
        double last = 0;
    } teller;
    const auto tell = [](void *user, double fraction) {
        auto *self = static_cast<Teller *>(user);
        const bool first = self->calls++ == 0;
        while (first && !self->passed) std::this_thread::yield(); // until the other thread has gone on
        self->last = fraction;
        return 0;
    };
    zeta::ProgressMeter meter(tell, &teller, 1024);
    std::thread first([&] { meter.advance(512); });
    while (teller.calls == 0) std::this_thread::yield();
    meter.advance(256);
    CHECK(teller.calls == 1);
    teller.passed = true;
    meter.advance(256); // the last: waits for the first to come out, and is told
    CHECK(teller.calls == 2);
    CHECK(teller.last == 1.0);
    first.join();
}

TEST_CASE("blas: quiet while a dense call runs, and the host's number of threads comes back") {
    zeta_context *context = make(1);
    const int before = openblas_get_num_threads();
    openblas_set_num_threads(2);
    const int host = openblas_get_num_threads(); // 1 if OpenBLAS was built without threads
    std::vector<float> x(8, 0.5f), y(8);
    const int64_t shape[] = {1, 1, 2, 4};
    zeta_tensor in = zeta_tensor_contiguous(x.data(), ZETA_F32, 4, shape);
    zeta_tensor out = zeta_tensor_contiguous(y.data(), ZETA_F32, 4, shape);
    zeta_attention_params params;
    zeta_attention_params_init(&params);
    int during = 0;
    params.progress_user = &during;
    params.progress = [](void *user, double) {
        *static_cast<int *>(user) = openblas_get_num_threads();
        return 0;
    };
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = args.k = args.v = &in;
    args.out = &out;
    CHECK(zeta_dense_forward(context, &params, &args) == ZETA_OK);
    CHECK(during == 1);
    CHECK(openblas_get_num_threads() == host);
    openblas_set_num_threads(before);
    zeta_context_destroy(&context);
}
