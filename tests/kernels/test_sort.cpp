// SPDX-License-Identifier: Apache-2.0
// Sorting in place against the standard library: sizes around every base case, patterns that break quicksorts.
#include <doctest/doctest.h>

#include <algorithm>

#include "support.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;

namespace {

std::vector<uint64_t> pattern(Random &random, int kind, size_t n) {
    std::vector<uint64_t> words(n);
    for (size_t i = 0; i < n; ++i) {
        const uint64_t draw = random();
        switch (kind) {
        case 0:
            words[i] = draw;
            break;
        case 1:
            words[i] = (draw & 0xFFFFFFFFFF000000u) | i;
            break; // code and position
        case 2:
            words[i] = i;
            break;
        case 3:
            words[i] = n - i;
            break;
        case 4:
            words[i] = 7;
            break;
        case 5:
            words[i] = draw % 2;
            break;
        case 6:
            words[i] = draw % 3 == 0 ? 0 : draw % 3 == 1 ? ~uint64_t{0} : draw;
            break;
        case 7:
            words[i] = std::min(i, n - i);
            break; // up, then down
        case 8:
            words[i] = (i * 7919) % 16 << 24 | i;
            break;
        default:
            words[i] = i % 2 == 0 ? i : n - i;
            break;
        }
    }
    return words;
}

constexpr int kPatterns = 10;

void check_sort(const Kernels &kernels, const std::vector<uint64_t> &words, Place place) {
    const Array<uint64_t> array(words, place);
    std::vector<uint64_t> expected = words;
    std::sort(expected.begin(), expected.end());
    kernels.sort_words(array, words.size());
    CHECK(array.values() == expected);
    CHECK(array.intact());
}

} // namespace

TEST_CASE("words come out in ascending order") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int kind = 0; kind < kPatterns; ++kind) {
            CAPTURE(kind);
            for (size_t n = 0; n <= 300; ++n) {
                CAPTURE(n);
                check_sort(kernels, pattern(random, kind, n), kPlaces[n % 3]);
            }
            for (const size_t n : {1023, 1024, 1025, 4097, 50000}) {
                CAPTURE(n);
                check_sort(kernels, pattern(random, kind, n), kPlaces[n % 3]);
            }
        }
    }
}
