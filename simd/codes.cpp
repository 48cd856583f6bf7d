// SPDX-License-Identifier: Apache-2.0
// Cells and Morton codes of spec section 2. Every float32 operation is rounded on its own (divisions are divisions), so
// each instruction set computes the same cell. Interleaving uses BMI2 pdep where the CPU does it in hardware, else SIMD
// spreading by shifts and masks; any other number of coordinates takes a loop over bits.
#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codes.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "rows-inl.hpp"

#undef ZETA_PDEP
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2
#define ZETA_PDEP 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define ZETA_PDEP 0
#endif

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

// ---- cells
// -----------------------------------------------------------------------------------------------------------

constexpr size_t kRows = 64; // rows brought into columns at once: dk 32 takes 8 KB of stack

// One coordinate's cells.
struct Column {
    bool range;
    GridAxis axis;
    float cells, last; // 2^bits and 2^bits - 1, exact

    HWY_INLINE hn::Vec<I32> operator()(hn::Vec<F32> x) const {
        const F32 d;
        hn::Vec<F32> share;
        if (range) {
            share = hn::Div(hn::Sub(x, hn::Set(d, axis.lo)), hn::Set(d, axis.width));
        } else {
            const auto t = hn::Div(x, hn::Set(d, axis.scale));
            const auto clamped = hn::Min(hn::Max(t, hn::Set(d, -FLT_MAX)), hn::Set(d, FLT_MAX));
            const auto u = hn::Div(clamped, hn::Add(hn::Set(d, 1.0f), hn::Abs(clamped)));
            share = hn::Add(hn::Mul(u, hn::Set(d, 0.5f)), hn::Set(d, 0.5f));
        }
        const auto place = hn::Mul(share, hn::Set(d, cells));
        // Min and max treat NaN differently from one instruction set to the next: select by comparison first.
        const auto number = hn::And(hn::Eq(x, x), hn::Ge(place, hn::Zero(d)));
        const auto clean = hn::IfThenElseZero(number, place);
        return hn::ConvertTo(I32(), hn::Min(clean, hn::Set(d, last))); // not negative: truncation is floor
    }
};

