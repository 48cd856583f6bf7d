// SPDX-License-Identifier: Apache-2.0
// Runs the property tests. Besides doctest's options: --seed=S (default 1) and --cases=C (default 400), the number of
// cases of the random sweep; the others scale with it.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "harness.hpp"

int main(int argc, char **argv) {
    for (int n = 1; n < argc; ++n) {
        if (std::strncmp(argv[n], "--seed=", 7) == 0)
            property::settings().seed = std::strtoull(argv[n] + 7, nullptr, 10);
        if (std::strncmp(argv[n], "--cases=", 8) == 0) property::settings().cases = std::atoi(argv[n] + 8);
    }
    std::printf("property: --seed=%llu --cases=%d\n", static_cast<unsigned long long>(property::settings().seed),
                property::settings().cases);
    doctest::Context context(argc, argv);
    return context.run();
}
