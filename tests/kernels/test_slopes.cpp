// SPDX-License-Identifier: Apache-2.0
// The slopes of the scores and the gradients of queries and keys, against the formulas in long double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rows.hpp"
#include "zeta/attention.h"

using namespace kernel_tests;
using zeta::simd::isa_name;
using zeta::simd::slope_stride;
using zeta::simd::SlopeShape;

namespace {

using Wide = long double;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kHalfUlp = 0x1p-53; // of float64
constexpr int kDks[] = {1, 2, 3, 4, 5, 8, 13, 32};

void check_dot(const Kernels &kernels, Random &random, size_t n, Place place) {
    std::vector<float> a_values = floats(random, n, 10), b_values = floats(random, n, 10);
    for (std::vector<float> *values : {&a_values, &b_values}) {
        for (float &x : *values) x = std::isfinite(x) ? x : -1.0f;
    }
    Wide expected = 0, size = 0;
    for (size_t i = 0; i < n; ++i) {
        const Wide product = Wide(a_values[i]) * Wide(b_values[i]); // exact
        expected += product;
        size += std::fabs(product);
    }
    const Array<float> a(a_values, place), b(b_values, place);
    CHECK(close(kernels.slopes_dot(a, b, n), double(expected), double(size) * double(n) * kHalfUlp));
    if (n == 0) return;
    a[pick(random, 0, static_cast<int64_t>(n) - 1)] = std::nanf("");
    CHECK(std::isnan(kernels.slopes_dot(a, b, n)));
}

void check_average(const Kernels &kernels, Random &random, size_t n, Place place) {
    std::vector<float> weight_values(n), product_values = floats(random, n);
    Wide sum = 0, product_sum = 0, size = 0;
    for (size_t i = 0; i < n; ++i) {
        weight_values[i] = pick(random, 0, 4) == 0 ? 0.0f : std::fabs(normal(random));
        const Wide product = Wide(weight_values[i]) * Wide(product_values[i]);
        sum += weight_values[i];
        product_sum += product;
        size += std::fabs(product);
        if (weight_values[i] == 0) product_values[i] = floats(random, 1, 1)[0];
    }
    const Array<float> weights(weight_values, place), products(product_values, place);
    double total = 0.25;
    CHECK(close(kernels.slopes_average(weights, products, n, &total), double(product_sum),
                double(size) * double(n) * kHalfUlp));
    CHECK(close(total, double(sum + 0.25L), double(sum + 0.25L) * double(n) * kHalfUlp));
    if (n == 0) return;
    const auto at = pick(random, 0, static_cast<int64_t>(n) - 1);
    weights[at] = 1, products[at] = std::nanf("");
    CHECK(std::isnan(kernels.slopes_average(weights, products, n, &total)));
}

// ln s up to a constant, d ln s / d D (dot: by q.k) and d ln s / d gamma.
struct Slope {
    Wide weight, of_distance, of_gamma;
};

Slope slope_of(int score, Wide gamma, Wide minimum, Wide distance, Wide dot) {
    const Wide root = std::sqrt(distance);
    switch (score) {
    case ZETA_SCORE_CAUCHY: {
        const Wide s = 1 / (distance + gamma * gamma);
        return {s, -s, -2 * gamma * s};
    }
    case ZETA_SCORE_GAUSSIAN:
        return {std::exp((minimum - distance) / (gamma * gamma)), -1 / (gamma * gamma),
                2 * distance / (gamma * gamma * gamma)};
    case ZETA_SCORE_LAPLACE:
        return {std::exp((std::sqrt(minimum) - root) / gamma), -1 / (2 * gamma * root), root / (gamma * gamma)};
    case ZETA_SCORE_INVERSE: {
        const Wide s = 1 / (root + gamma);
        return {s, -s / (2 * root), -s};
    }
    default:
        return {std::exp((dot + minimum) / gamma), 1 / gamma, -dot / (gamma * gamma)};
    }
}

// The candidates of one query, with weights that belong to their distances.
struct Candidates {
    Candidates(Random &random, int score, size_t n)
        : distances(n), dots(floats(random, n)), products(floats(random, n)) {
        const float gammas[] = {1.0f, 0.25f, 3.7f, 0x1p-30f, 0x1p30f};
        const float gamma = gammas[pick(random, 0, 4)];
        shape = {score, gamma, kInfinity, 0, 0};
        for (float &distance : distances) {
            const int64_t kind = pick(random, 0, 15);
            distance = std::fabs(normal(random)) * gamma * gamma * (kind < 4 ? 40.0f : 1.0f);
            if (kind == 4) distance = 0;
            if (kind == 5) distance = kInfinity;
            if (kind == 6) distance = 0x1p-149f;
        }
        for (size_t i = 0; i < n; ++i) {
            if (distances[i] < kInfinity)
                shape.minimum = std::min(shape.minimum, score == ZETA_SCORE_DOT ? -dots[i] : distances[i]);
        }
        Wide sum = 0;
        for (size_t i = 0; i < n; ++i) sum += far(i) ? 0 : slope(i).weight;
        shape.normaliser = float(sum);
        for (size_t i = 0; i < n; ++i) {
            weights.push_back(far(i) ? 0.0f : float(slope(i).weight / sum));
            shape.mean_product += double(weights[i]) * double(products[i]);
        }
    }
    bool far(size_t i) const { return distances[i] == kInfinity; }
    Slope slope(size_t i) const { return slope_of(shape.score, shape.gamma, shape.minimum, distances[i], dots[i]); }
    // p <g, v - o>
    Wide lift(size_t i) const { return Wide(weights[i]) * (Wide(products[i]) - Wide(shape.mean_product)); }

