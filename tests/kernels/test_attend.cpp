// SPDX-License-Identifier: Apache-2.0
// Distances and dot products to the bit; weights and weighted sums against float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rows.hpp"
#include "zeta/attention.h"

using namespace kernel_tests;
using zeta::simd::isa_name;
using zeta::simd::kListPad;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void check_distances(const Kernels &kernels, Random &random, size_t n, int dk, Place place) {
    const auto width = static_cast<size_t>(dk);
    const size_t keys = n + 3;
    const std::vector<float> point = floats(random, width, 30), k_values = floats(random, keys * width, 20);
    const Array<float> q(point, place), k(k_values, place), distances(n, place), dots(n, place);
    const Array<uint32_t> ids(some_ids(random, n, keys), place);
    std::vector<float> expected_distances(n), expected_dots(n);
    for (size_t i = 0; i < n; ++i) {
        const float *key = k_values.data() + ids[i] * width;
        float distance = 0, dot = 0;
        for (size_t e = 0; e < width; ++e) {
            const float difference = point[e] - key[e];
            const float square = difference * difference, product = point[e] * key[e];
            distance = e == 0 ? square : distance + square;
            dot = e == 0 ? product : dot + product;
        }
        expected_distances[i] = distance;
        expected_dots[i] = dot;
    }
    const auto count = static_cast<uint32_t>(n);
    kernels.attend_distances(q, k, dk, ids, count, distances);
    kernels.attend_dots(q, k, dk, ids, count, dots);
    CHECK(same_floats(distances.values(), expected_distances));
    CHECK(same_floats(dots.values(), expected_dots));
    CHECK(distances.intact());
    CHECK(dots.intact());
}

std::vector<float> some_distances(Random &random, size_t n, float gamma) {
    std::vector<float> result(n);
    for (float &distance : result) {
        const float scale = pick(random, 0, 2) == 0 ? 40 * gamma * gamma : gamma * gamma;
        distance = std::fabs(normal(random)) * scale;
        if (pick(random, 0, 15) == 0) distance = 0;
        if (pick(random, 0, 15) == 0) distance = kInfinity;
    }
    return result;
}

float expected_minimum(int score, const std::vector<float> &distances, const std::vector<float> &dots) {
    float result = kInfinity;
    for (size_t i = 0; i < distances.size(); ++i) {
        if (distances[i] < kInfinity) result = std::min(result, score == ZETA_SCORE_DOT ? -dots[i] : distances[i]);
    }
    return result;
}

// The argument of a score's exponential, 0 for those without.
double argument_of(int score, double gamma, double minimum, double distance, double dot) {
    switch (score) {
    case ZETA_SCORE_GAUSSIAN:
        return (minimum - distance) / (gamma * gamma);
    case ZETA_SCORE_LAPLACE:
        return (std::sqrt(minimum) - std::sqrt(distance)) / gamma;
    case ZETA_SCORE_DOT:
        return std::isinf(distance) ? -HUGE_VAL : (dot + minimum) / gamma;
    default:
        return 0;
    }
}

double expected_weight(int score, double gamma, double argument, double distance) {
    if (score == ZETA_SCORE_CAUCHY) return 1 / (distance + gamma * gamma);
    if (score == ZETA_SCORE_INVERSE) return 1 / (std::sqrt(distance) + gamma);
    return std::exp(argument);
}

