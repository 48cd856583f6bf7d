/* SPDX-License-Identifier: Apache-2.0 */
/* Each option of zeta_attention_params and zeta_grid out of its range, in every function that takes it; and params
 * NULL. */
#include "bad.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS (FORWARDS | BACKWARDS | ONLY(SELECT)) /* of tensors */

static void set_gamma(struct call *c, float value) {
    c->params.gamma = c->gamma;
    c->params.gamma_count = H;
    c->gamma[3] = value;
}

/* The grid of attention calls and that of the codes functions. */
static void set_grid(struct call *c, int32_t kind, int32_t heads) {
    c->grid.kind = kind;
    c->grid.heads = heads;
    c->grid.scale = c->scale;
    c->grid.lo = c->lo;
    c->grid.hi = c->hi;
    c->params.grid = c->grid;
}

static void set_range(struct call *c, float lo, float hi) {
    set_grid(c, ZETA_GRID_RANGE, G);
    c->lo[5] = lo;
    c->hi[5] = hi;
}

static void pack(struct call *c) {
    zeta_tensor *tensors[11];
    size_t i;
    tensors[0] = &c->q;
    tensors[1] = &c->k;
    tensors[2] = &c->v;
    tensors[3] = &c->out;
    tensors[4] = &c->normaliser;
    tensors[5] = &c->neighbours;
    tensors[6] = &c->distances;
    tensors[7] = &c->grad_out;
    tensors[8] = &c->grad_q;
    tensors[9] = &c->grad_k;
    tensors[10] = &c->grad_v;
    for (i = 0; i < 11; ++i) tensors[i]->shape[0] = 1;
    c->given.shape[0] = 1;
    c->params.sequences = 3;
    c->params.q_lengths = c->q_lengths;
    c->params.k_lengths = c->k_lengths;
}

SPOIL(older, c->params.struct_size = sizeof c->params - 8)
SPOIL(newer, c->params.struct_size = sizeof c->params + 8)
SPOIL(not_initialised, c->params.struct_size = 0)
SPOIL(misaligned, c->params_pointer = (const zeta_attention_params *)(const void *)((char *)&c->params + 4))
SPOIL(neighbours_0, c->params.neighbours = 0)
SPOIL(neighbours_1025, c->params.neighbours = 1025)
SPOIL(window_3, c->params.window = 3)
SPOIL(window_negative, c->params.window = -1)
SPOIL(window_65537, c->params.window = 65537)
SPOIL(select_2, c->params.select = 2)
SPOIL(score_5, c->params.score = 5)
SPOIL(causal_2, c->params.causal = 2)
SPOIL(mean_2, c->params.mean = 2)
SPOIL(chunk_0, c->params.chunk = 0)
SPOIL(local_negative, c->params.local = -2)
SPOIL(local_large, c->params.local = ZETA_MAX_KEYS + 1)
SPOIL(local_free, c->params.causal = 0; c->params.local = 1)
SPOIL(first_negative, c->params.first = -1)
SPOIL(gamma_count_3, c->params.gamma = c->gamma; c->params.gamma_count = 3)
SPOIL(gamma_count_null, c->params.gamma_count = 1)
SPOIL(gamma_misaligned, c->params.gamma = (float *)(void *)((char *)c->gamma + 1); c->params.gamma_count = 1)
SPOIL(gamma_0, set_gamma(c, 0.0f))
SPOIL(gamma_negative, set_gamma(c, -1.0f))
SPOIL(gamma_nan, set_gamma(c, NAN))
SPOIL(gamma_infinite, set_gamma(c, INFINITY))
SPOIL(gamma_large, set_gamma(c, 1073741952.0f)) /* the float above 2^30 */
SPOIL(grid_misaligned, c->grid_pointer = (const zeta_grid *)(const void *)((char *)&c->grid + 4))
SPOIL(grid_kind, set_grid(c, 2, 0))
SPOIL(grid_heads, set_grid(c, ZETA_GRID_SQUASH, 3))
SPOIL(grid_heads_negative, set_grid(c, ZETA_GRID_SQUASH, -1))
SPOIL(scale_0, set_grid(c, ZETA_GRID_SQUASH, 0); c->scale[0] = 0.0f)
SPOIL(scale_nan, set_grid(c, ZETA_GRID_SQUASH, G); c->scale[5] = NAN)
SPOIL(scale_infinite, set_grid(c, ZETA_GRID_SQUASH, G); c->scale[5] = INFINITY)
SPOIL(scale_misaligned, set_grid(c, ZETA_GRID_SQUASH, 0);
      c->grid.scale = c->params.grid.scale = (const float *)(const void *)((char *)c->scale + 2))
