// SPDX-License-Identifier: Apache-2.0
// zeta/codes.h: codes and cells of points, and cells of codes, row block by row block.
#include "../context.hpp"
#include "../cpu/rows.hpp"
#include "../cpu/sort.hpp"
#include "../problem.hpp"
#include "../status.hpp"
#include "check.hpp"

namespace {

using namespace zeta;

constexpr size_t kRows = 256; // worked on at once, on the stack

Context &checked_context(zeta_context *context) {
    if (context == nullptr) fail(ZETA_ERROR_ARGUMENT, "context is NULL");
    return *context;
}

// Calls body(b, h, i, rows) over blocks of at most kRows rows of every head.
template <class Body> void for_blocks(const cpu::Executor &executor, const api::CheckedCodes &c, Body &&body) {
    const size_t blocks = (size_t(c.rows) + kRows - 1) / kRows;
    const auto run = [&](size_t begin, size_t end, int) {
        for (size_t task = begin; task < end; ++task) {
            const size_t head = task / blocks, i = task % blocks * kRows;
            body(int64_t(head) / c.heads, int64_t(head) % c.heads, int64_t(i), std::min(kRows, size_t(c.rows) - i));
        }
    };
    executor.parallel_for(size_t(c.batches * c.heads) * blocks, 16, run);
}

// Cells [dk, kRows] of a block of rows.
void block_cells(const cpu::Executor &executor, const api::CheckedCodes &c, int64_t b, int64_t h, int64_t i,
                 size_t rows, uint32_t *cells) {
    const simd::Kernels &kernels = executor.kernels();
    const cpu::Axes axes = cpu::axes_of(c.grid, c.grid.heads > 0 ? h * c.grid.heads / c.heads : 0, c.dk);
    float wide[kRows * ZETA_MAX_DK];
    const float *x = static_cast<const float *>(cpu::row_pointer(c.x, b, h, i));
    ptrdiff_t stride = c.x.row_stride;
    if (c.x.dtype != ZETA_F32) {
        for (size_t r = 0; r < rows; ++r)
            cpu::widen(kernels, c.x.dtype, cpu::row_pointer(c.x, b, h, i + int64_t(r)), size_t(c.dk),
                       wide + r * size_t(c.dk));
        x = wide;
        stride = c.dk;
    }
    kernels.codes_cells(x, stride, rows, c.dk, axes.bits, axes.range, axes.axis, cells, kRows);
}

void encode(Context &context, const api::CheckedCodes &c) {
    const cpu::Executor &executor = context.executor();
    for_blocks(executor, c, [&](int64_t b, int64_t h, int64_t i, size_t rows) {
        alignas(64) uint32_t cells[kRows * ZETA_MAX_DK];
        uint64_t words[kRows];
        block_cells(executor, c, b, h, i, rows, cells);
        executor.kernels().codes_interleave(cells, kRows, rows, c.dk, std::min(20, 40 / c.dk), 0, words);
        uint64_t *out = c.codes.row<uint64_t>(b, h, i);
        for (size_t r = 0; r < rows; ++r) out[r] = words[r] >> kPositionBits;
    });
}

void cells(Context &context, const api::CheckedCodes &c) {
    const cpu::Executor &executor = context.executor();
    for_blocks(executor, c, [&](int64_t b, int64_t h, int64_t i, size_t rows) {
        alignas(64) uint32_t block[kRows * ZETA_MAX_DK];
        block_cells(executor, c, b, h, i, rows, block);
        for (size_t r = 0; r < rows; ++r) {
            int32_t *out = c.cells.row<int32_t>(b, h, i + int64_t(r));
            for (int e = 0; e < c.dk; ++e) out[e] = int32_t(block[size_t(e) * kRows + r]);
        }
    });
}

void decode(Context &context, const api::CheckedCodes &c) {
    const int bits = std::min(20, 40 / c.dk);
    for_blocks(context.executor(), c, [&](int64_t b, int64_t h, int64_t i, size_t rows) {
        for (size_t r = 0; r < rows; ++r) {
            const uint64_t code = *c.codes.row<uint64_t>(b, h, i + int64_t(r));
            int32_t *out = c.cells.row<int32_t>(b, h, i + int64_t(r));
            for (int e = 0; e < c.dk; ++e) { // bit `bit` of coordinate e lies at bit * dk + (dk - 1 - e)
                uint32_t cell = 0;
                for (int bit = 0; bit < bits; ++bit) cell |= uint32_t(code >> (bit * c.dk + c.dk - 1 - e) & 1) << bit;
                out[e] = int32_t(cell);
            }
        }
    });
}

} // namespace

zeta_status zeta_codes_encode(zeta_context *context, const zeta_grid *grid, const zeta_tensor *x,
                              const zeta_tensor *codes) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        encode(c, api::check_encode(grid, x, codes));
    });
}

zeta_status zeta_codes_cells(zeta_context *context, const zeta_grid *grid, const zeta_tensor *x,
                             const zeta_tensor *out) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        cells(c, api::check_cells(grid, x, out));
    });
}

zeta_status zeta_codes_decode(zeta_context *context, const zeta_tensor *codes, const zeta_tensor *out) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        decode(c, api::check_decode(codes, out));
    });
}
