/* SPDX-License-Identifier: Apache-2.0 */
/* Each tensor and pointer of each function spoilt in each documented way. */
#include "bad.h"

#include <stdint.h>
#include <string.h>

#define RUNS_QK (FORWARDS | BACKWARDS | SELECTS) /* look at the data of q and k */

SPOIL(no_context, c->context = NULL)
SPOIL(no_forward_args, c->forward_pointer = NULL)
SPOIL(no_backward_args, c->backward_pointer = NULL)
SPOIL(old_forward_args, c->forward.struct_size = sizeof c->forward - 8)
SPOIL(new_forward_args, c->forward.struct_size = sizeof c->forward + 8)
SPOIL(old_backward_args, c->backward.struct_size = 0)
SPOIL(no_size, c->size_pointer = NULL)
SPOIL(forward_args_misaligned, c->forward_pointer = (const zeta_forward_args *)(const void *)((char *)&c->forward + 4))
SPOIL(backward_args_misaligned,
      c->backward_pointer = (const zeta_backward_args *)(const void *)((char *)&c->backward + 4))
SPOIL(size_misaligned, c->size_pointer = (size_t *)(void *)((char *)&c->size + 2))

SPOIL(no_q, c->forward.q = c->backward.q = NULL)
SPOIL(no_k, c->forward.k = c->backward.k = NULL)
SPOIL(no_v, c->forward.v = c->backward.v = NULL)
SPOIL(no_out, c->forward.out = NULL)
SPOIL(no_grad_out, c->backward.grad_out = NULL)
SPOIL(no_gradient, c->backward.grad_q = c->backward.grad_k = c->backward.grad_v = c->backward.grad_gamma = NULL)
SPOIL(no_neighbours, c->select_neighbours = NULL)
SPOIL(no_recall, c->recall = NULL)
SPOIL(no_x, c->x_pointer = NULL)
SPOIL(no_codes, c->codes_pointer = c->codes_in_pointer = NULL)
SPOIL(no_cells, c->cells_pointer = NULL)

SPOIL(q_no_data, c->q.data = NULL)
SPOIL(k_no_data, c->k.data = NULL)
SPOIL(v_no_data, c->v.data = NULL)
SPOIL(out_no_data, c->out.data = NULL)
SPOIL(given_no_data, c->given.data = NULL)
SPOIL(grad_k_no_data, c->grad_k.data = NULL)
SPOIL(q_misaligned, c->q.data = (char *)c->q.data + 1)
SPOIL(normaliser_misaligned, c->normaliser.data = (char *)c->normaliser.data + 2)
SPOIL(codes_misaligned, c->codes.data = (char *)c->codes.data + 4; c->codes_in.data = (char *)c->codes_in.data + 4)
SPOIL(recall_misaligned, c->recall = (double *)(void *)((char *)c->recall + 4))

SPOIL(per_head_misaligned, c->recall_per_head = (float *)(void *)((char *)c->recall_per_head + 2))
SPOIL(per_head_past_memory, c->recall_per_head = (float *)(UINTPTR_MAX - 7))