    std::vector<float> distances, dots, products, weights;
    SlopeShape shape;
};

void check_coefficients(const Kernels &kernels, Random &random, int score, size_t n, Place place) {
    Candidates from(random, score, n);
    Wide expected_gamma = 0, size = 0;
    std::vector<Wide> expected(n, 0);
    for (size_t i = 0; i < n; ++i) {
        if (from.far(i)) {
            from.products[i] = floats(random, 1, 1)[0]; // whatever the value of a key that weighs nothing
            continue;
        }
        const Slope slope = from.slope(i);
        if (score == ZETA_SCORE_DOT || from.distances[i] > 0) expected[i] = from.lift(i) * slope.of_distance;
        expected_gamma += from.lift(i) * slope.of_gamma;
        const Wide lifted = std::fabs(Wide(from.products[i])) + std::fabs(Wide(from.shape.mean_product));
        size += Wide(from.weights[i]) * lifted * std::fabs(slope.of_gamma);
    }
    const Array<float> weights(from.weights, place), products(from.products, place), distances(from.distances, place),
        dots(from.dots, place), coefficients(n, place);
    const double gamma = kernels.slopes_coefficients(from.shape, weights, products, distances, dots,
                                                     static_cast<uint32_t>(n), coefficients);
    for (size_t i = 0; i < n; ++i) {
        CAPTURE(from.distances[i]);
        // Cauchy takes s from a weight and a sum, each rounded to float32; the result is rounded once more.
        CHECK(close(double(coefficients[i]), double(expected[i]), 2.5e-7 * std::fabs(double(expected[i])) + 2e-45));
        if (expected[i] == 0) CHECK(coefficients[i] == 0);
    }
    CHECK(close(gamma, double(expected_gamma), 1e-6 * double(size)));
    CHECK(coefficients.intact());
}

void check_coefficient_parts(const Kernels &kernels, Random &random, int score, uint32_t n) {
    const Candidates from(random, score, n);
    std::vector<float> whole(n), parts(n);
    const double gamma = kernels.slopes_coefficients(from.shape, from.weights.data(), from.products.data(),
                                                     from.distances.data(), from.dots.data(), n, whole.data());
    double sum = 0, size = 0;
    for (uint32_t at = 0; at < n;) {
        const auto step = static_cast<uint32_t>(pick(random, 1, n - at));
        const double share =
            kernels.slopes_coefficients(from.shape, from.weights.data() + at, from.products.data() + at,
                                        from.distances.data() + at, from.dots.data() + at, step, parts.data() + at);
        sum += share;
        size += std::fabs(share);
        at += step;
    }
    CHECK(same_bits(parts, whole));
    for (uint32_t i = 0; i < n; ++i) {
        if (!from.far(i)) size += std::fabs(double(from.lift(i) * from.slope(i).of_gamma));
    }
    CHECK(close(sum, gamma, 1e-13 * size));
}

// n coordinates and zeros up to the stride, row after row.
std::vector<float> padded(Random &random, size_t rows, size_t n, size_t stride) {
    std::vector<float> result(rows * stride, 0.0f);
    for (size_t at = 0; at < result.size(); ++at) {
        if (at % stride < n) result[at] = normal(random);
    }
    return result;
}

// One query, keys with ids among them more than once, coefficients, and NaN or infinite keys whose coefficient is 0.
struct Pairs {
    Pairs(Random &random, size_t n, int dk, Place place)
        : width(static_cast<size_t>(dk)), stride(slope_stride(width)), keys(n / 2 + 2),
          q_values(padded(random, 1, width, stride)), k_values(padded(random, keys, width, stride)),
          id_values(some_ids(random, n, keys - 1)), coefficient_values(floats(random, n)), q(q_values, place),
          k(spoilt(), place), coefficients(chosen(random), place), ids(id_values, place) {}
    // dL/dq[e] (query) or dL/dk[e] of pair i.
    Wide term(size_t i, size_t e, bool dot, bool query) const {
        const Wide c = coefficient_values[i], x = q_values[e], y = k_values[id_values[i] * stride + e];
        if (c == 0) return 0;
        if (dot) return c * (query ? y : x);
        return 2 * c * (query ? x - y : y - x);
    }
    uint32_t count() const { return static_cast<uint32_t>(id_values.size()); }

