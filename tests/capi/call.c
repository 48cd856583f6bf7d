/* SPDX-License-Identifier: Apache-2.0 */
/* The legal call that tests spoil. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

int failures = 0;

const char *const function_names[FUNCTIONS] = {
    "zeta_forward",
    "zeta_backward",
    "zeta_dense_forward",
    "zeta_attend_neighbours",
    "zeta_attend_neighbours_backward",
    "zeta_select",
    "zeta_recall",
    "zeta_codes_encode",
    "zeta_codes_cells",
    "zeta_codes_decode",
    "zeta_forward_scratch_size",
    "zeta_backward_scratch_size",
    "zeta_saved_size",
    "zeta_dense_scratch_size",
    "zeta_attend_neighbours_scratch_size",
    "zeta_attend_neighbours_backward_scratch_size",
};

void report_failure(const char *file, int line, const char *text, const char *detail) {
    ++failures;
    fprintf(stderr, "%s:%d: failed: %s %s (last error: %s)\n", file, line, text, detail, zeta_last_error());
}

void check_status(const char *file, int line, zeta_status status, zeta_status expected, const char *detail) {
    char text[128];
    if (status == expected) return;
    snprintf(text, sizeof text, "%s is not %s", zeta_status_name(status), zeta_status_name(expected));
    report_failure(file, line, text, detail);
}

static void fill(float *data, size_t count, unsigned seed) {
    size_t i;
    for (i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

static zeta_tensor view(void *data, int32_t dtype, int32_t rank, int64_t heads, int64_t rows, int64_t channels) {
    int64_t shape[4];
    shape[0] = B;
    shape[1] = heads;
    shape[2] = rows;
    shape[3] = channels;
    return zeta_tensor_contiguous(data, dtype, rank, shape);
}

static void init_tensors(struct call *call) {
    const int64_t heads = H;
    struct outputs *o = &call->outputs;
    call->q = view(call->q_data, ZETA_F32, 4, H, N, DK);
    call->k = view(call->k_data, ZETA_F32, 4, G, M, DK);
    call->v = view(call->v_data, ZETA_F32, 4, G, M, DV);
    call->grad_out = view(call->grad_out_data, ZETA_F32, 4, H, N, DV);
    call->given = view(call->given_data, ZETA_I32, 4, H, N, K);
    call->codes_in = view(call->codes_data, ZETA_U64, 3, H, N, 0);
    call->out = view(o->out, ZETA_F32, 4, H, N, DV);
    call->normaliser = view(o->normaliser, ZETA_F32, 3, H, N, 0);
    call->neighbours = view(o->neighbours, ZETA_I32, 4, H, N, K);
    call->distances = view(o->distances, ZETA_F32, 4, H, N, K);
    call->codes = view(o->codes, ZETA_U64, 3, H, N, 0);
    call->cells = view(o->cells, ZETA_I32, 4, H, N, DK);
    call->grad_q = view(o->grad_q, ZETA_F32, 4, H, N, DK);
    call->grad_k = view(o->grad_k, ZETA_F32, 4, G, M, DK);
    call->grad_v = view(o->grad_v, ZETA_F32, 4, G, M, DV);
    call->grad_gamma = zeta_tensor_contiguous(o->grad_gamma, ZETA_F32, 1, &heads);
}

static void init_data(struct call *call) {
    int i;
    fill(call->q_data, B * H * N * DK, 1);
    fill(call->k_data, B * G * M * DK, 2);
    fill(call->v_data, B * G * M * DV, 3);
    fill(call->grad_out_data, B * H * N * DV, 4);
    for (i = 0; i < B * H * N; ++i) { /* query i stands at i + 3 and may search 0 .. i + 2 */
        call->given_data[i * K] = i % N;
        call->given_data[i * K + 1] = 2;
        call->given_data[i * K + 2] = call->given_data[i * K + 3] = -1;
        call->codes_data[i] = (uint64_t)i * 12345678901u;
    }
    for (i = 0; i < H; ++i) call->gamma[i] = 1.0f + (float)i;
    for (i = 0; i < H * DK; ++i) {
        call->scale[i] = 1.0f;
        call->lo[i] = -1.0f;
        call->hi[i] = 1.0f;
    }
    call->q_lengths[0] = 2;
    call->q_lengths[1] = 0;
    call->q_lengths[2] = N - 2;
    call->k_lengths[0] = 3;
    call->k_lengths[1] = 1;
    call->k_lengths[2] = M - 4;
}

static void init_args(struct call *call) {
    zeta_attention_params_init(&call->params);
    call->params.neighbours = K;
    zeta_forward_args_init(&call->forward);
    call->forward.q = &call->q;
    call->forward.k = &call->k;
    call->forward.v = &call->v;
    call->forward.out = &call->out;
    call->forward.normaliser = &call->normaliser;
    call->forward.neighbours = &call->neighbours;
    zeta_backward_args_init(&call->backward);
    call->backward.q = &call->q;
    call->backward.k = &call->k;
    call->backward.v = &call->v;
    call->backward.grad_out = &call->grad_out;
    call->backward.grad_q = &call->grad_q;
    call->backward.grad_k = &call->grad_k;
    call->backward.grad_v = &call->grad_v;
    call->backward.grad_gamma = &call->grad_gamma;
    call->params_pointer = &call->params;
    call->forward_pointer = &call->forward;
    call->backward_pointer = &call->backward;
    call->grid_pointer = &call->grid;
    call->given_pointer = &call->given;
    call->select_neighbours = &call->neighbours;
    call->select_distances = &call->distances;
    call->x_pointer = &call->q;
    call->codes_pointer = &call->codes;
    call->codes_in_pointer = &call->codes_in;
    call->cells_pointer = &call->cells;
    call->recall = &call->outputs.recall;
    call->recall_per_head = call->outputs.recall_per_head;
    call->size_pointer = &call->size;
}