void check_weights(const Kernels &kernels, Random &random, size_t n, int score, Place place) {
    const float gammas[] = {1.0f, 0.25f, 3.7f, 0x1p-30f, 0x1p30f};
    const float gamma = gammas[pick(random, 0, score == ZETA_SCORE_DOT ? 2 : 4)];
    const std::vector<float> distance_values = some_distances(random, n, gamma), dot_values = floats(random, n);
    const Array<float> distances(distance_values, place), dots(dot_values, place), weights(n, place);
    const auto count = static_cast<uint32_t>(n);
    const float minimum = kernels.attend_minimum(score, distances, dots, count);
    const bool exponential = score != ZETA_SCORE_CAUCHY && score != ZETA_SCORE_INVERSE;
    if (exponential) CHECK(minimum == expected_minimum(score, distance_values, dot_values));
    if (exponential && minimum == kInfinity) return; // tested below
    const float sum = kernels.attend_weights(score, gamma, minimum, distances, dots, count, weights);
    double total = 0;
    for (size_t i = 0; i < n; ++i) {
        CAPTURE(distance_values[i]);
        const double distance = distance_values[i];
        const double argument = argument_of(score, gamma, minimum, distance, dot_values[i]);
        const double expected = expected_weight(score, gamma, argument, distance);
        const double slack = std::isinf(argument) ? 0 : 4e-7 * (1 + std::fabs(argument)) * expected;
        CHECK(close(weights[i], expected, slack + 2e-45));
        total += double(weights[i]);
    }
    CHECK(close(sum, total, 1e-6 * total));
    CHECK(weights.intact());
}

void check_values(const Kernels &kernels, Random &random, RowType type, size_t n, size_t dv, Place place) {
    const size_t keys = n / 2 + 1;
    const Rows rows(random, type, keys, dv, place);
    const std::vector<float> before = floats(random, dv), weight_values = floats(random, n);
    const Array<uint32_t> ids(some_ids(random, n, keys), place);
    const Array<float> weights(weight_values, place), sum(before, place);
    const float base_weight = pick(random, 0, 2) == 0 ? 1.0f : normal(random);
    const int64_t kind = pick(random, 0, 2); // no base, another row, the output itself
    std::vector<double> expected(dv), size(dv);
    for (size_t c = 0; c < dv && kind != 0; ++c) {
        expected[c] = double(base_weight) * double(before[c]);
        size[c] = std::fabs(expected[c]);
    }
    for (size_t i = 0; i < n; ++i) {
        for (size_t c = 0; c < dv; ++c) {
            const double term = double(weight_values[i]) * double(rows.value(ids[i], c));
            expected[c] += term;
            size[c] += std::fabs(term);
        }
    }
    const auto kernel = type == RowType::f32    ? kernels.attend_values_f32
                        : type == RowType::bf16 ? kernels.attend_values_bf16
                                                : kernels.attend_values_f16;
    const Array<float> other(before, place), copy(std::vector<float>(dv, 7.0f), place);
    float *kept = pick(random, 0, 1) == 0 ? nullptr : static_cast<float *>(copy);
    const float *base = kind == 0 ? nullptr : kind == 1 ? static_cast<const float *>(other) : sum;
    const bool in_range =
        kernel(ids, weights, static_cast<uint32_t>(n), rows.data(), rows.stride(), dv, base, base_weight, kept, sum);
    bool expected_range = true;
    for (size_t c = 0; c < dv; ++c) {
        CHECK(close(sum[c], expected[c], 1e-6 * size[c]));
        const float most = std::fabs(sum[c]);
        expected_range = expected_range && (most == 0 || (most >= 0x1p-125f && most < HUGE_VALF));
    }
    CHECK(in_range == expected_range);
    CHECK(sum.intact());
    const bool copied = kept != nullptr && kind != 0;
    CHECK(same_bits(copy.values(), copied ? before : std::vector<float>(dv, 7.0f)));
    CHECK(copy.intact());
}

} // namespace

TEST_CASE("distances and dot products are rounded step by step") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : {1, 2, 3, 4, 5, 8, 13, 32}) {
            CAPTURE(dk);
            for (const size_t n : sizes()) {
                CAPTURE(n);
                check_distances(kernels, random, n, dk, kPlaces[n % 3]);
            }
        }
    }
}

TEST_CASE("weights are those of the five scores") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int score = ZETA_SCORE_CAUCHY; score <= ZETA_SCORE_DOT; ++score) {
            CAPTURE(score);
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const Place place : kPlaces) check_weights(kernels, random, n, score, place);
            }
        }
    }
}