SPOIL(lo_misaligned, set_range(c, 0.0f, 1.0f);
      c->grid.lo = c->params.grid.lo = (const float *)(const void *)((char *)c->lo + 1))
SPOIL(hi_misaligned, set_range(c, 0.0f, 1.0f);
      c->grid.hi = c->params.grid.hi = (const float *)(const void *)((char *)c->hi + 3))
SPOIL(lo_nan, set_range(c, NAN, 1.0f))
SPOIL(hi_infinite, set_range(c, 0.0f, INFINITY))
SPOIL(lo_above_hi, set_range(c, 1.0f, 1.0f))
SPOIL(span_infinite, set_range(c, -3e38f, 3e38f))
SPOIL(sequences_negative, c->params.sequences = -1)
SPOIL(sequences_batches, c->params.sequences = 3; c->params.q_lengths = c->q_lengths)
SPOIL(lengths_missing, c->params.sequences = 3)
SPOIL(lengths_unasked, c->params.q_lengths = c->q_lengths)
SPOIL(q_lengths_misaligned, pack(c); c->params.q_lengths = (const int64_t *)(const void *)((char *)c->q_lengths + 4))
SPOIL(k_lengths_misaligned, pack(c); c->params.k_lengths = (const int64_t *)(const void *)((char *)c->k_lengths + 4))
SPOIL(k_lengths_unasked, c->params.k_lengths = c->k_lengths)
SPOIL(lengths_negative, pack(c); c->q_lengths[1] = -1)
SPOIL(lengths_short, pack(c); c->q_lengths[0] = 1)
SPOIL(lengths_long, pack(c); c->q_lengths[0] = 3)
SPOIL(lengths_k, pack(c); c->k_lengths[1] = 2)
SPOIL(lengths_k_default, pack(c); c->params.k_lengths = NULL)
SPOIL(lengths_causal, pack(c); c->k_lengths[0] = 1; c->k_lengths[1] = 3)
SPOIL(lengths_most, pack(c); c->q_lengths[0] = ZETA_MAX_KEYS + 1; c->params.k_lengths = NULL)
SPOIL(lengths_most_k, pack(c); c->k_lengths[0] = ZETA_MAX_KEYS + 1)
SPOIL(lengths_overflow, pack(c); c->q_lengths[0] = c->q_lengths[1] = INT64_MAX)

/* The first output of each function is where an option's numbers are. */
static void write_on(struct call *c, const void *numbers) {
    c->out.data = c->neighbours.data = c->grad_q.data = c->grad_k.data = c->codes.data = c->cells.data =
        (void *)numbers;
    c->forward.normaliser = c->forward.neighbours = c->select_distances = NULL;
    c->backward.grad_k = c->backward.grad_v = c->backward.grad_gamma = NULL;
}
SPOIL(on_gamma, set_gamma(c, 1.0f); write_on(c, c->gamma))
SPOIL(on_scale, set_grid(c, ZETA_GRID_SQUASH, G); write_on(c, c->scale))
SPOIL(on_lo, set_range(c, 0.0f, 1.0f); write_on(c, c->lo))
SPOIL(on_hi, set_range(c, 0.0f, 1.0f); write_on(c, c->hi + 1))
SPOIL(on_q_lengths, pack(c); write_on(c, c->q_lengths))
SPOIL(on_k_lengths, pack(c); write_on(c, c->k_lengths))