SPOIL(q_rank, c->q.rank = 3)
SPOIL(q_negative_rank, c->q.rank = -1)
SPOIL(normaliser_rank, c->normaliser.rank = 4)
SPOIL(grad_gamma_rank, c->grad_gamma.rank = 2)
SPOIL(codes_rank, c->codes.rank = c->codes_in.rank = 4)
SPOIL(q_negative, c->q.shape[2] = -1)
SPOIL(q_overflow, c->q.shape[2] = INT64_MAX / 4)
SPOIL(q_hidden_overflow, c->q.shape[0] = c->q.shape[1] = (int64_t)1 << 33; c->q.shape[2] = 0)
SPOIL(q_far_stride, c->q.stride[1] = INT64_MAX / 2)
SPOIL(q_past_memory, c->q.data = (void *)(UINTPTR_MAX - 63))
SPOIL(dk_zero, c->q.shape[3] = c->k.shape[3] = c->cells.shape[3] = 0)
SPOIL(dk_33, c->q.shape[3] = c->k.shape[3] = c->cells.shape[3] = 33)
SPOIL(k_dk, c->k.shape[3] = 2)
SPOIL(k_batches, c->k.shape[0] = 1)
SPOIL(k_heads, c->k.shape[1] = c->v.shape[1] = 3)
SPOIL(k_no_heads, c->k.shape[1] = c->v.shape[1] = 0)
SPOIL(k_short, c->k.shape[2] = c->v.shape[2] = N - 1)
SPOIL(v_positions, c->v.shape[2] = M - 1)
SPOIL(dv_zero, c->v.shape[3] = 0)
SPOIL(dv_large, c->v.shape[3] = (int64_t)INT32_MAX + 1)
SPOIL(out_channels, c->out.shape[3] = DV - 1)
SPOIL(out_heads, c->out.shape[1] = 1)
SPOIL(normaliser_positions, c->normaliser.shape[2] = N - 1)
SPOIL(neighbours_slots, c->neighbours.shape[3] = K - 1)
SPOIL(distances_slots, c->distances.shape[3] = K + 1)
SPOIL(given_positions, c->given.shape[2] = N - 1)
SPOIL(given_slots, c->given.shape[3] = 1025)
SPOIL(given_no_slots, c->given.shape[3] = 0)
SPOIL(grad_out_positions, c->grad_out.shape[2] = N - 1)
SPOIL(grad_q_positions, c->grad_q.shape[2] = N - 1)
SPOIL(grad_k_heads, c->grad_k.shape[1] = 1)
SPOIL(grad_v_channels, c->grad_v.shape[3] = 1)
SPOIL(grad_gamma_heads, c->grad_gamma.shape[0] = H - 1)
SPOIL(codes_positions, c->codes.shape[2] = c->codes_in.shape[2] = N - 1)
SPOIL(cells_heads, c->cells.shape[1] = H - 1)
SPOIL(too_many_keys, c->params.causal = 0; c->k.shape[2] = c->v.shape[2] = ZETA_MAX_KEYS + 1;
      memset(c->k.stride, 0, 3 * sizeof c->k.stride[0]); memset(c->v.stride, 0, 3 * sizeof c->v.stride[0]);
      c->backward.grad_k = c->backward.grad_v = NULL)

SPOIL(q_last_stride, c->q.stride[3] = 2)
SPOIL(q_negative_stride, c->q.stride[2] = -3)
SPOIL(v_last_stride, c->v.stride[3] = 0)
SPOIL(out_last_stride, c->out.stride[3] = 2)
SPOIL(out_zero_stride, c->out.stride[2] = 0)
SPOIL(neighbours_zero_stride, c->neighbours.stride[0] = 0)
SPOIL(grad_q_zero_stride, c->grad_q.stride[1] = 0)
SPOIL(codes_zero_stride, c->codes.stride[0] = 0)
SPOIL(cells_negative_stride, c->cells.stride[0] = -1)

SPOIL(q_type, c->q.dtype = ZETA_I32)
SPOIL(q_unknown_type, c->q.dtype = 99)
SPOIL(k_type, c->k.dtype = ZETA_BF16)
SPOIL(v_type, c->v.dtype = ZETA_U64)
SPOIL(out_type, c->out.dtype = ZETA_F16)
SPOIL(normaliser_type, c->normaliser.dtype = ZETA_BF16)
SPOIL(neighbours_type, c->neighbours.dtype = ZETA_F32)
SPOIL(given_type, c->given.dtype = ZETA_F32)
SPOIL(distances_type, c->distances.dtype = ZETA_I32)
SPOIL(grad_out_type, c->grad_out.dtype = ZETA_F16)
SPOIL(grad_v_type, c->grad_v.dtype = ZETA_F16)
SPOIL(grad_gamma_type, c->grad_gamma.dtype = ZETA_F16)
SPOIL(codes_type, c->codes.dtype = c->codes_in.dtype = ZETA_I32)
SPOIL(cells_type, c->cells.dtype = ZETA_F32)
SPOIL(q_device, c->q.device = ZETA_CUDA)
SPOIL(q_unknown_device, c->q.device = -1)
SPOIL(cells_device, c->cells.device = ZETA_CUDA)

