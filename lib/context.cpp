// SPDX-License-Identifier: Apache-2.0
// The context: its memory, its one-call rule, its stage times.
#include "context.hpp"

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <utility>

#include "scratch.hpp"
#include "status.hpp"

namespace zeta {
namespace {

void *default_allocate(void *, size_t size, size_t alignment) {
    if (size > SIZE_MAX - alignment) return nullptr;
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void default_release(void *, void *block, size_t) {
    std::free(block);
}

zeta_allocator hook_or_default(const zeta_allocator &hook) {
    return hook.allocate == nullptr ? zeta_allocator{default_allocate, default_release, nullptr} : hook;
}

simd::Isa isa_wanted(const char *name) {
    const char *source = "params.isa";
    if (name == nullptr) {
        source = "ZETA_ISA";
        name = std::getenv(source);
        if (name == nullptr || *name == '\0') name = "auto";
    }
    if (std::strcmp(name, "auto") == 0) return simd::isa_best();
    simd::Isa isa{};
    if (!simd::isa_from_name(name, &isa))
        fail(ZETA_ERROR_ISA, "%s is \"%.40s\": instruction sets are scalar, sse4, avx2, avx512, neon, sve and auto",
             source, name);
    if (!simd::isa_present(isa))
        fail(ZETA_ERROR_ISA,
             "%s is \"%s\": this CPU or this build of zeta does not have it; the best present is \"%s\"", source, name,
             simd::isa_name(simd::isa_best()));
    return isa;
}

int64_t now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

} // namespace

Allocation::Allocation(const zeta_allocator &allocator, size_t size) : allocator_(allocator), size_(size) {
    if (size == 0) return;
    data_ = allocator_.allocate(allocator_.user, size, Scratch::kAlignment);
    if (data_ == nullptr) fail(ZETA_ERROR_MEMORY, "out of memory: %zu bytes of working memory were refused", size);
}

Allocation::Allocation(Allocation &&other) noexcept
    : allocator_(other.allocator_), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Allocation &Allocation::operator=(Allocation &&other) noexcept {
    std::swap(allocator_, other.allocator_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

Allocation::~Allocation() {
    if (data_ != nullptr) allocator_.release(allocator_.user, data_, size_);
}

BusyGuard::BusyGuard(std::atomic<int64_t> &holder) : holder_(holder) {
    // A holder of another process was a thread of the parent that this child does not have.
    const int64_t self = getpid();
    int64_t held = 0;
    while (!holder_.compare_exchange_strong(held, self, std::memory_order_acquire))
        if (held == self) fail(ZETA_ERROR_BUSY, "the context is serving another call: use one context per thread");
}

BusyGuard::~BusyGuard() {
    holder_.store(0, std::memory_order_release);
}

Context::Context(const zeta_context_params &params)
    : isa(isa_wanted(params.isa)), threads(params.threads), kernels(simd::kernels(isa)),
      allocator_(hook_or_default(params.allocator)), log_(params.log), log_user_(params.log_user),
      executor_(threads, kernels) {
    stage_reset();
}

void Context::stage_reset() {
    for (std::atomic<double> &ms : stage_ms_) ms.store(0, std::memory_order_relaxed);
}

void Context::stage_add(int stage, double ms) {
    std::atomic<double> &total = stage_ms_[stage];
    double before = total.load(std::memory_order_relaxed);
    while (!total.compare_exchange_weak(before, before + ms, std::memory_order_relaxed)) {
    }
}

void Context::log(int32_t level, const char *format, ...) const {
    if (log_ == nullptr) return;
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    log_(log_user_, level, message);
}

StageTimer::StageTimer(Context &context, int stage) : context_(context), stage_(stage), start_(now()) {}

StageTimer::~StageTimer() {
    context_.stage_add(stage_, double(now() - start_) * 1e-6);
}

} // namespace zeta
