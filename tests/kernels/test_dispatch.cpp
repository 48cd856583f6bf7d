// SPDX-License-Identifier: Apache-2.0
// Names, presence and completeness of the tables.
#include <doctest/doctest.h>

#include <string>

#include "support.hpp"

using namespace kernel_tests;
namespace simd = zeta::simd;

TEST_CASE("names and instruction sets map onto each other") {
    for (int i = 0; i < simd::kIsaCount; ++i) {
        Isa isa = Isa::scalar;
        CHECK(simd::isa_from_name(simd::isa_name(static_cast<Isa>(i)), &isa));
        CHECK(isa == static_cast<Isa>(i));
    }
    Isa isa = Isa::avx2;
    for (const char *name : {"", "Scalar", "avx", "avx5120", "mmx"}) CHECK_FALSE(simd::isa_from_name(name, &isa));
    CHECK_FALSE(simd::isa_from_name(nullptr, &isa));
    CHECK(isa == Isa::avx2);
}

TEST_CASE("scalar is always present, and the best is present") {
    CHECK(simd::isa_present(Isa::scalar));
    CHECK(simd::isa_present(simd::isa_best()));
    CHECK_FALSE(simd::isa_present(static_cast<Isa>(-1)));
    CHECK_FALSE(simd::isa_present(static_cast<Isa>(simd::kIsaCount)));
    CHECK(simd::isa_best() == isas().back());
}

TEST_CASE("every kernel of every set present is there") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(simd::isa_name(isa));
#define ZETA_KERNEL(result, name, arguments) CHECK_MESSAGE((kernels.name != nullptr), #name);
#include "kernels.inc"
#undef ZETA_KERNEL
    }
}
