// SPDX-License-Identifier: Apache-2.0
// Which instruction sets are compiled in, which of them this CPU has, and their tables of kernels. The tables are
// filled once, for every set present, on first use; afterwards they are only read. Dispatch is per context, not per
// call.
#include <cstring>

#include <hwy/targets.h>

#include "kernels.hpp"
#include "targets.hpp"
#include "vbmi2.hpp"

namespace zeta::simd {
namespace {

constexpr const char *kNames[kIsaCount] = {"scalar", "sse4", "avx2", "avx512", "neon", "sve"};

// Targets of each set, all that may serve it; the lowest bit is the best one.
constexpr int64_t kTargets[kIsaCount] = {
    HWY_EMU128 | HWY_SCALAR, HWY_SSE4, HWY_AVX2,
    HWY_AVX3_DL | HWY_AVX3,  HWY_NEON, HWY_SVE2_128 | HWY_SVE_256 | HWY_SVE2 | HWY_SVE,
};

// The target that serves a set on this CPU, or 0.
int64_t find_target(Isa isa) {
    const int64_t fallback = HWY_EMU128 | HWY_SCALAR; // plain C++ runs everywhere
    const int64_t usable = kTargets[static_cast<int>(isa)] & HWY_TARGETS & (hwy::SupportedTargets() | fallback);
    return usable & -usable;
}

struct Tables {
    int64_t target[kIsaCount];
    Kernels kernels[kIsaCount];

    Tables() : target(), kernels() {
        for (int i = 0; i < kIsaCount; ++i) {
            target[i] = find_target(static_cast<Isa>(i));
            if (target[i] != 0) fill(target[i], kernels[i]);
        }
        const int avx512 = static_cast<int>(Isa::avx512);
        if (target[avx512] != 0) prefer_vbmi2(kernels[avx512]);
    }

    static void fill(int64_t target, Kernels &kernels) {
#define ZETA_CALL_FILL(stage) stage##_fill(target, kernels);
        ZETA_STAGES(ZETA_CALL_FILL)
#undef ZETA_CALL_FILL
    }
};

const Tables &tables() {
    static const Tables all;
    return all;
}

} // namespace

const char *isa_name(Isa isa) {
    const int i = static_cast<int>(isa);
    return i >= 0 && i < kIsaCount ? kNames[i] : "unknown";
}

bool isa_from_name(const char *name, Isa *isa) {
    if (name == nullptr) return false;
    for (int i = 0; i < kIsaCount; ++i) {
        if (std::strcmp(name, kNames[i]) != 0) continue;
        *isa = static_cast<Isa>(i);
        return true;
    }
    return false;
}

bool isa_present(Isa isa) {
    const int i = static_cast<int>(isa);
    return i >= 0 && i < kIsaCount && tables().target[i] != 0;
}

Isa isa_best() {
    for (int i = kIsaCount - 1; i > 0; --i) {
        if (tables().target[i] != 0) return static_cast<Isa>(i);
    }
    return Isa::scalar;
}

const Kernels &kernels(Isa isa) {
    return tables().kernels[static_cast<int>(isa)];
}

} // namespace zeta::simd
