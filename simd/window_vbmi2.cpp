// SPDX-License-Identifier: Apache-2.0
// The windows and lists of window.cpp where the CPU has AVX-512 VBMI2 and a window holds at most 32 keys, 16 to a side.
// Which of 64 keys belong to a side is one word of bits; its lane numbers are compressed as bytes and then select
// positions and coordinates from the four vectors that hold them, so that distances are taken of chosen keys alone and
// nothing branches on the data. Highway has no such compression. The bits of the results are those of window.cpp, which
// also does the rest: sides that reach farther than 48 keys, wider windows, given windows.
#include "vbmi2.hpp"

#if ZETA_VBMI2_POSSIBLE
#include <immintrin.h>

namespace zeta::simd {
namespace {

#define ZETA_VBMI2 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,bmi,bmi2,lzcnt,popcnt")))
#define ZETA_VBMI2_INLINE ZETA_VBMI2 inline __attribute__((always_inline))

constexpr uint32_t kReach = 48; // keys looked at before the sixteen that hold the rank

void (*portable)(const Level &, const WindowTile &);

alignas(64) constexpr uint8_t kLanes[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                            32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                            48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

// Up to 16 entries out of 64 that lie side by side.
struct Choice {
    __m512i index;
    __mmask16 upper; // the entry is one of the last 32
};

ZETA_VBMI2_INLINE Choice choose(uint64_t bits) {
    const __m512i bytes = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(kLanes));
    // With masks of ones: g++ 12 warns of what the plain forms leave undefined.
    const __m512i index = _mm512_maskz_cvtepu8_epi32(0xffff, _mm512_maskz_extracti32x4_epi32(0xf, bytes, 0));
    return {index, _mm512_test_epi32_mask(index, _mm512_set1_epi32(32))};
}

ZETA_VBMI2_INLINE __m512i take(const Choice &choice, __m512i a, __m512i b, __m512i c, __m512i d) {
    return _mm512_mask_blend_epi32(choice.upper, _mm512_permutex2var_epi32(a, choice.index, b),
                                   _mm512_permutex2var_epi32(c, choice.index, d));
}

ZETA_VBMI2_INLINE __m512 take(const Choice &choice, __m512 a, __m512 b, __m512 c, __m512 d) {
    return _mm512_mask_blend_ps(choice.upper, _mm512_permutex2var_ps(a, choice.index, b),
                                _mm512_permutex2var_ps(c, choice.index, d));
}

// One bit for each of 64 positions. Joined as masks: g++ 12 may spill a mask of 16 bits and load 64 of that memory.
ZETA_VBMI2_INLINE uint64_t below(__m512i a, __m512i b, __m512i c, __m512i d, __m512i limit) {
    const __mmask16 m0 = _mm512_cmplt_epu32_mask(a, limit), m1 = _mm512_cmplt_epu32_mask(b, limit),
                    m2 = _mm512_cmplt_epu32_mask(c, limit), m3 = _mm512_cmplt_epu32_mask(d, limit);
    return _cvtmask64_u64(_mm512_kunpackd(_mm512_kunpackw(m3, m2), _mm512_kunpackw(m1, m0)));
}

ZETA_VBMI2_INLINE __m512 add_square(__m512 sum, __m512 q, __m512 k) {
    const __m512 difference = _mm512_sub_ps(q, k);
    return _mm512_add_ps(sum, _mm512_mul_ps(difference, difference));
}

// One query. False: a side reaches too far, and nothing was written.
template <int kDk> ZETA_VBMI2_INLINE bool query(const Level &level, const WindowTile &t, uint32_t i) {
    const uint32_t rank = t.ranks[i], half = t.window / 2, rest = t.window - half;
    if (rank < kReach) return false;
    const size_t middle = rank & ~15u, first = middle - kReach;
    if (middle >= level.count) return false;
    const uint32_t *position = level.position + first;
    const __m512i limit = _mm512_set1_epi32(int(t.limits[i]));
    const __m512i p0 = _mm512_loadu_si512(position), p1 = _mm512_loadu_si512(position + 16),
                  p2 = _mm512_loadu_si512(position + 32), p3 = _mm512_loadu_si512(position + 48),
                  p4 = _mm512_loadu_si512(position + 64), p5 = _mm512_loadu_si512(position + 80),
                  p6 = _mm512_loadu_si512(position + 96);
    const uint64_t lower = (uint64_t{1} << (rank & 15)) - 1; // of the sixteen that hold the rank
    uint64_t before = below(p0, p1, p2, p3, limit) & (lower << 48 | 0xffffffffffff);
    uint64_t after = below(p3, p4, p5, p6, limit) & ~lower;
    const uint32_t n_before = uint32_t(_mm_popcnt_u64(before)), n_after = uint32_t(_mm_popcnt_u64(after));
    if (n_before < half || n_after < rest) return false;
    before &= ~(_pdep_u64(uint64_t{1} << (n_before - half), before) - 1);
    after &= _pdep_u64(uint64_t{1} << rest, after) - 1; // all, if there are no more
    t.lo[i] = uint32_t(first + _tzcnt_u64(before));
    t.hi[i] = uint32_t(middle + 64 - _lzcnt_u64(after));
    t.counts[i] = t.window;

    const Choice left = choose(before), right = choose(after);
    uint32_t *ids = t.ids + i * t.stride;
    float *distances = t.distances + i * t.stride;
    const int dk = kDk != 0 ? kDk : t.dk;
    const float *q = t.q + size_t(t.rows[i]) * size_t(dk), *coordinate = level.coordinate + first;
    __m512 left_sum = _mm512_setzero_ps(), right_sum = left_sum; // 0 + x is x: no square is -0
    for (int e = 0; e < dk; ++e, coordinate += level.stride) {
        const __m512 at = _mm512_set1_ps(q[e]), k3 = _mm512_loadu_ps(coordinate + 48);
        left_sum = add_square(left_sum, at,
                              take(left, _mm512_loadu_ps(coordinate), _mm512_loadu_ps(coordinate + 16),
                                   _mm512_loadu_ps(coordinate + 32), k3));
        right_sum = add_square(right_sum, at,
                               take(right, k3, _mm512_loadu_ps(coordinate + 64), _mm512_loadu_ps(coordinate + 80),
                                    _mm512_loadu_ps(coordinate + 96)));
    }
    _mm512_storeu_si512(ids, take(left, p0, p1, p2, p3));
    _mm512_storeu_si512(ids + half, take(right, p3, p4, p5, p6));
    _mm512_storeu_ps(distances, left_sum);
    _mm512_storeu_ps(distances + half, right_sum);
    return true;
}

template <int kDk> ZETA_VBMI2 void tile(const Level &level, const WindowTile &t) {
    for (uint32_t i = 0; i < t.queries; ++i) {
        if (query<kDk>(level, t, i)) continue;
        WindowTile one = t;
        one.queries = 1;
        one.rows += i;
        one.ranks += i;
        one.limits += i;
        one.ids += i * t.stride;
        one.distances += i * t.stride;
        one.counts += i;
        one.lo += i;
        one.hi += i;
        portable(level, one);
    }
}

void select_tile(const Level &level, const WindowTile &t) {
    if (!t.search || t.window < 2 || t.window > 32) return portable(level, t);
    switch (t.dk) {
    case 1:
        return tile<1>(level, t);
    case 2:
        return tile<2>(level, t);
    case 3:
        return tile<3>(level, t);
    case 4:
        return tile<4>(level, t);
    default:
        return tile<0>(level, t);
    }
}

} // namespace

void prefer_vbmi2(Kernels &kernels) {
    const bool present = __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
    if (!present) return;
    portable = kernels.select_tile;
    kernels.select_tile = select_tile;
}

} // namespace zeta::simd
#else
namespace zeta::simd {
void prefer_vbmi2(Kernels &) {}
} // namespace zeta::simd
#endif
