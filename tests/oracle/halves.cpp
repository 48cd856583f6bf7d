// SPDX-License-Identifier: Apache-2.0
// See halves.hpp.
#include "halves.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace oracle {
namespace {

// An IEEE-like format of 16 bits: sign, exponent, mantissa.
struct Format {
    int mantissa; // stored bits
    int bias;     // of the exponent; the smallest normal exponent is 1 - bias
};

constexpr Format kBfloat16{7, 127};
constexpr Format kFloat16{10, 15};

uint16_t encode(float x, Format format) {
    const uint32_t sign = std::signbit(x) ? 0x8000u : 0u;
    const uint32_t infinity = 0x7fffu >> format.mantissa << format.mantissa;
    if (std::isnan(x)) return static_cast<uint16_t>(sign | infinity | (1u << (format.mantissa - 1)));
    const double magnitude = std::fabs(static_cast<double>(x));
    if (magnitude == 0) return static_cast<uint16_t>(sign);
    if (std::isinf(x) || std::ilogb(magnitude) > format.bias) return static_cast<uint16_t>(sign | infinity);

    const int exponent = std::max(std::ilogb(magnitude), 1 - format.bias);
    const double units = std::nearbyint(std::ldexp(magnitude, format.mantissa - exponent));
    const auto count = static_cast<uint32_t>(units);
    const uint32_t hidden = 1u << format.mantissa;
    if (count < hidden) return static_cast<uint16_t>(sign | count); // denormal
    // A count of 2 * hidden carries into the exponent, and beyond the largest exponent gives infinity.
    const auto field = static_cast<uint32_t>(exponent + format.bias);
    return static_cast<uint16_t>(sign | ((field << format.mantissa) + (count - hidden)));
}

float decode(uint16_t bits, Format format) {
    const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
    const int field = (bits & 0x7fff) >> format.mantissa;
    const int fraction = bits & ((1 << format.mantissa) - 1);
    if (field == (0x7fff >> format.mantissa)) {
        const float limit = std::numeric_limits<float>::infinity();
        return fraction != 0 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(sign) * limit;
    }
    const int exponent = std::max(field, 1) - format.bias - format.mantissa;
    const int count = field == 0 ? fraction : fraction + (1 << format.mantissa);
    return static_cast<float>(sign * std::ldexp(count, exponent));
}

} // namespace

uint16_t to_bfloat16(float x) {
    return encode(x, kBfloat16);
}
float from_bfloat16(uint16_t bits) {
    return decode(bits, kBfloat16);
}
uint16_t to_float16(float x) {
    return encode(x, kFloat16);
}
float from_float16(uint16_t bits) {
    return decode(bits, kFloat16);
}

} // namespace oracle
