/* SPDX-License-Identifier: Apache-2.0 */
/* A child after fork() goes on using its parent's contexts, of one thread and of four, with the same bits; and makes
 * and destroys contexts of its own. */
#define _POSIX_C_SOURCE 200112L
#include "call.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG = 3000, WIDTH = 16 }; /* long enough for several tiles and threads */

struct big {
    float q[LONG * DK], v[LONG * WIDTH], out[LONG * WIDTH], grad_q[LONG * DK];
    zeta_tensor q_view, v_view, out_view, grad_q_view;
    void *saved;
    size_t saved_size;
};

static zeta_tensor view(float *data, int64_t channels) {
    int64_t shape[4] = {1, 1, LONG, 0};
    shape[3] = channels;
    return zeta_tensor_contiguous(data, ZETA_F32, 4, shape);
}

static void big_init(struct big *big) {
    unsigned seed = 5;
    size_t i;
    for (i = 0; i < LONG * DK; ++i)
        big->q[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
    for (i = 0; i < LONG * WIDTH; ++i) big->v[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.0f;
    big->q_view = view(big->q, DK);
    big->v_view = view(big->v, WIDTH);
    big->out_view = view(big->out, WIDTH);
    big->grad_q_view = view(big->grad_q, DK);
}

/* Forward and backward; the gradient of out is v. */
static zeta_status big_run(struct big *big, zeta_context *context) {
    zeta_forward_args forward;
    zeta_backward_args backward;
    zeta_status status;
    zeta_forward_args_init(&forward);
    forward.q = forward.k = &big->q_view;
    forward.v = &big->v_view;
    forward.out = &big->out_view;
    if (big->saved == NULL) {
        status = zeta_saved_size(context, NULL, &forward, &big->saved_size);
        if (status != ZETA_OK) return status;
        big->saved = malloc(big->saved_size);
    }
    forward.saved = big->saved;
    forward.saved_size = big->saved_size;
    status = zeta_forward(context, NULL, &forward);
    if (status != ZETA_OK) return status;
    zeta_backward_args_init(&backward);
    backward.q = backward.k = &big->q_view;
    backward.v = backward.grad_out = &big->v_view;
    backward.grad_q = &big->grad_q_view;
    backward.saved = big->saved;
    backward.saved_size = big->saved_size;
    return zeta_backward(context, NULL, &backward);
}

/* 0 if the child computes the same bits as its parent did. */
static int child(struct big *big, zeta_context *context) {
    static float out[LONG * WIDTH], grad_q[LONG * DK];
    zeta_context_params params;
    zeta_context *fresh = NULL;
    memcpy(out, big->out, sizeof out);
    memcpy(grad_q, big->grad_q, sizeof grad_q);
    memset(big->out, 0, sizeof out);
    memset(big->grad_q, 0, sizeof grad_q);
    if (big_run(big, context) != ZETA_OK) return 2;
    if (memcmp(out, big->out, sizeof out) != 0 || memcmp(grad_q, big->grad_q, sizeof grad_q) != 0) return 3;
    zeta_context_destroy(&context);
    if (context != NULL) return 4;
    zeta_context_params_init(&params);
    params.threads = 2;
    if (zeta_context_create(&fresh, &params) != ZETA_OK) return 5;
    if (big_run(big, fresh) != ZETA_OK) return 6;
    if (memcmp(out, big->out, sizeof out) != 0) return 7;
    zeta_context_destroy(&fresh);
    return 0;
}

static void test_with(int threads) {
    struct big *big = calloc(1, sizeof *big);
    zeta_context_params params;
    zeta_context *context = NULL;
    char detail[64];
    int state = 0;
    pid_t pid;
    big_init(big);
    zeta_context_params_init(&params);
    params.threads = threads;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    CHECK_STATUS(big_run(big, context), ZETA_OK, "before fork");
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(60); /* a child that hangs must not hang the tests */
        _exit(child(big, context));
    }
    CHECK(pid > 0);
    CHECK(waitpid(pid, &state, 0) == pid);
    snprintf(detail, sizeof detail, "child of %d threads: %s %d", threads, WIFEXITED(state) ? "exit" : "signal",
             WIFEXITED(state) ? WEXITSTATUS(state) : WTERMSIG(state));
    CHECK_WITH(WIFEXITED(state) && WEXITSTATUS(state) == 0, detail);
    CHECK_STATUS(big_run(big, context), ZETA_OK, "the parent after fork");
    zeta_context_destroy(&context);
    free(big->saved);
    free(big);
}

void test_fork(void) {
    test_with(1);
    test_with(4);
}
