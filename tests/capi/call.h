/* SPDX-License-Identifier: Apache-2.0 */
/* A small legal call of every public function, with its memory; a test spoils one thing and sees what happens. Outputs
 * are filled with canary bytes, so that a write by a refused call shows. */
#ifndef ZETA_TESTS_CAPI_CALL_H
#define ZETA_TESTS_CAPI_CALL_H

#include <stdio.h>

#include "zeta/zeta.h"

enum { B = 2, H = 4, G = 2, N = 9, M = 12, DK = 3, DV = 5, K = 4 };

/* Every function that takes a context and tensors. */
enum function {
    FORWARD,
    BACKWARD,
    DENSE,
    GIVEN,
    GIVEN_BACKWARD,
    SELECT,
    RECALL,
    ENCODE,
    CELLS,
    DECODE,
    FORWARD_SCRATCH,
    BACKWARD_SCRATCH,
    SAVED_SIZE,
    DENSE_SCRATCH,
    GIVEN_SCRATCH,
    GIVEN_BACKWARD_SCRATCH,
    FUNCTIONS
};

extern const char *const function_names[FUNCTIONS];

/* Memory that calls write. */
struct outputs {
    float out[B * H * N * DV], normaliser[B * H * N], distances[B * H * N * K];
    int32_t neighbours[B * H * N * K], cells[B * H * N * DK];
    uint64_t codes[B * H * N];
    float grad_q[B * H * N * DK], grad_k[B * G * M * DK], grad_v[B * G * M * DV], grad_gamma[H];
    double recall;
    float recall_per_head[H];
};

struct call {
    zeta_context *context;
    float q_data[B * H * N * DK], k_data[B * G * M * DK], v_data[B * G * M * DV], grad_out_data[B * H * N * DV];
    int32_t given_data[B * H * N * K];
    uint64_t codes_data[B * H * N];
    struct outputs outputs, canary;
    zeta_tensor q, k, v, out, normaliser, neighbours, distances, given, codes, codes_in, cells;
    zeta_tensor grad_out, grad_q, grad_k, grad_v, grad_gamma;
    const zeta_tensor *given_pointer, *select_neighbours, *select_distances, *x_pointer, *codes_pointer,
        *codes_in_pointer;
    const zeta_tensor *cells_pointer;
    double *recall;
    float *recall_per_head;
    size_t size, *size_pointer;
    float gamma[H], scale[H * DK], lo[H * DK], hi[H * DK];
    int64_t q_lengths[3], k_lengths[3];
    zeta_attention_params params;
    const zeta_attention_params *params_pointer;
    zeta_forward_args forward;
    const zeta_forward_args *forward_pointer;
    zeta_backward_args backward;
    const zeta_backward_args *backward_pointer;
    zeta_grid grid;
    const zeta_grid *grid_pointer;
    uint64_t saved[4096], given_saved[4096], scratch[64]; /* 64-bit: aligned */
};

/* Whether forward calls make the saved states of the backward functions, and by which selection. */
enum saving { NOT_SAVED, SAVED, SAVED_EXACT };

/* A legal call on `context`. */
void call_init(struct call *call, zeta_context *context, enum saving saving);

/* Calls one function as `call` says. */
zeta_status call_run(struct call *call, enum function function);

void call_reset_outputs(struct call *call);
int call_outputs_untouched(const struct call *call);

/* Failed checks so far; each is printed to stderr. */
extern int failures;
void report_failure(const char *file, int line, const char *text, const char *detail);

#define CHECK_WITH(condition, detail)                                                                                  \
    do {                                                                                                               \
        if (!(condition)) report_failure(__FILE__, __LINE__, #condition, detail);                                      \
    } while (0)
#define CHECK(condition) CHECK_WITH(condition, "")

/* Checks a status and prints the sentence if it is another. */
#define CHECK_STATUS(expression, expected, detail) check_status(__FILE__, __LINE__, expression, expected, detail)
void check_status(const char *file, int line, zeta_status status, zeta_status expected, const char *detail);

/* The tests, one a file. */
void test_arguments(void);
void test_options(void);
void test_tensors(void);
void test_threads(void);
void test_allocator(void);
void test_context(void);
void test_statuses(void);
void test_callbacks(void);
void test_fork(void);
void test_cache_arguments(void);
void test_cache_use(void);
void test_cache_allocator(void);

#endif
