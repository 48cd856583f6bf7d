// SPDX-License-Identifier: Apache-2.0
// zeta/context.h and the stage times: checks and translation.
#include "../context.hpp"

#include <cstring>
#include <memory>
#include <sched.h>
#include <thread>

#include "../../gpu/gpu.hpp"
#include "../status.hpp"
#include "check_params.hpp"

namespace {

using zeta::fail;

constexpr int32_t kMaxThreads = 1024;

const char *const kStageNames[zeta::Stage::count] = {"codes", "sort", "levels", "select", "mean", "attend"};

// CPUs this process may run on.
int32_t cpus() {
    cpu_set_t set;
    int count = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
    if (count == 0) count = int(std::thread::hardware_concurrency());
    return count < 1 ? 1 : count > kMaxThreads ? kMaxThreads : int32_t(count);
}

zeta_context_params checked(const zeta_context_params *given) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    if (given != nullptr) {
        zeta::api::check_alignment("params", given, alignof(zeta_context_params));
        zeta::api::check_struct_size("params", given->struct_size, sizeof params);
        params = *given;
    }
    if (params.threads < 0 || params.threads > kMaxThreads)
        fail(ZETA_ERROR_ARGUMENT, "params.threads is %d: it must be 0..%d", int(params.threads), int(kMaxThreads));
    if (params.reserved != 0) fail(ZETA_ERROR_ARGUMENT, "params.reserved is %d: it must be 0", int(params.reserved));
    if ((params.allocator.allocate == nullptr) != (params.allocator.release == nullptr))
        fail(ZETA_ERROR_ARGUMENT, "params.allocator.%s is NULL but the other function is given: give both or neither",
             params.allocator.allocate == nullptr ? "allocate" : "release");
    if (params.threads == 0) params.threads = cpus();
    return params;
}

// OpenBLAS falls back to very old kernels on CPUs it does not know.
void warn_of_slow_blas(const zeta_context &context) {
    const bool modern = context.isa == zeta::simd::Isa::avx2 || context.isa == zeta::simd::Isa::avx512;
    const char *core = zeta_blas_core();
    for (const char *old : {"Prescott", "Core2", "Generic", "Katmai", "Coppermine", "Northwood", "Banias"})
        if (modern && std::strcmp(core, old) == 0)
            context.log(
                ZETA_LOG_WARNING,
                "OpenBLAS chose its %s kernels, several times slower than this CPU allows: set OPENBLAS_CORETYPE to %s",
                core, context.isa == zeta::simd::Isa::avx512 ? "SkylakeX" : "Haswell");
}

} // namespace

void zeta_context_params_init(zeta_context_params *params) {
    if (params == nullptr) return;
    *params = zeta_context_params{};
    params->struct_size = sizeof *params;
}

zeta_status zeta_context_create(zeta_context **context, const zeta_context_params *params) {
    return zeta::guarded([&] {
        if (context == nullptr) fail(ZETA_ERROR_ARGUMENT, "context is NULL");
        *context = nullptr;
        const zeta::FpEnvironment environment;
        auto made = std::make_unique<zeta_context>(checked(params));
        warn_of_slow_blas(*made); // the caller's callback may throw
        *context = made.release();
    });
}

void zeta_context_destroy(zeta_context **context) {
    if (context == nullptr) return;
    delete *context;
    *context = nullptr;
}

int32_t zeta_context_threads(const zeta_context *context) {
    return context == nullptr ? 0 : context->threads_now();
}

const char *zeta_context_isa(const zeta_context *context) {
    return context == nullptr ? nullptr : zeta::simd::isa_name(context->isa);
}

const char *zeta_isa_present(int32_t index) {
    for (int i = zeta::simd::kIsaCount - 1; i >= 0; --i) {
        const auto isa = zeta::simd::Isa(i);
        if (zeta::simd::isa_present(isa) && index-- == 0) return zeta::simd::isa_name(isa);
    }
    return nullptr;
}

int32_t zeta_has_feature(const char *name) {
    if (name == nullptr) return 0;
    if (std::strcmp(name, "cuda") == 0) return zeta::gpu::usable() ? 1 : 0;
    return std::strcmp(name, "float16") == 0 || std::strcmp(name, "bfloat16") == 0 ? 1 : 0;
}

const char *zeta_stage_name(const zeta_context *context, int32_t index) {
    return context == nullptr || index < 0 || index >= zeta::Stage::count ? nullptr : kStageNames[index];
}

double zeta_stage_ms(const zeta_context *context, int32_t index) {
    return context == nullptr || index < 0 || index >= zeta::Stage::count ? 0 : context->stage_ms(index);
}