TEST_CASE("weights of NaN are NaN, of infinity 0, and all at infinity give a row that is NaN") {
    const float nan = std::nanf("");
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        for (int score = ZETA_SCORE_CAUCHY; score <= ZETA_SCORE_DOT; ++score) {
            CAPTURE(score);
            for (size_t at = 0; at < 35; ++at) {
                std::vector<float> distances(35, kInfinity), dots(35, 0.5f), weights(35);
                const float none = kernels.attend_minimum(score, distances.data(), dots.data(), 35);
                const float nothing =
                    kernels.attend_weights(score, 1, none, distances.data(), dots.data(), 35, weights.data());
                CHECK(std::isnan(0 * (1 / nothing))); // no sum to divide by
                distances[at] = 2;
                const float least = kernels.attend_minimum(score, distances.data(), dots.data(), 35);
                CHECK(least == (score == ZETA_SCORE_DOT ? -0.5f : 2.0f));
                kernels.attend_weights(score, 1, least, distances.data(), dots.data(), 35, weights.data());
                for (size_t i = 0; i < 35; ++i) CHECK((i == at ? weights[i] > 0 : weights[i] == 0));
                distances[(at + 1) % 35] = nan;
                if (score != ZETA_SCORE_DOT)
                    CHECK(kernels.attend_minimum(score, distances.data(), dots.data(), 35) == 2);
                const float sum =
                    kernels.attend_weights(score, 1, least, distances.data(), dots.data(), 35, weights.data());
                CHECK(std::isnan(sum));
                CHECK(std::isnan(weights[(at + 1) % 35]));
            }
        }
    }
}

TEST_CASE("lists of a tile are weighed like each by itself, and add up to 1") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int repeat = 0; repeat < 200; ++repeat) {
            const auto lists = static_cast<uint32_t>(pick(random, 0, 16));
            const auto most = static_cast<size_t>(pick(random, 0, 150));
            const int score = static_cast<int>(pick(random, 0, 4));
            const size_t distance_stride = most + kListPad, stride = most + 2 * kListPad;
            const float gamma = 0.5f + std::fabs(normal(random));
            const std::vector<float> distances = some_distances(random, lists * distance_stride, gamma);
            const std::vector<float> dots = floats(random, lists * stride);
            const Array<float> weights(lists * stride, Place::end), sums(lists);
            std::vector<uint32_t> counts;
            std::vector<float> minima;
            for (uint32_t l = 0; l < lists; ++l) {
                counts.push_back(static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(most))));
                minima.push_back(kernels.attend_minimum(score, distances.data() + l * distance_stride,
                                                        dots.data() + l * stride, counts.back()));
            }
            kernels.attend_weigh({score, gamma, lists, counts.data(), minima.data(), distances.data(), distance_stride,
                                  dots.data(), weights, stride, sums});
            for (uint32_t l = 0; l < lists; ++l) {
                if (counts[l] == 0) continue;
                std::vector<float> expected(counts[l]);
                const float sum =
                    kernels.attend_weights(score, gamma, minima[l], distances.data() + l * distance_stride,
                                           dots.data() + l * stride, counts[l], expected.data());
                CHECK(bits_of(sums[l]) == bits_of(sum));
                for (uint32_t i = 0; i < counts[l]; ++i)
                    CHECK(close(weights[l * stride + i], double(expected[i]) / double(sum),
                                3e-7 * std::fabs(double(expected[i]) / double(sum)) + 1e-44));
            }
            CHECK(weights.intact());
            CHECK(sums.intact());
        }
    }
}

TEST_CASE("the heaviest is the first of the largest weights") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t n : sizes()) {
            if (n == 0) continue;
            CAPTURE(n);
            for (const Place place : kPlaces) {
                const Array<float> weights(std::vector<float>(n, 0.0f), place);
                const auto count = static_cast<uint32_t>(n);
                CHECK(kernels.attend_heaviest(weights, count) == 0);
                for (int repeat = 0; repeat < 4; ++repeat) {
                    for (size_t i = 0; i < n; ++i) weights[i] = static_cast<float>(pick(random, 0, 9));
                    const float *most = std::max_element(weights.data(), weights + n);
                    CHECK(weights + kernels.attend_heaviest(weights, count) == most);
                    for (size_t i = 0; i < n; ++i) weights[i] = std::fabs(normal(random));
                    most = std::max_element(weights.data(), weights + n);
                    CHECK(weights[kernels.attend_heaviest(weights, count)] > *most * (1 - 0x1p-12f));
                }
                for (const float nan : {std::nanf(""), -std::nanf("")}) {
                    std::fill_n(weights.data(), n, nan);
                    CHECK(kernels.attend_heaviest(weights, count) < count);
                }
                CHECK(weights.intact());
            }
        }
    }
}

