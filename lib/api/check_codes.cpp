// SPDX-License-Identifier: Apache-2.0
// The door of zeta_codes_encode, zeta_codes_cells and zeta_codes_decode (spec section 2).
#include "../status.hpp"
#include "check_params.hpp"

namespace zeta::api {
namespace {

int32_t check_dk(const char *name, const zeta_tensor &tensor) {
    if (tensor.shape[3] < 1 || tensor.shape[3] > ZETA_MAX_DK)
        fail(ZETA_ERROR_SHAPE, "%s has shape %s: dk, its last extent, is %lld but must be 1 to %d", name,
             ShapeText(tensor).text, static_cast<long long>(tensor.shape[3]), ZETA_MAX_DK);
    return static_cast<int32_t>(tensor.shape[3]);
}

// Batches, heads and rows of `tensor` as of `source`.
void check_as(const char *name, const zeta_tensor &tensor, const zeta_tensor &source, const char *const (&meaning)[3]) {
    for (int axis = 0; axis < 3; ++axis) check_extent(name, tensor, axis, source.shape[axis], meaning[axis]);
}

constexpr const char *kOfX[3] = {"the batches of x", "the heads of x", "the positions of x"};
constexpr const char *kOfCodes[3] = {"the batches of codes", "the heads of codes", "the positions of codes"};

// x and the grid, shared by encode and cells.
CheckedCodes check_points(const zeta_grid *grid, const zeta_tensor *x) {
    CheckedCodes checked;
    if (grid != nullptr) {
        check_alignment("grid", grid, alignof(zeta_grid));
        check_grid_options(*grid);
        checked.grid = *grid;
    }
    check_tensor({"x", 4, kFloating, Role::input}, x, Purpose::run);
    checked.dk = check_dk("x", *x);
    checked.batches = x->shape[0];
    checked.heads = x->shape[1];
    checked.rows = x->shape[2];
    if (checked.grid.heads != 0 && checked.heads % checked.grid.heads != 0)
        fail(ZETA_ERROR_ARGUMENT, "grid.heads is %d but x has %lld heads: they must be a multiple of grid.heads",
             static_cast<int>(checked.grid.heads), static_cast<long long>(checked.heads));
    checked.grid = check_grid(checked.grid, checked.dk);
    checked.x = make_view(x);
    return checked;
}

void check_memory(const CheckedCodes &checked, const zeta_tensor *x, const char *name, const zeta_tensor *output) {
    Overlaps overlaps;
    add_grid_inputs(overlaps, checked.grid, checked.dk);
    overlaps.input("x", x);
    overlaps.output(name, output);
}

} // namespace

CheckedCodes check_encode(const zeta_grid *grid, const zeta_tensor *x, const zeta_tensor *codes) {
    CheckedCodes checked = check_points(grid, x);
    check_tensor({"codes", 3, kUint64, Role::output}, codes, Purpose::run);
    check_as("codes", *codes, *x, kOfX);
    check_memory(checked, x, "codes", codes);
    checked.codes = make_view(codes);
    return checked;
}

CheckedCodes check_cells(const zeta_grid *grid, const zeta_tensor *x, const zeta_tensor *cells) {
    CheckedCodes checked = check_points(grid, x);
    check_tensor({"cells", 4, kInt32, Role::output}, cells, Purpose::run);
    check_as("cells", *cells, *x, kOfX);
    check_extent("cells", *cells, 3, checked.dk, "the dk of x");
    check_memory(checked, x, "cells", cells);
    checked.cells = make_view(cells);
    return checked;
}

CheckedCodes check_decode(const zeta_tensor *codes, const zeta_tensor *cells) {
    CheckedCodes checked;
    check_tensor({"codes", 3, kUint64, Role::input}, codes, Purpose::run);
    check_tensor({"cells", 4, kInt32, Role::output}, cells, Purpose::run);
    checked.dk = check_dk("cells", *cells);
    check_as("cells", *cells, *codes, kOfCodes);
    checked.batches = codes->shape[0];
    checked.heads = codes->shape[1];
    checked.rows = codes->shape[2];
    Overlaps overlaps;
    overlaps.input("codes", codes);
    overlaps.output("cells", cells);
    checked.codes = make_view(codes);
    checked.cells = make_view(cells);
    return checked;
}

} // namespace zeta::api
