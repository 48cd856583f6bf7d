// SPDX-License-Identifier: Apache-2.0
// How a stage file hands its kernels to the table. Each stage is compiled once per Highway target; its per-target
// namespace holds `stage_fill(Kernels &)`, and ZETA_FILL(stage), written once under HWY_ONCE, defines the function that
// picks one by target. Which targets exist is decided by HWY_TARGETS, which the build flags fix for every file alike.
#pragma once

#include <cstdint>

#include <hwy/detect_targets.h>

#include "kernels.hpp"

namespace zeta::simd {

// Every stage: its file's name.
#define ZETA_STAGES(stage)                                                                                             \
    stage(codes) stage(sort) stage(levels) stage(window) stage(select) stage(attend) stage(near) stage(values) stage(backward)     \
        stage(slopes) stage(convert) stage(mean) stage(exact_build) stage(exact_search) stage(exact_cut)

// Set a stage's pointers to those of `target`, which must be one bit of HWY_TARGETS.
#define ZETA_DECLARE_FILL(stage) void stage##_fill(int64_t target, Kernels &kernels);
ZETA_STAGES(ZETA_DECLARE_FILL)
#undef ZETA_DECLARE_FILL

} // namespace zeta::simd

#define ZETA_FILL_CASE(name, stage)                                                                                    \
    case HWY_##name:                                                                                                   \
        N_##name::stage##_fill(kernels);                                                                               \
        return;

#if HWY_TARGETS & HWY_AVX3_DL
#define ZETA_FILL_AVX3_DL(stage) ZETA_FILL_CASE(AVX3_DL, stage)
#else
#define ZETA_FILL_AVX3_DL(stage)
#endif
#if HWY_TARGETS & HWY_AVX3
#define ZETA_FILL_AVX3(stage) ZETA_FILL_CASE(AVX3, stage)
#else
#define ZETA_FILL_AVX3(stage)
#endif
#if HWY_TARGETS & HWY_AVX2
#define ZETA_FILL_AVX2(stage) ZETA_FILL_CASE(AVX2, stage)
#else
#define ZETA_FILL_AVX2(stage)
#endif
#if HWY_TARGETS & HWY_SSE4
#define ZETA_FILL_SSE4(stage) ZETA_FILL_CASE(SSE4, stage)
#else
#define ZETA_FILL_SSE4(stage)
#endif
#if HWY_TARGETS & HWY_SVE2_128
#define ZETA_FILL_SVE2_128(stage) ZETA_FILL_CASE(SVE2_128, stage)
#else
#define ZETA_FILL_SVE2_128(stage)
#endif
#if HWY_TARGETS & HWY_SVE_256
#define ZETA_FILL_SVE_256(stage) ZETA_FILL_CASE(SVE_256, stage)
#else
#define ZETA_FILL_SVE_256(stage)
#endif
#if HWY_TARGETS & HWY_SVE2
#define ZETA_FILL_SVE2(stage) ZETA_FILL_CASE(SVE2, stage)
#else
#define ZETA_FILL_SVE2(stage)
#endif
#if HWY_TARGETS & HWY_SVE
#define ZETA_FILL_SVE(stage) ZETA_FILL_CASE(SVE, stage)
#else
#define ZETA_FILL_SVE(stage)
#endif
#if HWY_TARGETS & HWY_NEON
#define ZETA_FILL_NEON(stage) ZETA_FILL_CASE(NEON, stage)
#else
#define ZETA_FILL_NEON(stage)
#endif
#if HWY_TARGETS & HWY_EMU128
#define ZETA_FILL_EMU128(stage) ZETA_FILL_CASE(EMU128, stage)
#else
#define ZETA_FILL_EMU128(stage)
#endif
#if HWY_TARGETS & HWY_SCALAR
#define ZETA_FILL_SCALAR(stage) ZETA_FILL_CASE(SCALAR, stage)
#else
#define ZETA_FILL_SCALAR(stage)
#endif

// Inside namespace zeta::simd, under HWY_ONCE.
#define ZETA_FILL(stage)                                                                                               \
    void stage##_fill(int64_t target, Kernels &kernels) {                                                              \
        switch (target) {                                                                                              \
            ZETA_FILL_AVX3_DL(stage)                                                                                   \
            ZETA_FILL_AVX3(stage)                                                                                      \
            ZETA_FILL_AVX2(stage)                                                                                      \
            ZETA_FILL_SSE4(stage)                                                                                      \
            ZETA_FILL_SVE2_128(stage)                                                                                  \
            ZETA_FILL_SVE_256(stage)                                                                                   \
            ZETA_FILL_SVE2(stage)                                                                                      \
            ZETA_FILL_SVE(stage)                                                                                       \
            ZETA_FILL_NEON(stage)                                                                                      \
            ZETA_FILL_EMU128(stage)                                                                                    \
            ZETA_FILL_SCALAR(stage)                                                                                    \
        default:                                                                                                       \
            return;                                                                                                    \
        }                                                                                                              \
    }
