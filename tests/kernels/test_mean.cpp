// SPDX-License-Identifier: Apache-2.0
// Prefix sums and means against the formula, to the bit.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>

#include "support.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;

namespace {

// A sum whose quotient by `count` lies at the border between two float32, or a few float64 beside it.
double border_sum(Random &random, double count) {
    const float x = normal(random);
    const double middle = (double(x) + double(std::nextafter(x, HUGE_VALF))) / 2;
    double sum = middle * count;
    for (int64_t step = pick(random, 0, 4); step > 0; --step)
        sum = std::nextafter(sum, pick(random, 0, 1) ? 1e300 : -1e300);
    return sum;
}

std::vector<double> some_sums(Random &random, size_t n, double count) {
    std::vector<double> sums(n);
    for (double &sum : sums) {
        switch (pick(random, 0, 9)) {
        case 0:
            sum = double(floats(random, 1, 1)[0]);
            break;
        case 1:
            sum = double(normal(random)) * FLT_MAX;
            break;
        case 2:
            sum = double(normal(random)) * FLT_TRUE_MIN * 100;
            break;
        case 3:
        case 4:
            sum = border_sum(random, count);
            break;
        case 5:
            sum = 0;
            break;
        default:
            sum = double(normal(random)) * count;
            break;
        }
    }
    return sums;
}

void check_step(const Kernels &kernels, Random &random, size_t n, Place place) {
    const double counts[] = {1, 2, 3, 7, 10, 1000, 65537, 16777216};
    const double count = counts[pick(random, 0, 7)];
    const bool plain = pick(random, 0, 1) == 0; // nothing added: the borders stay where they are
    const std::vector<float> values = plain ? std::vector<float>(n, 0.0f) : floats(random, n, 20);
    const std::vector<double> sums = some_sums(random, n, count);
    const std::vector<double> earlier = plain ? std::vector<double>(n, 0.0) : some_sums(random, n, count);
    std::vector<double> expected_running(n);
    std::vector<float> expected_mean(n);
    for (size_t c = 0; c < n; ++c) {
        expected_running[c] = sums[c] + static_cast<double>(values[c]);
        expected_mean[c] = static_cast<float>((earlier[c] + expected_running[c]) / count);
    }
    const Array<float> v(values, place), mean(n, place);
    const Array<double> before(earlier, place), running(sums, place);
    kernels.mean_step(v, n, before, running, count, mean);
    CHECK(same_floats(mean.values(), expected_mean));
    for (size_t c = 0; c < n; ++c) CHECK(close(running[c], expected_running[c], 0));
    CHECK(mean.intact());
    CHECK(running.intact());

    const Array<double> added(sums, place);
    kernels.mean_add(v, n, added);
    for (size_t c = 0; c < n; ++c) CHECK(close(added[c], expected_running[c], 0));
    CHECK(added.intact());
}

} // namespace

TEST_CASE("means are the rounded quotient of the sums") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t n : sizes()) {
            CAPTURE(n);
            for (int repeat = 0; repeat < 6; ++repeat) check_step(kernels, random, n, kPlaces[repeat % 3]);
        }
    }
}