SPOIL(out_on_q, c->out.data = c->q.data)
SPOIL(out_on_itself, c->out.stride[2] = DV - 1)
SPOIL(normaliser_on_out, c->normaliser.data = c->out.data)
SPOIL(neighbours_on_k, c->neighbours.data = c->k.data)
SPOIL(distances_on_neighbours, c->distances.data = c->neighbours.data)
SPOIL(grad_q_on_grad_out, c->grad_q.data = c->grad_out.data)
SPOIL(grad_k_on_grad_v, c->grad_k.data = c->grad_v.data)
SPOIL(out_on_given, c->out.data = c->given.data)
SPOIL(recall_on_q, c->recall = (double *)(void *)((char *)c->q_data + (8 - (uintptr_t)c->q_data % 8) % 8))
SPOIL(per_head_on_k, c->recall_per_head = c->k_data)
SPOIL(per_head_on_recall, c->recall_per_head = (float *)(void *)c->recall)
SPOIL(codes_on_x, c->codes.data = (char *)c->q_data + (8 - (uintptr_t)c->q_data % 8) % 8)
SPOIL(cells_on_x, c->cells.data = c->q.data)
SPOIL(cells_on_codes, c->cells.data = c->codes_in.data)
SPOIL(scratch_on_out, c->forward.scratch = c->outputs.out; c->forward.scratch_size = sizeof c->outputs.out)
SPOIL(saved_on_out, c->forward.saved = c->outputs.out; c->forward.saved_size = sizeof c->outputs.out)
SPOIL(scratch_on_grad, c->backward.scratch = c->outputs.grad_k; c->backward.scratch_size = 8)

SPOIL(scratch_small, c->forward.scratch = c->scratch; c->forward.scratch_size = 1)
SPOIL(backward_scratch_small, c->backward.scratch = c->scratch; c->backward.scratch_size = 1)
SPOIL(scratch_missing, c->forward.scratch_size = 4096; c->backward.scratch_size = 4096)
SPOIL(saved_small, c->forward.saved = c->saved; c->forward.saved_size = 1)
SPOIL(saved_misaligned, c->forward.saved = (char *)c->saved + 1; c->forward.saved_size = sizeof c->saved - 8)
SPOIL(backward_saved_misaligned, c->backward.saved = (char *)c->saved + 2; c->backward.saved_size = sizeof c->saved - 8)
SPOIL(backward_saved_small, c->backward.saved_size = 1)
SPOIL(backward_saved_missing, c->backward.saved = NULL)
SPOIL(backward_saved_none, c->backward.saved = NULL; c->backward.saved_size = 0)
SPOIL(backward_saved_garbage, memset(c->saved, 0x5a, sizeof c->saved); memset(c->given_saved, 0x5a, sizeof c->saved))
SPOIL(backward_saved_other_params, c->params.first = 1; c->given_data[0] = 1)

SPOIL(given_future, c->given_data[0] = 3)
SPOIL(given_negative, c->given_data[0] = -2)
SPOIL(given_gap, c->given_data[1] = -1; c->given_data[2] = 0)
SPOIL(given_before_first, c->params.first = 2)