    size_t width, stride, keys;
    std::vector<float> q_values, k_values;
    std::vector<uint32_t> id_values;
    std::vector<float> coefficient_values;
    Array<float> q, k, coefficients;
    Array<uint32_t> ids;

private:
    const std::vector<float> &spoilt() { // the last key
        for (size_t e = 0; e < width; ++e) k_values[(keys - 1) * stride + e] = e % 2 == 0 ? std::nanf("") : kInfinity;
        return k_values;
    }
    const std::vector<float> &chosen(Random &random) {
        for (size_t i = 0; i < id_values.size(); ++i) {
            if (pick(random, 0, 7) != 0) continue;
            coefficient_values[i] = pick(random, 0, 1) ? 0.0f : -0.0f;
            if (pick(random, 0, 1) == 0) id_values[i] = static_cast<uint32_t>(keys - 1);
        }
        return coefficient_values;
    }
};

// Sums so far, of more digits than float32 has; zeros after the coordinates.
std::vector<double> some_sums(Random &random, size_t rows, size_t n, size_t stride) {
    std::vector<double> result(rows * stride, 0.0);
    for (size_t at = 0; at < result.size(); ++at) {
        if (at % stride < n) result[at] = double(normal(random)) + double(normal(random)) * 0x1p-25;
    }
    return result;
}

// A difference q - k is rounded to float32: half of 2^-23 of each term, and each addition to float64.
double tolerance_of(Wide size, Wide before, size_t n) {
    return double(size * 0x1.01p-24 + (size + std::fabs(before)) * Wide(n + 2) * kHalfUlp);
}

void check_query(const Kernels &kernels, Random &random, bool dot, size_t n, int dk, Place place) {
    const Pairs pairs(random, n, dk, place);
    const std::vector<double> before = some_sums(random, 1, pairs.width, pairs.stride);
    const Array<double> grad(before, place);
    kernels.slopes_query(dot, pairs.q, pairs.k, pairs.stride, pairs.ids, pairs.coefficients, pairs.count(), grad);
    for (size_t e = 0; e < pairs.stride; ++e) { // after the coordinates: zeros
        Wide expected = before[e], size = 0;
        for (size_t i = 0; i < n; ++i) {
            const Wide term = pairs.term(i, e, dot, true);
            expected += term;
            size += std::fabs(term);
        }
        CHECK(close(grad[e], double(expected), tolerance_of(size, Wide(before[e]), n)));
    }
    CHECK(grad.intact());
}

void check_both(const Kernels &kernels, Random &random, bool dot, size_t n, int dk, Place place) {
    const Pairs pairs(random, n, dk, place);
    const std::vector<double> row = some_sums(random, 1, pairs.width, pairs.stride),
                              key_rows = some_sums(random, pairs.keys, pairs.width, pairs.stride);
    const Array<double> grad(row, place), rows(key_rows, place), both_grad(row, place), both_rows(key_rows, place);
    kernels.slopes_query(dot, pairs.q, pairs.k, pairs.stride, pairs.ids, pairs.coefficients, pairs.count(), grad);
    kernels.slopes_keys(dot, pairs.q, pairs.k, pairs.stride, pairs.ids, pairs.coefficients, pairs.count(), rows);
    kernels.slopes_pairs(dot, pairs.q, pairs.k, pairs.stride, pairs.ids, pairs.coefficients, pairs.count(), both_grad,
                         both_rows);
    CHECK(same_bits(both_grad.values(), grad.values()));
    CHECK(same_bits(both_rows.values(), rows.values()));
    CHECK(both_grad.intact());
    CHECK(both_rows.intact());
}

void check_keys(const Kernels &kernels, Random &random, bool dot, size_t n, int dk, Place place) {
    const Pairs pairs(random, n, dk, place);
    const std::vector<double> before = some_sums(random, pairs.keys, pairs.width, pairs.stride);
    const Array<double> rows(before, place), dealt(before, place);
    kernels.slopes_keys(dot, pairs.q, pairs.k, pairs.stride, pairs.ids, pairs.coefficients, pairs.count(), rows);
    std::vector<Wide> expected(before.begin(), before.end()), size(before.size(), 0);
    for (size_t i = 0; i < n; ++i) {
        for (size_t e = 0; e < pairs.stride; ++e) {
            const size_t at = pairs.id_values[i] * pairs.stride + e;
            const Wide term = pairs.term(i, e, dot, false);
            size[at] += std::fabs(term);
            expected[at] += term;
        }
    }
    for (size_t at = 0; at < before.size(); ++at) { // keys not named, or with coefficient 0: to the bit
        const double tolerance = size[at] == 0 ? 0 : tolerance_of(size[at], Wide(before[at]), n);
        CHECK(close(rows[at], double(expected[at]), tolerance));
    }
    CHECK(rows.intact());

    for (uint32_t shard = 0; shard < 3; ++shard) { // the list dealt by key: the same additions to each
        std::vector<uint32_t> ids;
        std::vector<float> coefficients;
        for (size_t i = 0; i < n; ++i) {
            if (pairs.id_values[i] / 4 % 3 != shard) continue;
            ids.push_back(pairs.id_values[i]);
            coefficients.push_back(pairs.coefficient_values[i]);
        }
        kernels.slopes_keys(dot, pairs.q, pairs.k, pairs.stride, ids.data(), coefficients.data(),
                            static_cast<uint32_t>(ids.size()), dealt);
    }
    CHECK(same_bits(dealt.values(), rows.values()));
}

} // namespace

