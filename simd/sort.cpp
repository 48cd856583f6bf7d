// SPDX-License-Identifier: Apache-2.0
// Ascending order of 64-bit words, in place: Highway's vectorised quicksort with a fixed seed, or on targets of plain
// C++ a quicksort of our own. Both fall back to heap sort when pivots are bad, so no input is quadratic. Words of a
// head are unique (code << 24 | position), so the result does not depend on the algorithm.
#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sort.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"

// For every target, used or not: a header left out of one would be missing from the next.
#include <hwy/contrib/sort/traits-inl.h>
#include <hwy/contrib/sort/vqsort-inl.h>

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

namespace detail = hn::detail;

// Types of this file alone: templates made for them have internal linkage, and find the overloads below.
struct Ascending : detail::OrderAscending<uint64_t> {};

#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3) || HWY_TARGET == HWY_NEON
// Compressing to memory is microcode on some processors (Zen 4, 65,536 words: 0.46 ms, this way 0.39). NEON has no
// stores of single lanes: Highway's write back what they find, also past the end of the words.
struct Tag : U64 {};

HWY_INLINE size_t CompressBlendedStore(hn::Vec<U64> v, hn::Mask<U64> mask, Tag, uint64_t *HWY_RESTRICT p) {
    const U64 d;
    const size_t count = hn::CountTrue(d, mask);
    StoreTail(hn::Compress(v, mask), d, p, count);
    return count;
}

#if HWY_TARGET == HWY_NEON
// The mask is always that of the first lanes.
HWY_INLINE void BlendedStore(hn::Vec<U64> v, hn::Mask<U64> mask, Tag, uint64_t *HWY_RESTRICT p) {
    const U64 d;
    StoreTail(v, d, p, hn::CountTrue(d, mask));
}
#endif

// The quicksort leaves room for a whole vector wherever it calls this one.
HWY_INLINE size_t CompressStore(hn::Vec<U64> v, hn::Mask<U64> mask, Tag, uint64_t *HWY_RESTRICT p) {
    const U64 d;
    hn::StoreU(hn::Compress(v, mask), d, p);
    return hn::CountTrue(d, mask);
}
#else
using Tag = U64;
#endif

// Highway's own entry takes its seed from the clock and from addresses, and a library of its own for that.
void sort_words(uint64_t *words, size_t n) {
    if (n < 2) return;
    const Tag d;
    const detail::SharedTraits<detail::TraitsLane<Ascending>> order;
    HWY_ALIGN_MAX uint64_t buffer[hwy::SortConstants::BufNum<uint64_t>(hn::MaxLanes(U64()))] = {};
    detail::Generator generator(0x9E3779B97F4A7C15u);
    size_t levels = 4;
    for (size_t m = n; m > 1; m /= 2) levels += 2;
    detail::Recurse(d, order, words, words + n, n, buffer, generator, levels);
}

#else

void sort_by_insertion(uint64_t *words, size_t n) {
    for (size_t i = 1; i < n; ++i) {
        const uint64_t word = words[i];
        size_t j = i;
        for (; j > 0 && words[j - 1] > word; --j) words[j] = words[j - 1];
        words[j] = word;
    }
}

void sort_by_heap(uint64_t *words, size_t n) {
    const auto sift = [words](size_t at, size_t end) {
        const uint64_t word = words[at];
        for (size_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
            if (child + 1 < end && words[child + 1] > words[child]) ++child;
            if (words[child] <= word) break;
            words[at] = words[child];
            at = child;
        }
        words[at] = word;
    };
    for (size_t i = n / 2; i-- > 0;) sift(i, n);
    for (size_t end = n; end-- > 1;) {
        const uint64_t last = words[end];
        words[end] = words[0];
        words[0] = last;
        sift(0, end);
    }
}

uint64_t median_of_3(uint64_t a, uint64_t b, uint64_t c) {
    const uint64_t lo = a < b ? a : b, hi = a < b ? b : a;
    return c < lo ? lo : c > hi ? hi : c;
}

// Hoare's partition: everything before the result is <= pivot, everything from it on >= pivot; both sides not empty.
size_t partition(uint64_t *words, size_t n, uint64_t pivot) {
    size_t i = 0, j = n - 1;
    while (true) {
        while (words[i] < pivot) ++i;
        while (words[j] > pivot) --j;
        if (i >= j) return j + 1 < n ? j + 1 : j;
        const uint64_t word = words[i];
        words[i++] = words[j];
        words[j--] = word;
    }
}

void sort_deep(uint64_t *words, size_t n, size_t levels) {
    constexpr size_t kSmall = 24;
    while (n > kSmall) {
        if (levels-- == 0) return sort_by_heap(words, n);
        const size_t middle = partition(words, n, median_of_3(words[0], words[n / 2], words[n - 1]));
        if (middle < n - middle) { // the smaller side by recursion: the stack stays logarithmic
            sort_deep(words, middle, levels);
            words += middle;
            n -= middle;
        } else {
            sort_deep(words + middle, n - middle, levels);
            n = middle;
        }
    }
    sort_by_insertion(words, n);
}

void sort_words(uint64_t *words, size_t n) {
    size_t levels = 4;
    for (size_t m = n; m > 1; m /= 2) levels += 2;
    sort_deep(words, n, levels);
}

#endif

void sort_fill(Kernels &kernels) {
    kernels.sort_words = sort_words;
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(sort)
} // namespace zeta::simd
#endif