static const struct bad missing[] = {
    {"context NULL", ATTENTION | CODES | ONLY(DECODE), ZETA_ERROR_ARGUMENT, "context", no_context},
    {"args NULL", FORWARD_ARGS, ZETA_ERROR_ARGUMENT, "args", no_forward_args},
    {"args NULL", BACKWARD_ARGS, ZETA_ERROR_ARGUMENT, "args", no_backward_args},
    {"older args", FORWARD_ARGS, ZETA_ERROR_STRUCT_SIZE, "args.struct_size", old_forward_args},
    {"newer args", FORWARD_ARGS, ZETA_ERROR_STRUCT_SIZE, "args.struct_size", new_forward_args},
    {"older args", BACKWARD_ARGS, ZETA_ERROR_STRUCT_SIZE, "args.struct_size", old_backward_args},
    {"size NULL", SIZES, ZETA_ERROR_ARGUMENT, "size", no_size},
    {"args misaligned", FORWARD_ARGS, ZETA_ERROR_ARGUMENT, "args is 0x", forward_args_misaligned},
    {"args misaligned", BACKWARD_ARGS, ZETA_ERROR_ARGUMENT, "args is 0x", backward_args_misaligned},
    {"size misaligned", SIZES, ZETA_ERROR_ARGUMENT, "size is 0x", size_misaligned},
    {"q NULL", ATTENTION, ZETA_ERROR_ARGUMENT, "q", no_q},
    {"k NULL", ATTENTION, ZETA_ERROR_ARGUMENT, "k", no_k},
    {"v NULL", ALL_ARGS, ZETA_ERROR_ARGUMENT, "v", no_v},
    {"out NULL", FORWARD_ARGS, ZETA_ERROR_ARGUMENT, "out", no_out},
    {"grad_out NULL", BACKWARD_ARGS, ZETA_ERROR_ARGUMENT, "grad_out", no_grad_out},
    {"no gradient", BACKWARD_ARGS, ZETA_ERROR_ARGUMENT, "grad_gamma", no_gradient},
    {"neighbours NULL", ONLY(SELECT), ZETA_ERROR_ARGUMENT, "neighbours", no_neighbours},
    {"recall NULL", ONLY(RECALL), ZETA_ERROR_ARGUMENT, "recall", no_recall},
    {"x NULL", CODES, ZETA_ERROR_ARGUMENT, "x", no_x},
    {"codes NULL", ONLY(ENCODE) | ONLY(DECODE), ZETA_ERROR_ARGUMENT, "codes", no_codes},
    {"cells NULL", ONLY(CELLS) | ONLY(DECODE), ZETA_ERROR_ARGUMENT, "cells", no_cells},
    {"q no data", RUNS_QK, ZETA_ERROR_ARGUMENT, "q.data", q_no_data},
    {"x no data", CODES, ZETA_ERROR_ARGUMENT, "x.data", q_no_data},
    {"k no data", RUNS_QK, ZETA_ERROR_ARGUMENT, "k.data", k_no_data},
    {"v no data", FORWARDS | BACKWARDS, ZETA_ERROR_ARGUMENT, "v.data", v_no_data},
    {"out no data", FORWARDS, ZETA_ERROR_ARGUMENT, "out.data", out_no_data},
    {"given no data", GIVENS, ZETA_ERROR_ARGUMENT, "neighbours.data", given_no_data},
    {"grad_k no data", BACKWARDS, ZETA_ERROR_ARGUMENT, "grad_k.data", grad_k_no_data},
    {"q misaligned", RUNS_QK, ZETA_ERROR_ARGUMENT, "q.data", q_misaligned},
    {"normaliser misaligned", FORWARDS, ZETA_ERROR_ARGUMENT, "normaliser.data", normaliser_misaligned},
    {"codes misaligned", ONLY(ENCODE) | ONLY(DECODE), ZETA_ERROR_ARGUMENT, "codes.data", codes_misaligned},
    {"recall misaligned", ONLY(RECALL), ZETA_ERROR_ARGUMENT, "recall", recall_misaligned},
    {"recall_per_head misaligned", ONLY(RECALL), ZETA_ERROR_ARGUMENT, "recall_per_head is 0x", per_head_misaligned},
    {"recall_per_head past memory", ONLY(RECALL), ZETA_ERROR_ARGUMENT, "address space", per_head_past_memory},
};

