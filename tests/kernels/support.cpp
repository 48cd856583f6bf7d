// SPDX-License-Identifier: Apache-2.0
// See support.hpp.
#include "support.hpp"

#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>

#include <sys/mman.h>
#include <unistd.h>

namespace kernel_tests {
namespace {

constexpr unsigned char kCanary = 0xA5;

} // namespace

uint64_t &seed() {
    static uint64_t value = 1;
    return value;
}

int64_t pick(Random &random, int64_t lo, int64_t hi) {
    return std::uniform_int_distribution<int64_t>(lo, hi)(random);
}

float normal(Random &random) {
    return std::normal_distribution<float>()(random);
}

std::vector<Isa> isas() {
    std::vector<Isa> result;
    for (int i = 0; i < zeta::simd::kIsaCount; ++i) {
        if (zeta::simd::isa_present(static_cast<Isa>(i))) result.push_back(static_cast<Isa>(i));
    }
    return result;
}

std::vector<size_t> sizes() {
    std::vector<size_t> result;
    for (size_t n = 0; n <= 65; ++n) result.push_back(n);
    for (const size_t n : {127, 128, 129, 200, 1000}) result.push_back(n);
    return result;
}

const std::vector<float> &hurtful() {
    static const std::vector<float> values = [] {
        std::vector<float> result;
        const float inf = std::numeric_limits<float>::infinity();
        for (const float x : {0.0f, FLT_TRUE_MIN, FLT_TRUE_MIN * 77, FLT_MIN, FLT_MIN - FLT_TRUE_MIN, FLT_EPSILON, 0.5f,
                              1.0f - FLT_EPSILON / 2, 1.0f, 1.0f + FLT_EPSILON, 65504.0f, 65520.0f, 16777216.0f,
                              FLT_MAX / 2, FLT_MAX, inf}) {
            result.push_back(x);
            result.push_back(-x);
        }
        for (const uint32_t nan : {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0xFFBFFFFFu, 0x7FFFFFFFu}) {
            result.push_back(float_of(nan));
        }
        return result;
    }();
    return values;
}

std::vector<float> floats(Random &random, size_t n, int rare) {
    std::vector<float> result(n);
    const auto last = static_cast<int64_t>(hurtful().size()) - 1;
    for (float &x : result) {
        const bool hurts = rare != 0 && pick(random, 1, rare) == 1;
        x = hurts ? hurtful()[static_cast<size_t>(pick(random, 0, last))] : normal(random);
    }
    return result;
}

Pages::Pages(size_t bytes, size_t element, Place place) : bytes_(bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t room = bytes + 4 * 64;
    inside_ = (room + page - 1) / page * page;
    mapped_ = inside_ + 2 * page;
    void *mapping = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) std::abort();
    mapping_ = static_cast<unsigned char *>(mapping) + page;
    if (mprotect(mapping_, inside_, PROT_READ | PROT_WRITE) != 0) std::abort();
    data_ = mapping_;
    if (place == Place::end) data_ = mapping_ + inside_ - bytes;
    if (place == Place::shifted) data_ = mapping_ + 128 + element;
    std::memset(mapping_, kCanary, inside_);
}

Pages::~Pages() {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    munmap(mapping_ - page, mapped_);
}

bool Pages::intact() const {
    for (const unsigned char *at = mapping_; at < data_; ++at) {
        if (*at != kCanary) return false;
    }
    for (const unsigned char *at = data_ + bytes_; at < mapping_ + inside_; ++at) {
        if (*at != kCanary) return false;
    }
    return true;
}

bool same_floats(const std::vector<float> &a, const std::vector<float> &b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
        if (bits_of(a[i]) != bits_of(b[i]) && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
    }
    return true;
}

bool close(double a, double b, double tolerance) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    return a == b || std::fabs(a - b) <= tolerance;
}

} // namespace kernel_tests
