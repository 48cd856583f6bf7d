// SPDX-License-Identifier: Apache-2.0
// The context: its memory, its one-call rule, its stage times.
#include "context.hpp"

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include "scratch.hpp"
#include "status.hpp"

namespace zeta {
namespace {

constexpr size_t kHugePage = size_t{1} << 21, kLarge = 2 * kHugePage;

// Large blocks, and those of whole huge pages, are huge pages where the system has them: they are cleared faster, and
// rows read at random miss far fewer translations.
void *default_allocate(void *, size_t size, size_t alignment) {
    const bool huge = size >= kLarge || (size > 0 && size % kHugePage == 0);
    if (huge) alignment = kHugePage;
    if (size > SIZE_MAX - alignment) return nullptr;
    size = (size + alignment - 1) / alignment * alignment;
    void *block = std::aligned_alloc(alignment, size);
#ifdef MADV_HUGEPAGE
    if (huge && block != nullptr) madvise(block, size, MADV_HUGEPAGE); // a wish: whether it is granted does not matter
#endif
    return block;
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

BusyGuard::BusyGuard(std::atomic<int64_t> &holder, const char *what) : holder_(holder) {
    // A holder of another process was a thread of the parent that this child does not have.
    const int64_t self = getpid();
    int64_t held = 0;
    while (!holder_.compare_exchange_strong(held, self, std::memory_order_acquire))
        if (held == self) fail(ZETA_ERROR_BUSY, "the %s is serving another call: use one %s per thread", what, what);
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

std::unique_ptr<Context> Context::with_settings_of(const Context &other) {
    zeta_context_params params{};
    params.struct_size = sizeof params;
    params.threads = other.threads;
    params.isa = simd::isa_name(other.isa);
    params.allocator = other.allocator_;
    params.log = other.log_;
    params.log_user = other.log_user_;
    return std::make_unique<Context>(params);
}

void *Context::take(size_t bytes) const noexcept {
    return allocator_.allocate(allocator_.user, bytes, Scratch::kAlignment);
}

void Context::give(void *block, size_t bytes) const noexcept {
    if (block != nullptr) allocator_.release(allocator_.user, block, bytes);
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
