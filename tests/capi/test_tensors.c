/* SPDX-License-Identifier: Apache-2.0 */
/* Each tensor of each function that takes a context spoilt in each way that spoils any tensor, left out, and put where
 * another one is: a status and a sentence that begins with its name, and nothing written. */
#include "bad.h"
#include "spoil_tensor.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct call, field)
#define NONE ((size_t)-1)

struct place {
    const char *name;
    unsigned functions;
    enum role role;
    size_t tensor;
    size_t pointers[2]; /* that lead to it, of which a function uses one; NONE: no more */
    int optional;
};

static const struct place places[] = {
    {"q", ATTENTION, INPUT, AT(q), {AT(forward.q), AT(backward.q)}, 0},
    {"k", ATTENTION, INPUT, AT(k), {AT(forward.k), AT(backward.k)}, 0},
    {"v", ALL_ARGS, INPUT, AT(v), {AT(forward.v), AT(backward.v)}, 0},
    {"out", FORWARD_ARGS, OUTPUT, AT(out), {AT(forward.out), NONE}, 0},
    {"normaliser", FORWARD_ARGS, OUTPUT, AT(normaliser), {AT(forward.normaliser), NONE}, 1},
    {"neighbours", ONLY(FORWARD) | FORWARD_SIZES, OUTPUT, AT(neighbours), {AT(forward.neighbours), NONE}, 1},
    {"neighbours", ONLY(SELECT), OUTPUT, AT(neighbours), {AT(select_neighbours), NONE}, 0},
    {"distances", ONLY(SELECT), OUTPUT, AT(distances), {AT(select_distances), NONE}, 1},
    {"neighbours", GIVENS | GIVEN_SIZES, INPUT, AT(given), {AT(given_pointer), NONE}, 0},
    {"grad_out", BACKWARD_ARGS, INPUT, AT(grad_out), {AT(backward.grad_out), NONE}, 0},
    {"grad_q", BACKWARD_ARGS, OUTPUT, AT(grad_q), {AT(backward.grad_q), NONE}, 1},
    {"grad_k", BACKWARD_ARGS, OUTPUT, AT(grad_k), {AT(backward.grad_k), NONE}, 1},
    {"grad_v", BACKWARD_ARGS, OUTPUT, AT(grad_v), {AT(backward.grad_v), NONE}, 1},
    {"grad_gamma", BACKWARD_ARGS, OUTPUT, AT(grad_gamma), {AT(backward.grad_gamma), NONE}, 1},
    {"x", CODES, INPUT, AT(q), {AT(x_pointer), NONE}, 0},
    {"codes", ONLY(ENCODE), OUTPUT, AT(codes), {AT(codes_pointer), NONE}, 0},
    {"codes", ONLY(DECODE), INPUT, AT(codes_in), {AT(codes_in_pointer), NONE}, 0},
    {"cells", ONLY(CELLS) | ONLY(DECODE), OUTPUT, AT(cells), {AT(cells_pointer), NONE}, 0},
};
enum { PLACES = sizeof places / sizeof places[0] };

static zeta_tensor *tensor_of(struct call *call, const struct place *place) {
    return (zeta_tensor *)(void *)((char *)call + place->tensor);
}

static void point(struct call *call, const struct place *place, const void *to) {
    int i;
    for (i = 0; i < 2; ++i)
        if (place->pointers[i] != NONE) memcpy((char *)call + place->pointers[i], &to, sizeof to);
}

/* Runs a spoilt call. `other`: a name that the sentence has too. */
static void refuse(struct call *call, enum function function, const struct place *place, const char *how,
                   zeta_status expected, const char *other) {
    char detail[160];
    zeta_status status;
    call->canary = call->outputs;
    call->size = 77;
    snprintf(detail, sizeof detail, "[%s: %s in %s]", place->name, how, function_names[function]);
    status = call_run(call, function);
    CHECK_STATUS(status, expected, detail);
    CHECK_WITH(call_outputs_untouched(call), detail);
    if (status == expected) {
        if (expected != ZETA_ERROR_OVERLAP)
            CHECK_WITH(strncmp(zeta_last_error(), place->name, strlen(place->name)) == 0, detail);
        CHECK_WITH(strstr(zeta_last_error(), place->name) != NULL, detail);
        CHECK_WITH(strstr(zeta_last_error(), other) != NULL, detail);
    }
    if ((SIZES & ONLY(function)) != 0) CHECK_WITH(call->size == 0, detail);
}

