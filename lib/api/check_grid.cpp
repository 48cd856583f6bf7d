// SPDX-License-Identifier: Apache-2.0
// Checks of zeta_grid (spec section 2): scale finite and above 0; lo < hi with lo, hi and hi - lo finite in float32.
// A grid has one value for all, or heads x dk of them.
#include <cmath>

#include "../status.hpp"
#include "check_params.hpp"

namespace zeta::api {
namespace {

int64_t value_count(const zeta_grid &grid, int32_t dk) {
    return grid.heads == 0 ? 1 : int64_t{grid.heads} * dk;
}

// "[2][1]", or nothing for the one value of a grid with heads 0.
struct Index {
    Index(const zeta_grid &grid, int64_t i, int32_t dk) {
        if (grid.heads != 0)
            std::snprintf(text, sizeof text, "[%lld][%lld]", static_cast<long long>(i / dk),
                          static_cast<long long>(i % dk));
    }
    char text[48] = "";
};

void check_scale(const zeta_grid &grid, int32_t dk) {
    if (grid.scale == nullptr) return;
    for (int64_t i = 0; i < value_count(grid, dk); ++i)
        if (!(std::isfinite(grid.scale[i]) && grid.scale[i] > 0.0f))
            fail(ZETA_ERROR_ARGUMENT, "grid.scale%s is %g: must be finite and above 0", Index(grid, i, dk).text,
                 static_cast<double>(grid.scale[i]));
}

void check_range_values(const zeta_grid &grid, int32_t dk) {
    for (int64_t i = 0; i < value_count(grid, dk); ++i) {
        const float lo = grid.lo == nullptr ? 0.0f : grid.lo[i];
        const float hi = grid.hi == nullptr ? 1.0f : grid.hi[i];
        const Index index(grid, i, dk);
        if (!std::isfinite(lo))
            fail(ZETA_ERROR_ARGUMENT, "grid.lo%s is %g: must be finite", index.text, static_cast<double>(lo));
        if (!std::isfinite(hi))
            fail(ZETA_ERROR_ARGUMENT, "grid.hi%s is %g: must be finite", index.text, static_cast<double>(hi));
        if (!(lo < hi))
            fail(ZETA_ERROR_ARGUMENT, "grid.lo%s is %g but grid.hi%s is %g: lo must be below hi", index.text,
                 static_cast<double>(lo), index.text, static_cast<double>(hi));
        const float span = hi - lo;
        if (!std::isfinite(span))
            fail(ZETA_ERROR_ARGUMENT, "grid.lo%s is %g and grid.hi%s is %g: hi - lo must be finite in float32",
                 index.text, static_cast<double>(lo), index.text, static_cast<double>(hi));
    }
}

} // namespace

void check_grid_options(const zeta_grid &grid) {
    if (grid.kind != ZETA_GRID_SQUASH && grid.kind != ZETA_GRID_RANGE)
        fail(ZETA_ERROR_ARGUMENT, "grid.kind is %d: must be ZETA_GRID_SQUASH (%d) or ZETA_GRID_RANGE (%d)",
             static_cast<int>(grid.kind), ZETA_GRID_SQUASH, ZETA_GRID_RANGE);
    if (grid.heads < 0) fail(ZETA_ERROR_ARGUMENT, "grid.heads is %d: must be at least 0", static_cast<int>(grid.heads));
    check_alignment("grid.scale", grid.scale, alignof(float));
    check_alignment("grid.lo", grid.lo, alignof(float));
    check_alignment("grid.hi", grid.hi, alignof(float));
}

zeta_grid check_grid(const zeta_grid &grid, int32_t dk) {
    check_grid_options(grid);
    zeta_grid resolved = grid;
    if (grid.kind == ZETA_GRID_SQUASH) {
        check_scale(grid, dk);
        resolved.lo = resolved.hi = nullptr;
    } else {
        check_range_values(grid, dk);
        resolved.scale = nullptr;
    }
    return resolved;
}

void add_grid_inputs(Overlaps &overlaps, const zeta_grid &grid, int32_t dk) {
    const size_t bytes = static_cast<size_t>(value_count(grid, dk)) * sizeof(float);
    overlaps.input("grid.scale", grid.scale, bytes);
    overlaps.input("grid.lo", grid.lo, bytes);
    overlaps.input("grid.hi", grid.hi, bytes);
}

} // namespace zeta::api