TEST_CASE("dot products and averages in float64") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t n : sizes()) {
            CAPTURE(n);
            for (const Place place : kPlaces) {
                check_dot(kernels, random, n, place);
                check_average(kernels, random, n, place);
            }
        }
    }
}

TEST_CASE("slopes are those of the five scores") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int score = ZETA_SCORE_CAUCHY; score <= ZETA_SCORE_DOT; ++score) {
            CAPTURE(score);
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const Place place : kPlaces) check_coefficients(kernels, random, score, n, place);
                check_coefficient_parts(kernels, random, score, static_cast<uint32_t>(n));
            }
        }
    }
}

TEST_CASE("a NaN weighs on its own slope alone, and all at infinity have none") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        for (int score = ZETA_SCORE_CAUCHY; score <= ZETA_SCORE_DOT; ++score) {
            CAPTURE(score);
            for (size_t at = 0; at < 35; ++at) {
                std::vector<float> distances(35, 2.0f), dots(35, 0.5f), weights(35, 1.0f / 35), products(35, 3.0f);
                std::vector<float> usual(35), slopes(35, 7.0f);
                const float least = score == ZETA_SCORE_DOT ? -0.5f : 2.0f;
                const SlopeShape shape = {score, 1.0f, least, 35.0f, 1.0}, none = {score, 1.0f, kInfinity, 0.0f, 0.0};
                const auto run = [&](const SlopeShape &of, std::vector<float> &out) {
                    return kernels.slopes_coefficients(of, weights.data(), products.data(), distances.data(),
                                                       dots.data(), 35, out.data());
                };
                run(shape, usual);
                weights[at] = distances[at] = std::nanf("");
                CHECK(std::isnan(run(shape, slopes)));
                for (size_t i = 0; i < 35; ++i) CHECK((i == at ? std::isnan(slopes[i]) : slopes[i] == usual[i]));
                std::fill(distances.begin(), distances.end(), kInfinity);
                CHECK(run(none, slopes) == 0);
                CHECK(same_bits(slopes, std::vector<float>(35, 0.0f)));
            }
        }
    }
}

