// SPDX-License-Identifier: Apache-2.0
// What every test of kernels uses: the instruction sets present, sizes around whole vectors, arrays beside inaccessible
// pages with canaries in every other byte, and numbers that hurt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels.hpp"

namespace kernel_tests {

using zeta::simd::Isa;
using zeta::simd::Kernels;
using Random = std::mt19937_64;

uint64_t &seed(); // from the command line
int64_t pick(Random &random, int64_t lo, int64_t hi);
float normal(Random &random);

std::vector<Isa> isas();             // all present, scalar first
std::vector<size_t> sizes();         // 0 to four vectors of 16 lanes and one, and a few larger
const std::vector<float> &hurtful(); // NaN, infinities, denormals, -0, extremes, of both signs
// n floats: mostly normal, one in `rare` hurtful (0: none).
std::vector<float> floats(Random &random, size_t n, int rare = 0);

enum class Place { end, start, shifted }; // against the page after, against the page before, misaligned
constexpr Place kPlaces[] = {Place::end, Place::start, Place::shifted};

// Bytes in pages of their own, all canaries at first.
class Pages {
public:
    Pages(size_t bytes, size_t element, Place place);
    ~Pages();
    Pages(const Pages &) = delete;
    Pages &operator=(const Pages &) = delete;
    unsigned char *data() const { return data_; }
    bool intact() const; // canaries around [data, data + bytes)

private:
    unsigned char *mapping_, *data_;
    size_t mapped_, inside_, bytes_;
};

// n elements, and `slack` more that a kernel may read and write.
template <class T> class Array {
public:
    explicit Array(size_t n, Place place = Place::end, size_t slack = 0)
        : n_(n), pages_((n + slack) * sizeof(T), sizeof(T), place) {}
    explicit Array(const std::vector<T> &values, Place place = Place::end, size_t slack = 0)
        : Array(values.size(), place, slack) {
        if (!values.empty()) std::memcpy(pages_.data(), values.data(), values.size() * sizeof(T));
    }
    T *data() const { return reinterpret_cast<T *>(pages_.data()); }
    operator T *() const { return data(); }
    size_t size() const { return n_; }
    std::vector<T> values() const { return first(n_); }
    std::vector<T> first(size_t n) const {
        std::vector<T> result(n);
        if (n != 0) std::memcpy(result.data(), data(), n * sizeof(T));
        return result;
    }
    bool intact() const { return pages_.intact(); }

private:
    size_t n_;
    Pages pages_;
};

template <class T> bool same_bits(const std::vector<T> &a, const std::vector<T> &b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
inline uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}
inline float float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
// Equal bits, or both NaN.
bool same_floats(const std::vector<float> &a, const std::vector<float> &b);
// |a - b| <= tolerance, equal infinities, or both NaN.
bool close(double a, double b, double tolerance);

} // namespace kernel_tests

// Runs the statement for every instruction set, with `kernels` bound and its name in the failure's message.
#define FOR_EACH_ISA(kernels)                                                                                          \
    for (const kernel_tests::Isa isa : kernel_tests::isas())                                                           \
        if (const kernel_tests::Kernels &kernels = zeta::simd::kernels(isa); true)
