// SPDX-License-Identifier: Apache-2.0
// Runs the tests of kernels. Besides doctest's options: --seed=S (default 1).
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support.hpp"

int main(int argc, char **argv) {
    for (int n = 1; n < argc; ++n) {
        if (std::strncmp(argv[n], "--seed=", 7) == 0) kernel_tests::seed() = std::strtoull(argv[n] + 7, nullptr, 10);
    }
    std::printf("kernels: --seed=%llu, on", static_cast<unsigned long long>(kernel_tests::seed()));
    for (const kernel_tests::Isa isa : kernel_tests::isas()) std::printf(" %s", zeta::simd::isa_name(isa));
    std::printf("\n");
    doctest::Context context(argc, argv);
    return context.run();
}