static void test_defaults(void) {
    struct call *call = malloc(sizeof *call);
    zeta_context *context = NULL;
    int function;
    CHECK_STATUS(zeta_context_create(&context, NULL), ZETA_OK, "");
    for (function = 0; function < FUNCTIONS; ++function) {
        call_init(call, context, NOT_SAVED);
        if (function == BACKWARD || function == GIVEN_BACKWARD) continue; /* their saved state belongs to params */
        if (function == SELECT) continue;                                 /* its tensors have K slots, not 32 */
        call->params_pointer = NULL;
        call->grid_pointer = NULL;
        call->forward.neighbours = NULL;
        CHECK_STATUS(call_run(call, (enum function)function), ZETA_OK, function_names[function]);
    }
    zeta_context_destroy(&context);
    free(call);
}

static const struct bad cases[] = {
    {"older params", ATTENTION, ZETA_ERROR_STRUCT_SIZE, "params.struct_size", older},
    {"newer params", ATTENTION, ZETA_ERROR_STRUCT_SIZE, "params.struct_size", newer},
    {"no init", ATTENTION, ZETA_ERROR_STRUCT_SIZE, "params.struct_size is 0", not_initialised},
    {"params misaligned", ATTENTION, ZETA_ERROR_ARGUMENT, "params is 0x", misaligned},
    {"neighbours", ATTENTION, ZETA_ERROR_ARGUMENT, "neighbours is 0", neighbours_0},
    {"neighbours", ATTENTION, ZETA_ERROR_ARGUMENT, "neighbours is 1025", neighbours_1025},
    {"window", ATTENTION, ZETA_ERROR_ARGUMENT, "window is 3 but neighbours is 4", window_3},
    {"window", ATTENTION, ZETA_ERROR_ARGUMENT, "window is -1", window_negative},
    {"window", ATTENTION, ZETA_ERROR_ARGUMENT, "window is 65537", window_65537},
    {"select", ATTENTION, ZETA_ERROR_ARGUMENT, "select is 2", select_2},
    {"score", ATTENTION, ZETA_ERROR_ARGUMENT, "score is 5", score_5},
    {"causal", ATTENTION, ZETA_ERROR_ARGUMENT, "causal is 2", causal_2},
    {"mean", ATTENTION, ZETA_ERROR_ARGUMENT, "mean is 2", mean_2},
    {"chunk", ATTENTION, ZETA_ERROR_ARGUMENT, "chunk is 0", chunk_0},
    {"local", ATTENTION, ZETA_ERROR_ARGUMENT, "local is -2", local_negative},
    {"local", ATTENTION, ZETA_ERROR_ARGUMENT, "local is 16777217", local_large},
    {"local, not causal", ATTENTION, ZETA_ERROR_ARGUMENT, "local is 1 but causal is 0", local_free},
    {"first", ATTENTION, ZETA_ERROR_ARGUMENT, "first is -1", first_negative},
    {"gamma_count", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma_count is 3", gamma_count_3},
    {"gamma_count", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma is NULL", gamma_count_null},
    {"gamma misaligned", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma is", gamma_misaligned},
    {"gamma", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma[3] is 0", gamma_0},
    {"gamma", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma[3] is -1", gamma_negative},
    {"gamma", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma[3] is", gamma_nan},
    {"gamma", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma[3] is inf", gamma_infinite},
    {"gamma", ATTENTION, ZETA_ERROR_ARGUMENT, "gamma[3] is", gamma_large},
    {"grid misaligned", CODES, ZETA_ERROR_ARGUMENT, "grid is 0x", grid_misaligned},
    {"grid.kind", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.kind is 2", grid_kind},
    {"grid.heads", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.heads is 3", grid_heads},
    {"grid.heads", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.heads is -1", grid_heads_negative},
    {"grid.scale", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.scale is 0", scale_0},
    {"grid.scale", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.scale[1][2] is", scale_nan},
    {"grid.scale", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.scale[1][2] is inf", scale_infinite},
    {"grid.scale misaligned", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.scale is 0x", scale_misaligned},
    {"grid.lo misaligned", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.lo is 0x", lo_misaligned},
    {"grid.hi misaligned", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.hi is 0x", hi_misaligned},
    {"grid.lo", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.lo[1][2] is", lo_nan},
    {"grid.hi", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.hi[1][2] is inf", hi_infinite},
    {"grid.lo", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "grid.lo[1][2] is 1", lo_above_hi},
    {"hi - lo", ATTENTION | CODES, ZETA_ERROR_ARGUMENT, "hi - lo", span_infinite},
    {"sequences", ATTENTION, ZETA_ERROR_ARGUMENT, "sequences is -1", sequences_negative},
    {"sequences, B 2", ATTENTION, ZETA_ERROR_SHAPE, "sequences is 3 but q has 2 batches", sequences_batches},
    {"q_lengths NULL", ATTENTION, ZETA_ERROR_ARGUMENT, "q_lengths is NULL", lengths_missing},
    {"q_lengths unasked", ATTENTION, ZETA_ERROR_ARGUMENT, "sequences is 0", lengths_unasked},
    {"k_lengths unasked", ATTENTION, ZETA_ERROR_ARGUMENT, "k_lengths is given but sequences is 0", k_lengths_unasked},
    {"q_lengths misaligned", ATTENTION, ZETA_ERROR_ARGUMENT, "q_lengths is 0x", q_lengths_misaligned},
    {"k_lengths misaligned", ATTENTION, ZETA_ERROR_ARGUMENT, "k_lengths is 0x", k_lengths_misaligned},
    {"q_lengths negative", ATTENTION, ZETA_ERROR_SHAPE, "q_lengths[1] is -1", lengths_negative},
    {"q_lengths short", ATTENTION, ZETA_ERROR_SHAPE, "q_lengths add up to 8", lengths_short},
    {"q_lengths long", ATTENTION, ZETA_ERROR_SHAPE, "q_lengths[0] to", lengths_long},
    {"k_lengths", ATTENTION, ZETA_ERROR_SHAPE, "k_lengths", lengths_k},
    {"k_lengths NULL", ATTENTION, ZETA_ERROR_SHAPE, "as q_lengths", lengths_k_default},
    {"k < q", ATTENTION, ZETA_ERROR_SHAPE, "k_lengths[0] is 1 but q_lengths[0] is 2", lengths_causal},
    {"q_lengths, too many keys", ATTENTION, ZETA_ERROR_SHAPE, "q_lengths[0] is 16777217: a sequence has", lengths_most},
    {"k_lengths, too many keys", ATTENTION, ZETA_ERROR_SHAPE, "k_lengths[0] is 16777217: a sequence has",
     lengths_most_k},
    {"lengths overflow", ATTENTION, ZETA_ERROR_SHAPE, "lengths", lengths_overflow},
    {"output on gamma", WRITERS, ZETA_ERROR_OVERLAP, " overlaps gamma", on_gamma},
    {"output on scale", WRITERS | ONLY(CELLS), ZETA_ERROR_OVERLAP, " overlaps grid.scale", on_scale},
    {"output on lo", WRITERS | ONLY(CELLS), ZETA_ERROR_OVERLAP, " overlaps grid.lo", on_lo},
    {"output on hi", WRITERS | ONLY(CELLS), ZETA_ERROR_OVERLAP, " overlaps grid.hi", on_hi},
    {"output on q_lengths", WRITERS, ZETA_ERROR_OVERLAP, " overlaps q_lengths", on_q_lengths},
    {"output on k_lengths", WRITERS, ZETA_ERROR_OVERLAP, " overlaps k_lengths", on_k_lengths},
};

void test_options(void) {
    run_bad(cases, sizeof cases / sizeof cases[0]);
    test_defaults();
}