void call_reset_outputs(struct call *call) {
    memset(&call->canary, 0xa5, sizeof call->canary);
    memset(&call->outputs, 0xa5, sizeof call->outputs);
}

int call_outputs_untouched(const struct call *call) {
    return memcmp(&call->canary, &call->outputs, sizeof call->canary) == 0;
}

/* Runs a forward function that fills `saved`, and leaves the arguments as they were. */
static void save_state(struct call *call, enum function function, void *saved, size_t *size) {
    const zeta_forward_args before = call->forward;
    if (function == GIVEN) call->forward.neighbours = NULL;
    CHECK_STATUS(zeta_saved_size(call->context, &call->params, &call->forward, size), ZETA_OK, "");
    if (*size > sizeof call->saved) {
        fprintf(stderr, "the tests' saved buffer is too small: %lu bytes are needed\n", (unsigned long)*size);
        exit(1);
    }
    call->forward.saved = saved;
    call->forward.saved_size = *size;
    CHECK_STATUS(call_run(call, function), ZETA_OK, function_names[function]);
    call->forward = before;
}

void call_init(struct call *call, zeta_context *context, enum saving saving) {
    size_t size = 0;
    memset(call, 0, sizeof *call);
    call->context = context;
    init_tensors(call);
    init_data(call);
    init_args(call);
    if (saving == SAVED_EXACT) call->params.select = ZETA_SELECT_EXACT;
    if (saving != NOT_SAVED) {
        save_state(call, GIVEN, call->given_saved, &size);
        save_state(call, FORWARD, call->saved, &size);
        call->backward.saved = call->saved;
        call->backward.saved_size = size;
    }
    call_reset_outputs(call);
}

/* zeta_attend_neighbours gives no neighbours back, zeta_dense_forward saves nothing. */
static zeta_status run_forward(struct call *call, enum function function) {
    zeta_forward_args args = call->forward;
    const zeta_forward_args *pointer = call->forward_pointer == &call->forward ? &args : call->forward_pointer;
    if (function != FORWARD && args.neighbours == &call->neighbours) args.neighbours = NULL;
    if (function == DENSE_SCRATCH)
        return zeta_dense_scratch_size(call->context, call->params_pointer, pointer, call->size_pointer);
    if (function == GIVEN_SCRATCH)
        return zeta_attend_neighbours_scratch_size(call->context, call->params_pointer, call->given_pointer, pointer,
                                                   call->size_pointer);
    if (function == DENSE) return zeta_dense_forward(call->context, call->params_pointer, pointer);
    if (function == GIVEN)
        return zeta_attend_neighbours(call->context, call->params_pointer, call->given_pointer, pointer);
    return zeta_forward(call->context, call->params_pointer, pointer);
}

static zeta_status run_backward(struct call *call, enum function function) {
    zeta_backward_args args = call->backward;
    const zeta_backward_args *pointer = call->backward_pointer == &call->backward ? &args : call->backward_pointer;
    if (function == BACKWARD) return zeta_backward(call->context, call->params_pointer, pointer);
    if (args.saved == call->saved) args.saved = call->given_saved;
    return zeta_attend_neighbours_backward(call->context, call->params_pointer, call->given_pointer, pointer);
}

zeta_status call_run(struct call *call, enum function function) {
    switch (function) {
    case FORWARD:
    case DENSE:
    case GIVEN:
    case DENSE_SCRATCH:
    case GIVEN_SCRATCH:
        return run_forward(call, function);
    case BACKWARD:
    case GIVEN_BACKWARD:
        return run_backward(call, function);
    case SELECT:
        return zeta_select(call->context, call->params_pointer, call->forward.q, call->forward.k,
                           call->select_neighbours, call->select_distances);
    case RECALL:
        return zeta_recall(call->context, call->params_pointer, call->forward.q, call->forward.k, call->recall,
                           call->recall_per_head);
    case ENCODE:
        return zeta_codes_encode(call->context, call->grid_pointer, call->x_pointer, call->codes_pointer);
    case CELLS:
        return zeta_codes_cells(call->context, call->grid_pointer, call->x_pointer, call->cells_pointer);
    case DECODE:
        return zeta_codes_decode(call->context, call->codes_in_pointer, call->cells_pointer);
    case FORWARD_SCRATCH:
        return zeta_forward_scratch_size(call->context, call->params_pointer, call->forward_pointer,
                                         call->size_pointer);
    case BACKWARD_SCRATCH:
        return zeta_backward_scratch_size(call->context, call->params_pointer, call->backward_pointer,
                                          call->size_pointer);
    case SAVED_SIZE:
        return zeta_saved_size(call->context, call->params_pointer, call->forward_pointer, call->size_pointer);
    case GIVEN_BACKWARD_SCRATCH:
        return zeta_attend_neighbours_backward_scratch_size(call->context, call->params_pointer, call->given_pointer,
                                                            call->backward_pointer, call->size_pointer);
    default:
        return ZETA_ERROR_INTERNAL;
    }
}
