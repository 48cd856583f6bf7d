// SPDX-License-Identifier: Apache-2.0
// The two keys that every causal query has beside its neighbours: distances to the bit, shares against float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support.hpp"
#include "zeta/attention.h"

using namespace kernel_tests;
using zeta::simd::isa_name;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kScores[] = {ZETA_SCORE_CAUCHY, ZETA_SCORE_GAUSSIAN, ZETA_SCORE_LAPLACE, ZETA_SCORE_INVERSE};

void check_distances(const Kernels &kernels, Random &random, size_t n, int dk, Place place) {
    const auto width = static_cast<size_t>(dk);
    const std::vector<float> q_rows = floats(random, n * width, 20), k_rows = floats(random, n * width, 20),
                             mean_rows = floats(random, n * width, 20);
    const Array<float> q(q_rows, place), k(k_rows, place), mean(mean_rows, place), near(2 * n, place);
    std::vector<float> expected(2 * n);
    for (size_t i = 0; i < n; ++i) {
        for (const bool own : {true, false}) {
            float distance = 0;
            for (size_t e = 0; e < width; ++e) {
                const float key = own ? k_rows[i * width + e] : mean_rows[i * width + e];
                const float difference = q_rows[i * width + e] - key, square = difference * difference;
                distance = e == 0 ? square : distance + square;
            }
            expected[2 * i + (own ? 0 : 1)] = distance;
        }
    }
    kernels.near_distances(q, k, mean, dk, n, near);
    CHECK(same_floats(near.values(), expected));
    CHECK(near.intact());
}

double weight(int score, double gamma, double least, double distance) {
    switch (score) {
    case ZETA_SCORE_GAUSSIAN:
        return std::exp((least - distance) / (gamma * gamma));
    case ZETA_SCORE_LAPLACE:
        return std::exp((std::sqrt(least) - std::sqrt(distance)) / gamma);
    case ZETA_SCORE_INVERSE:
        return 1 / (std::sqrt(distance) + gamma);
    default:
        return 1 / (distance + gamma * gamma);
    }
}

float some_distance(Random &random, float gamma) {
    const int64_t kind = pick(random, 0, 11);
    if (kind == 0) return 0;
    if (kind == 1) return kInfinity;
    if (kind == 2) return std::nanf("");
    const float scale = kind < 6 ? 40 * gamma * gamma : gamma * gamma;
    return std::fabs(normal(random)) * scale;
}

void check_shares(const Kernels &kernels, Random &random, int score, size_t n, Place place) {
    const float gammas[] = {0.01f, 1.0f, 3.5f, 1024.0f}, gamma = gammas[pick(random, 0, 3)];
    std::vector<float> distances(2 * n);
    for (float &distance : distances) distance = some_distance(random, gamma);
    const Array<float> near(distances, place), shares(2 * n, place), alone(2 * n, place);
    kernels.near_shares(score, gamma, near, n, shares);
    for (size_t i = 0; i < n; ++i) kernels.near_shares(score, gamma, near + 2 * i, 1, alone + 2 * i);
    CHECK(same_floats(shares.values(), alone.values())); // a decoder has one query at a time
    for (size_t i = 0; i < n; ++i) {
        const double own = double(distances[2 * i]), mean = double(distances[2 * i + 1]);
        const std::vector<float> pair = {shares[2 * i], shares[2 * i + 1]};
        CAPTURE(own);
        CAPTURE(mean);
        if (std::isnan(own) || std::isnan(mean) || (std::isinf(own) && std::isinf(mean))) {
            CHECK(std::isnan(pair[0]));
            CHECK(std::isnan(pair[1]));
            continue;
        }
        const double least = std::min(own, mean), a = weight(score, double(gamma), least, own),
                     b = weight(score, double(gamma), least, mean);
        const double tolerance = score == ZETA_SCORE_CAUCHY || score == ZETA_SCORE_INVERSE ? 4e-7 : 4e-6;
        CHECK(close(double(pair[0]), a / (a + b), tolerance));
        CHECK(close(double(pair[1]), b / (a + b), tolerance));
        if (std::isinf(own)) CHECK(pair[0] == 0);
        if (std::isinf(mean)) CHECK(pair[1] == 0);
    }
    CHECK(shares.intact());
}

} // namespace

TEST_CASE("distances of rows to the rows beside them") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : {1, 2, 3, 4, 5, 8, 32}) {
            CAPTURE(dk);
            for (const size_t n : sizes())
                for (const Place place : kPlaces) check_distances(kernels, random, n, dk, place);
        }
    }
}

TEST_CASE("shares of two keys") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int score : kScores) {
            CAPTURE(score);
            for (const size_t n : sizes())
                for (const Place place : kPlaces) check_shares(kernels, random, score, n, place);
        }
    }
}
