// SPDX-License-Identifier: Apache-2.0
// Products with the output gradient, and additions to gradient rows, against float64.
#include <doctest/doctest.h>

#include <cmath>

#include "rows.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;

namespace {

void check_products(const Kernels &kernels, Random &random, RowType type, size_t n, size_t dv, Place place) {
    const size_t keys = n / 2 + 1;
    const Rows rows(random, type, keys, dv, place);
    const std::vector<float> g_values = floats(random, dv), reference_values = floats(random, dv);
    const Array<float> g(g_values, place), reference(reference_values, place), products(n, place);
    const Array<uint32_t> ids(some_ids(random, n, keys), place);
    const auto kernel = type == RowType::f32    ? kernels.backward_products_f32
                        : type == RowType::bf16 ? kernels.backward_products_bf16
                                                : kernels.backward_products_f16;
    kernel(g, reference, ids, static_cast<uint32_t>(n), rows.data(), rows.stride(), dv, products);
    for (size_t i = 0; i < n; ++i) {
        double expected = 0, size = 0;
        for (size_t c = 0; c < dv; ++c) {
            const double term = double(g_values[c]) * (double(rows.value(ids[i], c)) - double(reference_values[c]));
            expected += term;
            size += std::fabs(term);
        }
        CHECK(close(products[i], expected, 2e-6 * size));
    }
    CHECK(products.intact());
}

void check_scatter(const Kernels &kernels, Random &random, size_t n, size_t channels, Place place) {
    const size_t keys = n / 2 + 1, stride = channels + static_cast<size_t>(pick(random, 0, 5));
    const size_t extent = (keys - 1) * stride + channels;
    const std::vector<float> g_values = floats(random, channels), weight_values = floats(random, n);
    const std::vector<float> before = floats(random, extent);
    const Array<float> g(g_values, place), weights(weight_values, place), rows(before, place);
    const Array<uint32_t> ids(some_ids(random, n, keys), place); // some of them more than once
    std::vector<double> expected(before.begin(), before.end()), size(extent);
    for (size_t i = 0; i < n; ++i) {
        for (size_t c = 0; c < channels; ++c) {
            const double term = double(weight_values[i]) * double(g_values[c]);
            expected[ids[i] * stride + c] += term;
            size[ids[i] * stride + c] += std::fabs(term) + std::fabs(double(before[ids[i] * stride + c]));
        }
    }
    kernels.backward_scatter(g, ids, weights, static_cast<uint32_t>(n), rows, stride, channels);
    for (size_t at = 0; at < extent; ++at) CHECK(close(rows[at], expected[at], 1e-6 * size[at])); // gaps: to the bit
    CHECK(rows.intact());

    const Array<double> wide(std::vector<double>(before.begin(), before.end()), place);
    kernels.backward_scatter_f64(g, ids, weights, static_cast<uint32_t>(n), wide, stride, channels);
    for (size_t at = 0; at < extent; ++at) CHECK(close(wide[at], expected[at], 1e-14 * size[at]));
    CHECK(wide.intact());
}

} // namespace

TEST_CASE("products with the gradient") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const RowType type : kRowTypes) {
            CAPTURE(static_cast<int>(type));
            for (const size_t dv : sizes()) {
                CAPTURE(dv);
                const auto n = static_cast<size_t>(pick(random, 0, 40));
                check_products(kernels, random, type, n, dv, kPlaces[dv % 3]);
            }
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const size_t dv : {3, 64, 77}) check_products(kernels, random, type, n, dv, kPlaces[n % 3]);
            }
        }
    }
}

TEST_CASE("the product of a row does not depend on its place in the list") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t dv : {1, 7, 16, 40, 77}) {
            const std::vector<float> g = floats(random, dv), reference = floats(random, dv), v = floats(random, 3 * dv);
            for (uint32_t n = 1; n <= 20; ++n) {
                const std::vector<uint32_t> ids(n, 1);
                std::vector<float> products(n);
                kernels.backward_products_f32(g.data(), reference.data(), ids.data(), n, v.data(), dv, dv,
                                              products.data());
                CHECK(same_bits(products, std::vector<float>(n, products[0])));
            }
        }
    }
}

TEST_CASE("weighted additions reach the rows named, and nothing between them") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t channels : sizes()) {
            CAPTURE(channels);
            for (const Place place : kPlaces) {
                check_scatter(kernels, random, static_cast<size_t>(pick(random, 0, 20)), channels, place);
            }
        }
    }
}