static void spoil(struct call *call, zeta_context *context, enum function function, const struct place *place) {
    int i;
    for (i = 0; i < tensor_spoil_count; ++i) {
        const struct tensor_spoil *way = &tensor_spoils[i];
        if (way->where == IN_RUNS && (SIZES & ONLY(function)) != 0) continue;
        if (way->where == IN_OUTPUTS && place->role != OUTPUT) continue;
        call_init(call, context, SAVED);
        way->apply(tensor_of(call, place));
        refuse(call, function, place, way->name, way->status, way->word);
    }
    call_init(call, context, SAVED);
    point(call, place, (char *)tensor_of(call, place) + 4);
    refuse(call, function, place, "view misaligned", ZETA_ERROR_ARGUMENT, " is 0x");
    call_init(call, context, SAVED);
    point(call, place, NULL);
    if (place->optional)
        CHECK_STATUS(call_run(call, function), ZETA_OK, place->name);
    else
        refuse(call, function, place, "left out", ZETA_ERROR_ARGUMENT, " is NULL");
}

/* The output `place` where each other tensor of the function is, if elements of the one may be there. */
static void overlap(struct call *call, zeta_context *context, enum function function, const struct place *place) {
    int i;
    for (i = 0; i < PLACES; ++i) {
        zeta_tensor *tensor, *other;
        if (&places[i] == place || (places[i].functions & ONLY(function)) == 0) continue;
        call_init(call, context, SAVED);
        tensor = tensor_of(call, place);
        other = tensor_of(call, &places[i]);
        tensor->data = other->data;
        if ((uintptr_t)tensor->data % zeta_dtype_size(tensor->dtype) != 0) continue; /* see test_arguments.c */
        refuse(call, function, place, "shares memory", ZETA_ERROR_OVERLAP, places[i].name);
    }
}

/* Saved state and scratch where each tensor of the function is. */
static void overlap_buffers(struct call *call, zeta_context *context, enum function function,
                            const struct place *place) {
    const struct place saved = {"saved", 0, OUTPUT, 0, {NONE, NONE}, 0};
    const struct place scratch = {"scratch", 0, OUTPUT, 0, {NONE, NONE}, 0};
    call_init(call, context, SAVED);
    call->forward.scratch = call->backward.scratch = tensor_of(call, place)->data;
    call->forward.scratch_size = call->backward.scratch_size = 4;
    refuse(call, function, &scratch, "shares memory", ZETA_ERROR_OVERLAP, place->name);
    if (function == DENSE || ((BACKWARDS & ONLY(function)) != 0 && place->role == INPUT)) return;
    call_init(call, context, SAVED);
    call->forward.saved = tensor_of(call, place)->data;
    call->backward.saved = call->forward.saved;
    call->forward.saved_size = 4;
    refuse(call, function, &saved, "shares memory", ZETA_ERROR_OVERLAP, place->name);
}

void test_tensors(void) {
    struct call *call = malloc(sizeof *call);
    zeta_context_params params;
    zeta_context *context = NULL;
    int function, i;
    zeta_context_params_init(&params);
    params.threads = 1;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    for (i = 0; i < PLACES; ++i)
        for (function = 0; function < FUNCTIONS; ++function) {
            if ((places[i].functions & ONLY(function)) == 0) continue;
            spoil(call, context, (enum function)function, &places[i]);
            if (places[i].role == OUTPUT && (SIZES & ONLY(function)) == 0)
                overlap(call, context, (enum function)function, &places[i]);
            if (((FORWARDS | BACKWARDS) & ONLY(function)) != 0)
                overlap_buffers(call, context, (enum function)function, &places[i]);
        }
    zeta_context_destroy(&context);
    free(call);
}
