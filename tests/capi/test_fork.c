/* SPDX-License-Identifier: Apache-2.0 */
/* A child after fork() goes on using its parent's contexts, of one thread and of four, with the same bits, in every
 * function; and makes and destroys contexts of its own. */
#define _POSIX_C_SOURCE 200112L
#include "big.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every function of a small call; the number of those whose outputs differ from `outputs`, or have none if `note`. */
static int all_functions(struct call *call, struct outputs *outputs, int note) {
    int function, wrong = 0;
    for (function = 0; function < FUNCTIONS; ++function) {
        call_reset_outputs(call);
        if (call_run(call, (enum function)function) != ZETA_OK) ++wrong;
        if (note) outputs[function] = call->outputs;
        if (memcmp(&outputs[function], &call->outputs, sizeof call->outputs) != 0) ++wrong;
    }
    return wrong;
}

/* 0 if the child computes the same bits as its parent did. */
static int child(struct big *big, struct call *call, struct outputs *outputs, zeta_context *context) {
    static float out[LONG * WIDTH], grad_q[LONG * DK];
    zeta_context_params params;
    zeta_context *fresh = NULL;
    memcpy(out, big->out, sizeof out);
    memcpy(grad_q, big->grad_q, sizeof grad_q);
    memset(big->out, 0, sizeof out);
    memset(big->grad_q, 0, sizeof grad_q);
    if (big_run(big, context) != ZETA_OK) return 2;
    if (memcmp(out, big->out, sizeof out) != 0 || memcmp(grad_q, big->grad_q, sizeof grad_q) != 0) return 3;
    if (all_functions(call, outputs, 0) != 0) return 8;
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
    struct call *call = malloc(sizeof *call);
    struct outputs *outputs = malloc(FUNCTIONS * sizeof *outputs);
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
    call_init(call, context, SAVED);
    CHECK(all_functions(call, outputs, 1) == 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(60); /* a child that hangs must not hang the tests */
        state = child(big, call, outputs, context);
        free(big->saved);
        free(big);
        free(call);
        free(outputs);
        _exit(state);
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
    free(call);
    free(outputs);
}

void test_fork(void) {
    test_with(1);
    test_with(4);
}
