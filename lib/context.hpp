// SPDX-License-Identifier: Apache-2.0
// The context behind zeta_context: kernels of its instruction set, threads, memory, stage times. One call at a time
// holds its BusyGuard; everything but stage_add() and log() is used by that call's own thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "../simd/kernels.hpp"
#include "cpu/arena.hpp"
#include "fp_environment.hpp"
#include "zeta/attention.h"
#include "zeta/context.h"

namespace zeta {

// Stages a call's time is told by, in the order of zeta_stage_name(). The names are those of the folders.
struct Stage {
    enum : int { codes, sort, levels, select, mean, attend, count };
};

// A block from the context's allocator, given back at the end.
class Allocation {
public:
    Allocation() = default;
    Allocation(Allocation &&other) noexcept;
    Allocation &operator=(Allocation &&other) noexcept;
    ~Allocation();

    void *data() const { return data_; }
    size_t size() const { return size_; }

private:
    friend class Context;
    Allocation(const zeta_allocator &allocator, size_t size);

    zeta_allocator allocator_{};
    void *data_ = nullptr;
    size_t size_ = 0;
};

// Holds the context for one call, and the floating-point environment of the calling thread.
class BusyGuard {
public:
    BusyGuard(std::atomic<int64_t> &holder, const char *what); // "context": for the sentence
    ~BusyGuard();
    BusyGuard(const BusyGuard &) = delete;
    BusyGuard &operator=(const BusyGuard &) = delete;

private:
    std::atomic<int64_t> &holder_;
    FpEnvironment environment_;
};

class Context {
public:
    explicit Context(const zeta_context_params &params); // checked
    // One with the settings of `other` and an arena, stage times and one-call rule of its own.
    static std::unique_ptr<Context> with_settings_of(const Context &other);
    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;

    const simd::Isa isa;
    const int threads;
    const simd::Kernels &kernels;

    const cpu::Executor &executor() const { return executor_; }
    int threads_now() const { return executor_.workers(); }
    // Throws Error(ZETA_ERROR_BUSY) while another call holds the context.
    BusyGuard enter(const char *what = "context") { return BusyGuard(holder_, what); }
    // 64-byte aligned, uninitialised; of no bytes: NULL. Multiples of 2 MB, and all from 4 MB on, are huge pages if the
    // memory is the C library's. Throws Error(ZETA_ERROR_MEMORY).
    Allocation allocate(size_t bytes) const { return Allocation(allocator_, bytes); }
    // The same without an owner, for what many share; NULL if refused. give() gets the same size.
    void *take(size_t bytes) const noexcept;
    void give(void *block, size_t bytes) const noexcept;

    void stage_reset();
    void stage_add(int stage, double ms);
    double stage_ms(int stage) const { return stage_ms_[stage].load(std::memory_order_relaxed); }

    void log(int32_t level, const char *format, ...) const __attribute__((format(printf, 3, 4)));

private:
    const zeta_allocator allocator_;
    void (*const log_)(void *, int32_t, const char *);
    void *const log_user_;
    const cpu::ArenaExecutor executor_;
    std::atomic<int64_t> holder_{0}; // process id of the call's process, 0: none
    std::atomic<double> stage_ms_[Stage::count];
};

// Times a stage from its making to its end.
class StageTimer {
public:
    StageTimer(Context &context, int stage);
    ~StageTimer();
    StageTimer(const StageTimer &) = delete;
    StageTimer &operator=(const StageTimer &) = delete;

private:
    Context &context_;
    int stage_;
    int64_t start_; // ns
};

} // namespace zeta

struct zeta_context : zeta::Context {
    using zeta::Context::Context;
};
