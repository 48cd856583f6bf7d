// SPDX-License-Identifier: Apache-2.0
// The oracle's analytic gradients against central differences of its own loss, everything in float64, with the
// selection held constant: every score, every gradient, with and without mean, local window and chunk.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "oracle.hpp"

using namespace oracle;

namespace {

struct Problem {
    Shape shape;
    Options options;
    std::vector<double> q, k, v, grad_out;
    std::vector<std::vector<int64_t>> neighbours;

    double loss() const { return Attention<double>(shape, options, q, k, v).loss(neighbours, grad_out); }
};

Problem make_problem(const Shape &shape, const Options &options, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](int64_t count) {
        std::vector<float> x(static_cast<size_t>(count));
        for (float &value : x) value = normal(random);
        return x;
    };
    const std::vector<float> q = draw(shape.rows() * shape.dk);
    const std::vector<float> k = draw(shape.batches * shape.key_heads * shape.keys * shape.dk);
    const std::vector<float> v = draw(shape.batches * shape.key_heads * shape.keys * shape.dv);
    const std::vector<float> g = draw(shape.rows() * shape.dv);
    const auto wide = [](const std::vector<float> &x) { return std::vector<double>(x.begin(), x.end()); };
    return {shape, options, wide(q), wide(k), wide(v), wide(g), Selector(shape, options, q, k).all_neighbours()};
}

void check_slopes(Problem &problem, std::vector<double> &x, const std::vector<double> &gradient) {
    const double step = 1e-5;
    for (size_t at = 0; at < x.size(); ++at) {
        const double middle = x[at];
        x[at] = middle + step;
        const double above = problem.loss();
        x[at] = middle - step;
        const double below = problem.loss();
        x[at] = middle;
        CHECK(gradient[at] == doctest::Approx((above - below) / (2 * step)).epsilon(1e-5).scale(1));
    }
}

void check_problem(Problem problem) {
    const Gradients gradients = Attention<double>(problem.shape, problem.options, problem.q, problem.k, problem.v)
                                    .backward(problem.neighbours, problem.grad_out);
    check_slopes(problem, problem.q, gradients.q);
    check_slopes(problem, problem.k, gradients.k);
    check_slopes(problem, problem.v, gradients.v);
    // γ is float32 in the options: a step that float32 holds exactly.
    const double step = std::ldexp(1.0, -10);
    for (size_t h = 0; h < problem.options.gamma.size(); ++h) {
        float &gamma = problem.options.gamma[h];
        const float middle = gamma;
        gamma = middle + static_cast<float>(step);
        const double above = problem.loss();
        gamma = middle - static_cast<float>(step);
        const double below = problem.loss();
        gamma = middle;
        CHECK(gradients.gamma[h] == doctest::Approx((above - below) / (2 * step)).epsilon(1e-4).scale(1));
    }
}

} // namespace

TEST_CASE("analytic gradients equal central differences") {
    Shape shape;
    shape.batches = 2;
    shape.heads = 2;
    shape.queries = 5;
    shape.keys = 7;
    shape.dk = 2;
    shape.dv = 3;
    for (const Score score : {Score::cauchy, Score::gaussian, Score::laplace, Score::inverse, Score::dot}) {
        for (const bool mean : {false, true}) {
            for (const int64_t local : {0, 1, 3}) {
                for (const int64_t chunk : {1, 3}) {
                    Options options;
                    options.score = score;
                    options.mean = mean;
                    options.local = local;
                    options.chunk = chunk;
                    options.neighbours = 3;
                    options.gamma = {1.25f, 0.75f};
                    check_problem(make_problem(shape, options, 17));
                }
            }
        }
    }
}

TEST_CASE("analytic gradients equal central differences: not causal, packed") {
    Shape shape;
    shape.queries = 6;
    shape.keys = 8;
    shape.heads = 2;
    shape.key_heads = 2;
    shape.dk = 3;
    shape.dv = 2;
    for (const bool causal : {false, true}) {
        Options options;
        options.causal = causal;
        options.local = causal ? 2 : 0;
        options.neighbours = 2;
        options.gamma = {1.5f, 0.5f};
        options.q_lengths = {4, 0, 2};
        options.k_lengths = {5, 1, 2};
        check_problem(make_problem(shape, options, 23));
    }
}
