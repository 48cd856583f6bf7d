// SPDX-License-Identifier: Apache-2.0
// Widening of every 16-bit pattern, and rounding of every tie, border and neighbour, against arithmetic in float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;

namespace {

// A format of one sign bit, `exponent` and `mantissa` bits.
struct Format {
    int exponent, mantissa;
    int bias() const { return (1 << (exponent - 1)) - 1; }
    uint16_t infinity() const { return static_cast<uint16_t>(((1 << exponent) - 1) << mantissa); }
};
constexpr Format kBf16{8, 7}, kF16{5, 10};

double value_of(uint16_t bits, Format format) {
    const int mantissa = bits & ((1 << format.mantissa) - 1);
    const int exponent = bits >> format.mantissa & ((1 << format.exponent) - 1);
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == (1 << format.exponent) - 1) {
        return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
    }
    const int scale = (exponent == 0 ? 1 : exponent) - format.bias() - format.mantissa;
    return sign * std::ldexp(mantissa + (exponent == 0 ? 0 : 1 << format.mantissa), scale);
}

// Nearest value of the format, ties to the even pattern.
uint16_t rounded(float x, Format format) {
    const auto sign = static_cast<uint16_t>(std::signbit(x) ? 0x8000 : 0);
    const double size = std::fabs(static_cast<double>(x));
    if (std::isnan(x)) return static_cast<uint16_t>(sign | format.infinity() | 1);
    int exponent = 0;
    std::frexp(size, &exponent); // size < 2^exponent
    const int least = 1 - format.bias();
    const int unit = std::max(exponent - 1, least) - format.mantissa;
    const double steps = std::nearbyint(std::ldexp(size, -unit)); // exact but for this rounding
    const double result = std::ldexp(steps, unit);
    if (size > 1e300 || result >= std::ldexp(1.0, format.bias() + 1))
        return static_cast<uint16_t>(sign | format.infinity());
    uint16_t pattern = 0; // patterns ascend with their values
    for (int bit = 14; bit >= 0; --bit) {
        const auto trial = static_cast<uint16_t>(pattern | 1 << bit);
        if (trial < format.infinity() && value_of(trial, format) <= result) pattern = trial;
    }
    return static_cast<uint16_t>(sign | pattern);
}

bool is_nan(uint16_t bits, Format format) {
    return (bits & 0x7FFF) > format.infinity();
}

using From = void (*)(const uint16_t *, size_t, float *);
using To = void (*)(const float *, size_t, uint16_t *);

void check_widening(From from, Format format) {
    std::vector<uint16_t> all(65536);
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
    const Array<uint16_t> in(all);
    const Array<float> out(all.size());
    from(in, all.size(), out);
    size_t wrong = 0;
    for (size_t i = 0; i < all.size(); ++i) {
        const double expected = value_of(all[i], format);
        const float got = out[i];
        const bool sign = std::signbit(got) == (i >= 0x8000);
        const bool equal = std::isnan(expected) ? std::isnan(got) : static_cast<double>(got) == expected;
        if (!sign || !equal) ++wrong;
    }
    CHECK(wrong == 0);
}

// Every value of the format, the middle to the next one, and floats beside both; then numbers that hurt and any bits.
std::vector<float> rounding_cases(Format format, Random &random) {
    std::vector<float> result = hurtful();
    for (uint32_t bits = 0; bits < format.infinity(); ++bits) {
        const double here = value_of(static_cast<uint16_t>(bits), format);
        const double next = bits + 1 == format.infinity() ? std::ldexp(1.0, format.bias() + 1)
                                                          : value_of(static_cast<uint16_t>(bits + 1), format);
        for (const double x : {here, here + (next - here) / 2}) {
            const auto middle = static_cast<float>(x);
            for (const float y : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, HUGE_VALF)}) {
                result.push_back(bits % 2 == 0 ? y : -y);
            }
        }
    }
    for (int i = 0; i < 20000; ++i) result.push_back(float_of(static_cast<uint32_t>(random())));
    return result;
}

void check_rounding(To to, Format format, const std::vector<float> &cases, const std::vector<uint16_t> &expected) {
    const Array<float> in(cases);
    const Array<uint16_t> out(cases.size());
    to(in, cases.size(), out);
    size_t wrong = 0;
    for (size_t i = 0; i < cases.size(); ++i) {
        const bool nan = std::isnan(cases[i]);
        const bool sign = (out[i] & 0x8000) == (expected[i] & 0x8000);
        if (nan ? !is_nan(out[i], format) || !sign : out[i] != expected[i]) ++wrong;
    }
    CHECK(wrong == 0);
}

template <class In, class Out>
void check_sizes(void (*kernel)(const In *, size_t, Out *), void (*scalar)(const In *, size_t, Out *), Random &random) {
    for (const size_t n : sizes()) {
        CAPTURE(n);
        for (const Place place : kPlaces) {
            std::vector<In> values(n);
            for (In &value : values) {
                const auto bits = static_cast<uint32_t>(random());
                std::memcpy(&value, &bits, sizeof value);
            }
            const Array<In> in(values, place);
            const Array<Out> out(n, place), expected(n, place);
            kernel(in, n, out);
            scalar(in, n, expected);
            CHECK(same_bits(out.values(), expected.values()));
            CHECK(out.intact());
            CHECK(in.intact());
        }
    }
}

} // namespace

TEST_CASE("widening is exact for every pattern") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        check_widening(kernels.convert_from_bf16, kBf16);
        check_widening(kernels.convert_from_f16, kF16);
    }
}

TEST_CASE("rounding is to nearest even") {
    Random random(seed());
    for (const Format format : {kBf16, kF16}) {
        CAPTURE(format.mantissa);
        const std::vector<float> cases = rounding_cases(format, random);
        std::vector<uint16_t> expected;
        for (const float x : cases) expected.push_back(rounded(x, format));
        FOR_EACH_ISA(kernels) {
            CAPTURE(isa_name(isa));
            check_rounding(format.mantissa == 7 ? kernels.convert_to_bf16 : kernels.convert_to_f16, format, cases,
                           expected);
        }
    }
}

TEST_CASE("conversions agree with scalar to the bit, NaN included, and stay inside their arrays") {
    const Kernels &scalar = zeta::simd::kernels(Isa::scalar);
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        check_sizes(kernels.convert_from_bf16, scalar.convert_from_bf16, random);
        check_sizes(kernels.convert_from_f16, scalar.convert_from_f16, random);
        check_sizes(kernels.convert_to_bf16, scalar.convert_to_bf16, random);
        check_sizes(kernels.convert_to_f16, scalar.convert_to_f16, random);
    }
}
