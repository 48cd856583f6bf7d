// SPDX-License-Identifier: Apache-2.0
// The floating-point environment every result is defined in: round to nearest, denormals kept, no traps. A guard sets
// it and restores the caller's at its end. Entry points hold one, and so does every task on another thread.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

#include <cstdint>

namespace zeta {

class FpEnvironment {
public:
#if defined(__x86_64__)
    FpEnvironment() : saved_(_mm_getcsr()) {
        _mm_setcsr(0x1f80);
    }
    ~FpEnvironment() {
        _mm_setcsr(saved_);
    }

private:
    uint32_t saved_;
#elif defined(__aarch64__)
    FpEnvironment() {
        asm volatile("mrs %0, fpcr" : "=r"(saved_)::"memory");
        asm volatile("msr fpcr, %0" ::"r"(uint64_t{0}) : "memory");
    }
    ~FpEnvironment() {
        asm volatile("msr fpcr, %0" ::"r"(saved_) : "memory");
    }

private:
    uint64_t saved_;
#else
    FpEnvironment() {
        std::fegetenv(&saved_);
        std::fesetenv(FE_DFL_ENV);
    }
    ~FpEnvironment() {
        std::fesetenv(&saved_);
    }

private:
    std::fenv_t saved_;
#endif

public:
    FpEnvironment(const FpEnvironment &) = delete;
    FpEnvironment &operator=(const FpEnvironment &) = delete;
};

} // namespace zeta