static const struct bad shapes[] = {
    {"q rank", ATTENTION, ZETA_ERROR_SHAPE, "q has rank 3", q_rank},
    {"x rank", CODES, ZETA_ERROR_SHAPE, "x has rank 3", q_rank},
    {"q rank -1", ATTENTION, ZETA_ERROR_SHAPE, "q has rank -1", q_negative_rank},
    {"normaliser rank", FORWARD_ARGS, ZETA_ERROR_SHAPE, "normaliser has rank 4", normaliser_rank},
    {"grad_gamma rank", BACKWARD_ARGS, ZETA_ERROR_SHAPE, "grad_gamma has rank 2", grad_gamma_rank},
    {"codes rank", ONLY(ENCODE) | ONLY(DECODE), ZETA_ERROR_SHAPE, "codes has rank 4", codes_rank},
    {"q negative", ATTENTION, ZETA_ERROR_SHAPE, "extent 2 is negative", q_negative},
    {"q overflow", ATTENTION | CODES, ZETA_ERROR_SHAPE, "overflow", q_overflow},
    {"q hidden overflow", ATTENTION | CODES, ZETA_ERROR_SHAPE, "overflow", q_hidden_overflow},
    {"q far stride", ATTENTION | CODES, ZETA_ERROR_SHAPE, "overflow", q_far_stride},
    {"q past memory", RUNS_QK, ZETA_ERROR_SHAPE, "address space", q_past_memory},
    {"dk 0", ATTENTION | CODES | ONLY(DECODE), ZETA_ERROR_SHAPE, "dk", dk_zero},
    {"dk 33", ATTENTION | CODES | ONLY(DECODE), ZETA_ERROR_SHAPE, "dk", dk_33},
    {"k dk", ATTENTION, ZETA_ERROR_SHAPE, "the dk of q", k_dk},
    {"k batches", ATTENTION, ZETA_ERROR_SHAPE, "the batches of q", k_batches},
    {"k heads", ATTENTION, ZETA_ERROR_SHAPE, "q has 4 heads but k has 3", k_heads},
    {"k no heads", ATTENTION, ZETA_ERROR_SHAPE, "q has 4 heads but k has 0", k_no_heads},
    {"v positions", ALL_ARGS, ZETA_ERROR_SHAPE, "v has shape", v_positions},
    {"dv 0", ALL_ARGS, ZETA_ERROR_SHAPE, "dv", dv_zero},
    {"dv 2^31", ALL_ARGS, ZETA_ERROR_SHAPE, "dv, its last extent, is 2147483648", dv_large},
    {"out channels", FORWARD_ARGS, ZETA_ERROR_SHAPE, "out has shape", out_channels},
    {"out heads", FORWARD_ARGS, ZETA_ERROR_SHAPE, "out has shape", out_heads},
    {"normaliser positions", FORWARD_ARGS, ZETA_ERROR_SHAPE, "normaliser has shape", normaliser_positions},
    {"neighbours slots", ONLY(FORWARD) | ONLY(SELECT) | FORWARD_SIZES, ZETA_ERROR_SHAPE, "neighbours has shape",
     neighbours_slots},
    {"distances slots", ONLY(SELECT), ZETA_ERROR_SHAPE, "distances has shape", distances_slots},
    {"given positions", GIVENS | GIVEN_SIZES, ZETA_ERROR_SHAPE, "neighbours has shape", given_positions},
    {"given slots", GIVENS | GIVEN_SIZES, ZETA_ERROR_SHAPE, "1025", given_slots},
    {"given no slots", GIVENS | GIVEN_SIZES, ZETA_ERROR_SHAPE, "K, its last extent, is 0", given_no_slots},
    {"grad_out positions", BACKWARD_ARGS, ZETA_ERROR_SHAPE, "grad_out has shape", grad_out_positions},
    {"grad_q positions", BACKWARD_ARGS, ZETA_ERROR_SHAPE, "grad_q has shape", grad_q_positions},
    {"grad_k heads", BACKWARD_ARGS, ZETA_ERROR_SHAPE, "grad_k has shape", grad_k_heads},
    {"grad_v channels", BACKWARD_ARGS, ZETA_ERROR_SHAPE, "grad_v has shape", grad_v_channels},
    {"grad_gamma heads", BACKWARD_ARGS, ZETA_ERROR_SHAPE, "grad_gamma has shape", grad_gamma_heads},
    {"codes positions", ONLY(ENCODE) | ONLY(DECODE), ZETA_ERROR_SHAPE, "has shape", codes_positions},
    {"cells heads", ONLY(CELLS) | ONLY(DECODE), ZETA_ERROR_SHAPE, "cells has shape", cells_heads},
    {"M < N", FORWARD_ARGS | SELECTS, ZETA_ERROR_SHAPE, "k has 8 positions but q has 9", k_short},
    {"too many keys", FORWARD_ARGS | BACKWARD_ARGS | SELECTS, ZETA_ERROR_SHAPE, "16777217", too_many_keys},
};