TEST_CASE("what all distances or dot products have in common leaves the slope of gamma as it is") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int score : {ZETA_SCORE_GAUSSIAN, ZETA_SCORE_DOT}) {
            CAPTURE(score);
            for (uint32_t n = 1; n <= 40; ++n) {
                std::vector<float> near(n), far(n), weights(n, 1.0f / float(n)), products = floats(random, n), out(n);
                for (uint32_t i = 0; i < n; ++i) {
                    near[i] = float(pick(random, 1, 80)) / 8;
                    far[i] = near[i] + 0x1p20f;
                }
                const auto run = [&](const std::vector<float> &x) {
                    const float least = score == ZETA_SCORE_DOT ? -*std::max_element(x.begin(), x.end())
                                                                : *std::min_element(x.begin(), x.end());
                    const SlopeShape shape = {score, 1.5f, least, 1.0f, 0.25};
                    return kernels.slopes_coefficients(shape, weights.data(), products.data(), x.data(), x.data(), n,
                                                       out.data());
                };
                CHECK(run(near) == run(far));
            }
        }
    }
}

TEST_CASE("gradients of queries and keys") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : kDks) {
            CAPTURE(dk);
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const bool dot : {false, true}) {
                    CAPTURE(dot);
                    check_query(kernels, random, dot, n, dk, kPlaces[n % 3]);
                    check_keys(kernels, random, dot, n, dk, kPlaces[n % 3]);
                    check_both(kernels, random, dot, n, dk, kPlaces[n % 3]);
                }
            }
        }
    }
}

TEST_CASE("a coefficient that is NaN makes its gradients NaN, and no other key's") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        for (const int dk : kDks) {
            CAPTURE(dk);
            const auto width = static_cast<size_t>(dk), stride = slope_stride(width);
            std::vector<float> q(stride, 0.0f), k(3 * stride, 0.0f);
            for (size_t e = 0; e < width; ++e) {
                q[e] = 1;
                k[e] = k[stride + e] = k[2 * stride + e] = 2;
            }
            const uint32_t ids[] = {0, 2, 1, 2, 0};
            const float coefficients[] = {1, 1, std::nanf(""), 1, 1};
            for (const bool dot : {false, true}) {
                std::vector<double> grad(stride, 0.0), rows(3 * stride, 0.0);
                kernels.slopes_query(dot, q.data(), k.data(), stride, ids, coefficients, 5, grad.data());
                kernels.slopes_keys(dot, q.data(), k.data(), stride, ids, coefficients, 5, rows.data());
                for (size_t e = 0; e < width; ++e) {
                    CHECK(std::isnan(grad[e]));
                    CHECK(rows[e] == (dot ? 2.0 : 4.0));
                    CHECK(std::isnan(rows[stride + e]));
                    CHECK(rows[2 * stride + e] == (dot ? 2.0 : 4.0));
                }
            }
        }
    }
}