// x [n] contiguous to cells [n].
HWY_INLINE void cells_of_column(const Column &column, const float *HWY_RESTRICT x, size_t n,
                                uint32_t *HWY_RESTRICT cells) {
    const F32 d;
    const U32 du;
    const size_t lanes = hn::Lanes(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(hn::BitCast(du, column(hn::LoadU(d, x + i))), du, cells + i);
    if (i < n) StoreTail(hn::BitCast(du, column(LoadTail(d, x + i, n - i))), du, cells + i, n - i);
}

// Rows of 2, 3 or 4 without gaps: whole vectors of rows are taken apart by shuffles. Returns how many rows it did.
template <int kDk>
HWY_INLINE size_t cells_interleaved(const Column *columns, const float *HWY_RESTRICT x, size_t n,
                                    uint32_t *HWY_RESTRICT cells, size_t cell_stride) {
    const F32 d;
    const U32 du;
    const size_t lanes = hn::Lanes(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        hn::Vec<F32> c0, c1, c2, c3;
        if constexpr (kDk == 2) hn::LoadInterleaved2(d, x + i * kDk, c0, c1);
        if constexpr (kDk == 3) hn::LoadInterleaved3(d, x + i * kDk, c0, c1, c2);
        if constexpr (kDk == 4) hn::LoadInterleaved4(d, x + i * kDk, c0, c1, c2, c3);
        hn::StoreU(hn::BitCast(du, columns[0](c0)), du, cells + i);
        hn::StoreU(hn::BitCast(du, columns[1](c1)), du, cells + cell_stride + i);
        if constexpr (kDk >= 3) hn::StoreU(hn::BitCast(du, columns[2](c2)), du, cells + 2 * cell_stride + i);
        if constexpr (kDk >= 4) hn::StoreU(hn::BitCast(du, columns[3](c3)), du, cells + 3 * cell_stride + i);
    }
    return i;
}

void cells_of_rows(const float *x, ptrdiff_t stride, size_t n, int dk, int bits, bool range, const GridAxis *axes,
                   uint32_t *cells, size_t cell_stride) {
    constexpr int kMaxDk = 32;
    Column columns[kMaxDk];
    const float count = static_cast<float>(1u << bits);
    for (int e = 0; e < dk; ++e) columns[e] = Column{range, axes[e], count, count - 1.0f};
    size_t i = 0;
    if (dk == 1 && stride == 1) return cells_of_column(columns[0], x, n, cells);
    if (dk == 2 && stride == 2) i = cells_interleaved<2>(columns, x, n, cells, cell_stride);
    if (dk == 3 && stride == 3) i = cells_interleaved<3>(columns, x, n, cells, cell_stride);
    if (dk == 4 && stride == 4) i = cells_interleaved<4>(columns, x, n, cells, cell_stride);
    HWY_ALIGN_MAX float block[kMaxDk * kRows];
    while (i < n) {
        const size_t rows = n - i < kRows ? n - i : kRows;
        for (size_t r = 0; r < rows; ++r) {
            const float *row = x + static_cast<ptrdiff_t>(i + r) * stride;
            for (int e = 0; e < dk; ++e) block[static_cast<size_t>(e) * kRows + r] = row[e];
        }
        for (int e = 0; e < dk; ++e) {
            const size_t at = static_cast<size_t>(e);
            cells_of_column(columns[e], block + at * kRows, rows, cells + at * cell_stride + i);
        }
        i += rows;
    }
}

// ---- interleaving
// ------------------------------------------------------------------------------------------------------

// Moves bit b of each lane (below 2^20) to bit b * kDk.
template <int kDk> HWY_INLINE hn::Vec<U64> spread(hn::Vec<U64> v) {
    const U64 d;
    const auto step = [d](hn::Vec<U64> w, auto shifted, uint64_t mask)
                          HWY_ATTR { return hn::And(hn::Or(w, shifted), hn::Set(d, mask)); };
    if constexpr (kDk == 2) {
        v = step(v, hn::ShiftLeft<16>(v), 0x0000FFFF0000FFFFu);
        v = step(v, hn::ShiftLeft<8>(v), 0x00FF00FF00FF00FFu);
        v = step(v, hn::ShiftLeft<4>(v), 0x0F0F0F0F0F0F0F0Fu);
        v = step(v, hn::ShiftLeft<2>(v), 0x3333333333333333u);
        v = step(v, hn::ShiftLeft<1>(v), 0x5555555555555555u);
    }
    if constexpr (kDk == 3) {
        v = step(v, hn::ShiftLeft<32>(v), 0x001F00000000FFFFu);
        v = step(v, hn::ShiftLeft<16>(v), 0x001F0000FF0000FFu);
        v = step(v, hn::ShiftLeft<8>(v), 0x100F00F00F00F00Fu);
        v = step(v, hn::ShiftLeft<4>(v), 0x10C30C30C30C30C3u);
        v = step(v, hn::ShiftLeft<2>(v), 0x1249249249249249u);
    }
    if constexpr (kDk == 4) { // below 2^10: groups 9..8, 7..0, then pairs, then bits
        v = step(v, hn::ShiftLeft<24>(v), 0x000000FF000000FFu);
        v = step(v, hn::ShiftLeft<12>(v), 0x000F000F000F000Fu);
        v = step(v, hn::ShiftLeft<6>(v), 0x0303030303030303u);
        v = step(v, hn::ShiftLeft<3>(v), 0x1111111111111111u);
    }
    if constexpr (kDk == 8) { // below 2^5
        v = step(v, hn::ShiftLeft<28>(v), 0x0000000F0000000Fu);
        v = step(v, hn::ShiftLeft<14>(v), 0x0003000300030003u);
        v = step(v, hn::ShiftLeft<7>(v), 0x0101010101010101u);
    }
    return v;
}

HWY_INLINE hn::Vec<U64> finish(hn::Vec<U64> code, uint64_t position) {
    return hn::Or(hn::ShiftLeft<24>(code), hn::Iota(U64(), position));
}

// Codes of Lanes(U64) rows, cells of coordinate e given by `cells_of(e)`.
template <int kDk, class CellsOf> HWY_INLINE hn::Vec<U64> code_of(const CellsOf &cells_of, int dk, int bits) {
    if constexpr (kDk == 0) {
        const U64 d;
        auto code = hn::Zero(d);
        const auto one = hn::Set(d, 1);
        for (int b = bits - 1; b >= 0; --b) {
            for (int e = 0; e < dk; ++e) {
                code = hn::Or(hn::Add(code, code), hn::And(hn::ShiftRightSame(cells_of(e), b), one));
            }
        }
        return code;
    } else if constexpr (kDk == 1) {
        return cells_of(0);
    } else {
        auto code = spread<kDk>(cells_of(0));
        for (int e = 1; e < kDk; ++e) code = hn::Or(hn::Add(code, code), spread<kDk>(cells_of(e)));
        return code;
    }
}

template <int kDk>
void interleave_spread(const uint32_t *cells, size_t cell_stride, size_t n, int dk, int bits, uint64_t first_position,
                       uint64_t *words) {
    const U64 d;
    const hn::Rebind<uint32_t, U64> dc;
    const size_t lanes = hn::Lanes(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto cells_of = [&](int e) HWY_ATTR {
            return hn::PromoteTo(d, hn::LoadU(dc, cells + static_cast<size_t>(e) * cell_stride + i));
        };
        hn::StoreU(finish(code_of<kDk>(cells_of, dk, bits), first_position + i), d, words + i);
    }
    if (i == n) return;
    const auto tail_of = [&](int e) HWY_ATTR {
        return hn::PromoteTo(d, LoadTail(dc, cells + static_cast<size_t>(e) * cell_stride + i, n - i));
    };
    StoreTail(finish(code_of<kDk>(tail_of, dk, bits), first_position + i), d, words + i, n - i);
}

#if ZETA_PDEP
// One deposit per coordinate; kDk 0: any number of them.
template <int kDk>
void interleave_deposit(const uint32_t *cells, size_t cell_stride, size_t n, int dk, int bits, uint64_t first_position,
                        uint64_t *words) {
    const int count = kDk == 0 ? dk : kDk;
    uint64_t mask = 0; // places of the last coordinate in the word, above the position
    for (int b = 0; b < bits; ++b) mask |= uint64_t{1} << (b * count + 24);
    for (size_t i = 0; i < n; ++i) {
        uint64_t word = first_position + i;
        for (int e = 0; e < count; ++e) {
            word |= _pdep_u64(cells[static_cast<size_t>(e) * cell_stride + i], mask << (count - 1 - e));
        }
        words[i] = word;
    }
}

// AMD's processors before family 19h (Zen 3), and Hygon's made from them, split pdep into dozens of steps.
bool deposit_is_fast() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) == 0) return false;
    const bool amd = ecx == 0x444D4163u;   // AuthenticAMD, last four letters
    const bool hygon = ecx == 0x656E6975u; // HygonGenuine
    if (!amd && !hygon) return true;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
    const unsigned base = eax >> 8 & 0xF;
    const unsigned family = base == 0xF ? base + (eax >> 20 & 0xFF) : base;
    return amd && family >= 0x19;
}