static const struct bad layouts[] = {
    {"q last stride", ATTENTION | CODES, ZETA_ERROR_STRIDE, "stride 2 on its last axis", q_last_stride},
    {"q negative stride", ATTENTION | CODES, ZETA_ERROR_STRIDE, "negative stride -3", q_negative_stride},
    {"v last stride", ALL_ARGS, ZETA_ERROR_STRIDE, "v has stride 0", v_last_stride},
    {"out last stride", FORWARD_ARGS, ZETA_ERROR_STRIDE, "out has stride 2", out_last_stride},
    {"out zero stride", FORWARD_ARGS, ZETA_ERROR_STRIDE, "out has stride 0", out_zero_stride},
    {"neighbours zero stride", ONLY(FORWARD) | ONLY(SELECT) | FORWARD_SIZES, ZETA_ERROR_STRIDE,
     "neighbours has stride 0", neighbours_zero_stride},
    {"grad_q zero stride", BACKWARD_ARGS, ZETA_ERROR_STRIDE, "grad_q has stride 0", grad_q_zero_stride},
    {"codes zero stride", ONLY(ENCODE), ZETA_ERROR_STRIDE, "codes has stride 0", codes_zero_stride},
    {"cells negative stride", ONLY(CELLS) | ONLY(DECODE), ZETA_ERROR_STRIDE, "negative stride -1",
     cells_negative_stride},
    {"q type", ATTENTION | CODES, ZETA_ERROR_DTYPE, "ZETA_I32", q_type},
    {"q unknown type", ATTENTION | CODES, ZETA_ERROR_DTYPE, "99", q_unknown_type},
    {"k type", ATTENTION, ZETA_ERROR_DTYPE, "k has element type ZETA_BF16", k_type},
    {"v type", ALL_ARGS, ZETA_ERROR_DTYPE, "v has element type", v_type},
    {"out type", FORWARD_ARGS, ZETA_ERROR_DTYPE, "out has element type", out_type},
    {"normaliser type", FORWARD_ARGS, ZETA_ERROR_DTYPE, "normaliser has element type", normaliser_type},
    {"neighbours type", ONLY(FORWARD) | ONLY(SELECT) | FORWARD_SIZES, ZETA_ERROR_DTYPE, "neighbours has element type",
     neighbours_type},
    {"given type", GIVENS | GIVEN_SIZES, ZETA_ERROR_DTYPE, "neighbours has element type", given_type},
    {"distances type", ONLY(SELECT), ZETA_ERROR_DTYPE, "distances has element type", distances_type},
    {"grad_out type", BACKWARD_ARGS, ZETA_ERROR_DTYPE, "grad_out has element type", grad_out_type},
    {"grad_v type", BACKWARD_ARGS, ZETA_ERROR_DTYPE, "grad_v has element type", grad_v_type},
    {"grad_gamma type", BACKWARD_ARGS, ZETA_ERROR_DTYPE, "grad_gamma has element type", grad_gamma_type},
    {"codes type", ONLY(ENCODE) | ONLY(DECODE), ZETA_ERROR_DTYPE, "codes has element type", codes_type},
    {"cells type", ONLY(CELLS) | ONLY(DECODE), ZETA_ERROR_DTYPE, "cells has element type", cells_type},
    {"q device", ATTENTION | CODES, ZETA_ERROR_DEVICE, "ZETA_CUDA", q_device},
    {"q unknown device", ATTENTION | CODES, ZETA_ERROR_DEVICE, "-1", q_unknown_device},
    {"cells device", ONLY(CELLS) | ONLY(DECODE), ZETA_ERROR_DEVICE, "cells", cells_device},
};