TEST_CASE("pairs of rows are measured like rows") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : {1, 2, 3, 4, 7, 32}) {
            for (uint32_t n = 0; n <= 40; ++n) {
                const auto width = static_cast<size_t>(dk);
                const Array<float> q(floats(random, 9 * width), Place::end), k(floats(random, 12 * width), Place::end);
                const Array<uint32_t> q_rows(some_ids(random, n, 9), Place::end);
                const Array<uint32_t> k_rows(some_ids(random, n, 12), Place::end);
                const Array<float> distances(n, Place::end), dots(n, Place::end);
                kernels.attend_pairs(false, q, q_rows, k, k_rows, dk, n, distances);
                kernels.attend_pairs(true, q, q_rows, k, k_rows, dk, n, dots);
                for (uint32_t i = 0; i < n; ++i) {
                    float distance, dot;
                    kernels.attend_distances(q + q_rows[i] * width, k, dk, k_rows + i, 1, &distance);
                    kernels.attend_dots(q + q_rows[i] * width, k, dk, k_rows + i, 1, &dot);
                    CHECK(bits_of(distances[i]) == bits_of(distance));
                    CHECK(bits_of(dots[i]) == bits_of(dot));
                }
                CHECK(distances.intact());
                CHECK(dots.intact());
            }
        }
    }
}

TEST_CASE("values are added by weight") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const RowType type : kRowTypes) {
            CAPTURE(static_cast<int>(type));
            for (const size_t dv : sizes()) {
                CAPTURE(dv);
                const auto n = static_cast<size_t>(pick(random, 0, 40));
                check_values(kernels, random, type, n, dv, kPlaces[dv % 3]);
            }
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const size_t dv : {3, 64, 77}) check_values(kernels, random, type, n, dv, kPlaces[n % 3]);
            }
        }
    }
}

// Their rounding errors all have one sign.
TEST_CASE("equal values of equal weight keep their sum") {
    constexpr uint32_t kMost = 128, kChannels = 64;
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int repeat = 0; repeat < 200; ++repeat) {
            const uint32_t n = repeat % 2 == 0 ? 64 : kMost;
            const float weight = (1 + 0.1f * std::fabs(normal(random))) / static_cast<float>(n);
            const std::vector<float> weights(n, weight);
            std::vector<float> value = floats(random, kChannels), sum(kChannels);
            const std::vector<uint32_t> ids(n, 0);
            kernels.attend_values_f32(ids.data(), weights.data(), n, value.data(), kChannels, kChannels, nullptr, 0,
                                      nullptr, sum.data());
            for (size_t c = 0; c < kChannels; ++c) {
                const double expected = double(n) * double(weight) * double(value[c]);
                CHECK(close(sum[c], expected, 7.5e-7 * std::fabs(expected)));
            }
        }
    }
}

TEST_CASE("a NaN in a channel of a value stays in that channel") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        for (const size_t dv : {1, 5, 16, 33, 64, 200}) {
            for (size_t at = 0; at < dv; ++at) {
                std::vector<float> v(5 * dv, 1.0f), sum(dv, 0.0f);
                v[3 * dv + at] = std::nanf("");
                const uint32_t ids[] = {0, 1, 2, 3, 4};
                const float weights[] = {1, 2, 3, 0, 5};
                kernels.attend_values_f32(ids, weights, 5, v.data(), dv, dv, nullptr, 0, nullptr, sum.data());
                for (size_t c = 0; c < dv; ++c) CHECK((c == at ? std::isnan(sum[c]) : sum[c] == 11.0f));
            }
        }
    }
}
