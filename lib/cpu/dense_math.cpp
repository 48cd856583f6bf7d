// SPDX-License-Identifier: Apache-2.0
// Built for the baseline instruction set: what xsimd leaves as weak symbols must run on every machine.
#include "dense_math.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <xsimd/xsimd.hpp>

#include "zeta/attention.h"

namespace zeta::cpu {
namespace {

using Batch = xsimd::batch<float, xsimd::default_arch>;
constexpr size_t kLanes = Batch::size;
static_assert(kLanes <= kDensePad, "a vector must fit the padding");
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// sum over e of term(q[e], key[e]), in order.
template <class Term>
void measure(const float *q, const float *keys, size_t stride, int dk, size_t n, float *out, Term term) {
    for (size_t i = 0; i < n; i += kLanes) {
        Batch sum = term(Batch(q[0]), Batch::load_unaligned(keys + i));
        for (int e = 1; e < dk; ++e)
            sum = sum + term(Batch(q[e]), Batch::load_unaligned(keys + size_t(e) * stride + i));
        sum.store_unaligned(out + i);
    }
}

// What a score needs of gamma and the minimum, once per run.
struct Shape {
    Batch gamma;         // cauchy: its square
    Batch inverse;       // 1 / gamma^2 (gaussian) or 1 / gamma; NaN if no attended distance is finite
    Batch minimum, root; // and its square root (laplace)
};

Shape shape_of(int score, float gamma, float minimum) {
    const double g = gamma, square = g * g;
    float inverse = float(1 / (score == ZETA_SCORE_GAUSSIAN ? square : g));
    if (minimum == kInfinity) inverse = std::numeric_limits<float>::quiet_NaN();
    const float root = score == ZETA_SCORE_LAPLACE ? std::sqrt(minimum) : 0.0f;
    return {Batch(score == ZETA_SCORE_CAUCHY ? float(square) : gamma), Batch(inverse), Batch(minimum), Batch(root)};
}

Batch exponential(Batch x) {
    return xsimd::select(x == x, xsimd::exp(x), x);
}

struct Cauchy {
    static Batch weight(const Shape &s, Batch distance, Batch) { return Batch(1.0f) / (distance + s.gamma); }
};
struct Inverse {
    static Batch weight(const Shape &s, Batch distance, Batch) {
        return Batch(1.0f) / (xsimd::sqrt(distance) + s.gamma);
    }
};
struct Gaussian {
    static Batch weight(const Shape &s, Batch distance, Batch) {
        return exponential((s.minimum - distance) * s.inverse);
    }
};
struct Laplace {
    static Batch weight(const Shape &s, Batch distance, Batch) {
        Batch x = (s.minimum - distance) / (xsimd::sqrt(distance) + s.root);
        x = xsimd::select(distance == s.minimum, Batch(0.0f), x); // 0 / 0 too
        x = xsimd::select(distance == Batch(kInfinity), Batch(-kInfinity), x);
        return exponential(x * s.inverse);
    }
};
struct Dot {
    static Batch weight(const Shape &s, Batch distance, Batch dot) {
        Batch x = dot + s.minimum;
        x = xsimd::select(distance == Batch(kInfinity), Batch(-kInfinity), x);
        x = xsimd::select(distance == distance, x, distance);
        return exponential(x * s.inverse);
    }
};

template <class Score>
void weigh(const Shape &shape, const float *distances, const float *dots, size_t n, float *weights) {
    for (size_t i = 0; i < n; i += kLanes) {
        const Batch distance = Batch::load_unaligned(distances + i);
        const Batch dot = dots == nullptr ? Batch(0.0f) : Batch::load_unaligned(dots + i);
        Score::weight(shape, distance, dot).store_unaligned(weights + i);
    }
}

} // namespace

void dense_distances(const float *q, const float *keys, size_t stride, int dk, size_t n, float *distances) {
    measure(q, keys, stride, dk, n, distances, [](Batch a, Batch b) {
        const Batch difference = a - b;
        return difference * difference;
    });
    std::fill_n(distances + n, kDensePad, kInfinity);
}

void dense_dots(const float *q, const float *keys, size_t stride, int dk, size_t n, float *dots) {
    measure(q, keys, stride, dk, n, dots, [](Batch a, Batch b) { return a * b; });
}

float dense_minimum(int score, const float *distances, const float *dots, size_t n) {
    Batch least(kInfinity);
    for (size_t i = 0; i < n; i += kLanes) { // a comparison with NaN is false
        const Batch distance = Batch::load_unaligned(distances + i);
        Batch argument = distance;
        if (score == ZETA_SCORE_DOT) {
            const Batch negative = Batch(0.0f) - Batch::load_unaligned(dots + i);
            argument = xsimd::select(distance < Batch(kInfinity), negative, Batch(kInfinity));
        }
        least = xsimd::select(argument < least, argument, least);
    }
    float lanes[kLanes];
    least.store_unaligned(lanes);
    return *std::min_element(lanes, lanes + kLanes);
}

void dense_weights(int score, float gamma, float minimum, const float *distances, const float *dots, size_t n,
                   float *weights) {
    const Shape shape = shape_of(score, gamma, minimum);
    switch (score) {
    case ZETA_SCORE_GAUSSIAN:
        return weigh<Gaussian>(shape, distances, nullptr, n, weights);
    case ZETA_SCORE_LAPLACE:
        return weigh<Laplace>(shape, distances, nullptr, n, weights);
    case ZETA_SCORE_INVERSE:
        return weigh<Inverse>(shape, distances, nullptr, n, weights);
    case ZETA_SCORE_DOT:
        return weigh<Dot>(shape, distances, dots, n, weights);
    default:
        return weigh<Cauchy>(shape, distances, nullptr, n, weights);
    }
}

} // namespace zeta::cpu