static const struct bad shared[] = {
    {"out on q", FORWARDS, ZETA_ERROR_OVERLAP, "out overlaps q", out_on_q},
    {"out on itself", FORWARDS, ZETA_ERROR_OVERLAP, "out overlaps itself", out_on_itself},
    {"normaliser on out", FORWARDS, ZETA_ERROR_OVERLAP, "normaliser overlaps out", normaliser_on_out},
    {"neighbours on k", ONLY(FORWARD) | ONLY(SELECT), ZETA_ERROR_OVERLAP, "neighbours overlaps k", neighbours_on_k},
    {"distances on neighbours", ONLY(SELECT), ZETA_ERROR_OVERLAP, "distances overlaps neighbours",
     distances_on_neighbours},
    {"grad_q on grad_out", BACKWARDS, ZETA_ERROR_OVERLAP, "grad_q overlaps grad_out", grad_q_on_grad_out},
    {"grad_k on grad_v", BACKWARDS, ZETA_ERROR_OVERLAP, "grad_v overlaps grad_k", grad_k_on_grad_v},
    {"out on given", ONLY(GIVEN), ZETA_ERROR_OVERLAP, "out overlaps neighbours", out_on_given},
    {"recall on q", ONLY(RECALL), ZETA_ERROR_OVERLAP, "recall overlaps q", recall_on_q},
    {"recall_per_head on k", ONLY(RECALL), ZETA_ERROR_OVERLAP, "recall_per_head overlaps k", per_head_on_k},
    {"recall_per_head on recall", ONLY(RECALL), ZETA_ERROR_OVERLAP, "recall_per_head overlaps recall",
     per_head_on_recall},
    {"codes on x", ONLY(ENCODE), ZETA_ERROR_OVERLAP, "codes overlaps x", codes_on_x},
    {"cells on x", ONLY(CELLS), ZETA_ERROR_OVERLAP, "cells overlaps x", cells_on_x},
    {"cells on codes", ONLY(DECODE), ZETA_ERROR_OVERLAP, "cells overlaps codes", cells_on_codes},
    {"scratch on out", FORWARDS, ZETA_ERROR_OVERLAP, "scratch overlaps out", scratch_on_out},
    {"saved on out", ONLY(FORWARD) | ONLY(GIVEN), ZETA_ERROR_OVERLAP, "saved overlaps out", saved_on_out},
    {"scratch on grad_k", BACKWARDS, ZETA_ERROR_OVERLAP, "scratch overlaps grad_k", scratch_on_grad},
    {"scratch too small", FORWARDS, ZETA_ERROR_SCRATCH, "scratch", scratch_small},
    {"scratch too small", BACKWARDS, ZETA_ERROR_SCRATCH, "scratch", backward_scratch_small},
    {"scratch missing", FORWARDS | BACKWARDS, ZETA_ERROR_ARGUMENT, "scratch is NULL", scratch_missing},
    {"saved too small", ONLY(FORWARD) | ONLY(GIVEN), ZETA_ERROR_SCRATCH, "saved", saved_small},
    {"saved misaligned", ONLY(FORWARD) | ONLY(GIVEN), ZETA_ERROR_ARGUMENT, "saved is", saved_misaligned},
    {"saved misaligned", BACKWARDS, ZETA_ERROR_ARGUMENT, "saved is", backward_saved_misaligned},
    {"saved in dense", ONLY(DENSE), ZETA_ERROR_ARGUMENT, "saved", saved_small},
    {"saved too small", BACKWARDS, ZETA_ERROR_SCRATCH, "saved", backward_saved_small},
    {"saved missing", BACKWARDS, ZETA_ERROR_ARGUMENT, "saved is NULL", backward_saved_missing},
    {"no saved", BACKWARDS, ZETA_ERROR_ARGUMENT, "saved is NULL: zeta_backward needs", backward_saved_none},
    {"saved garbage", BACKWARDS, ZETA_ERROR_SCRATCH, "saved", backward_saved_garbage},
    {"saved of other params", ONLY(BACKWARD), ZETA_ERROR_SCRATCH, "saved", backward_saved_other_params},
    {"given in the future", GIVENS, ZETA_ERROR_ARGUMENT, "neighbours[0][0][0][0] is 3", given_future},
    {"given negative", GIVENS, ZETA_ERROR_ARGUMENT, "neighbours[0][0][0][0] is -2", given_negative},
    {"given gap", GIVENS, ZETA_ERROR_ARGUMENT, "neighbours[0][0][0][2] is 0", given_gap},
    {"given before first", ONLY(GIVEN), ZETA_ERROR_ARGUMENT, "neighbours[0][0][0][0] is 0", given_before_first},
};

void test_arguments(void) {
    run_bad(missing, sizeof missing / sizeof missing[0]);
    run_bad(shapes, sizeof shapes / sizeof shapes[0]);
    run_bad(layouts, sizeof layouts / sizeof layouts[0]);
    run_bad(shared, sizeof shared / sizeof shared[0]);
}