void interleave_by_deposit(const uint32_t *cells, size_t cell_stride, size_t n, int dk, int bits,
                           uint64_t first_position, uint64_t *words) {
    const auto body = dk == 1   ? interleave_spread<1>
                      : dk == 2 ? interleave_deposit<2>
                      : dk == 3 ? interleave_deposit<3>
                      : dk == 4 ? interleave_deposit<4>
                      : dk == 8 ? interleave_deposit<8>
                                : interleave_deposit<0>;
    body(cells, cell_stride, n, dk, bits, first_position, words);
}
#endif

void interleave_by_spread(const uint32_t *cells, size_t cell_stride, size_t n, int dk, int bits,
                          uint64_t first_position, uint64_t *words) {
    const auto body = dk == 1   ? interleave_spread<1>
                      : dk == 2 ? interleave_spread<2>
                      : dk == 3 ? interleave_spread<3>
                      : dk == 4 ? interleave_spread<4>
                      : dk == 8 ? interleave_spread<8>
                                : interleave_spread<0>;
    body(cells, cell_stride, n, dk, bits, first_position, words);
}

void codes_fill(Kernels &kernels) {
    kernels.codes_cells = cells_of_rows;
    kernels.codes_interleave = interleave_by_spread;
#if ZETA_PDEP
    if (deposit_is_fast()) kernels.codes_interleave = interleave_by_deposit;
#endif
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace zeta::simd {
ZETA_FILL(codes)
} // namespace zeta::simd
#endif
