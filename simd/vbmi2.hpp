// SPDX-License-Identifier: Apache-2.0
// Kernels of window_vbmi2.cpp instead of those of the set avx512, where this CPU has AVX-512 VBMI2.
#pragma once

#include "kernels.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define ZETA_VBMI2_POSSIBLE 1
#else
#define ZETA_VBMI2_POSSIBLE 0
#endif

namespace zeta::simd {

void prefer_vbmi2(Kernels &avx512);

} // namespace zeta::simd
