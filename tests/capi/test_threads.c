/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads at once: each with a context of its own computes in every function what one alone does; on a context
 * that they share each call is served, with the same bits, or refused as busy, with nothing written. */
#include "big.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 6, ROUNDS = 12 };

struct worker {
    pthread_t thread;
    int index;
    zeta_context *own, *shared;
    struct call *call;
    struct big *big;
    const struct outputs *expected; /* [FUNCTIONS] */
    const struct big *expected_big;
    int wrong, served, refused;
};

static zeta_context *create(int threads) {
    zeta_context_params params;
    zeta_context *context = NULL;
    zeta_context_params_init(&params);
    params.threads = threads;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    return context;
}

static void run_own(struct worker *worker, enum function function) {
    worker->call->context = worker->own;
    call_reset_outputs(worker->call);
    if (call_run(worker->call, function) != ZETA_OK) ++worker->wrong;
    if (memcmp(&worker->call->outputs, &worker->expected[function], sizeof(struct outputs)) != 0) ++worker->wrong;
}

static void run_shared(struct worker *worker, enum function function) {
    zeta_status status;
    worker->call->context = worker->shared;
    call_reset_outputs(worker->call);
    status = call_run(worker->call, function);
    if (status == ZETA_OK) {
        ++worker->served;
        if (memcmp(&worker->call->outputs, &worker->expected[function], sizeof(struct outputs)) != 0) ++worker->wrong;
    } else {
        ++worker->refused;
        if (status != ZETA_ERROR_BUSY || strstr(zeta_last_error(), "the context is serving another call") == NULL)
            ++worker->wrong;
        if (!call_outputs_untouched(worker->call)) ++worker->wrong;
    }
}

static void run_big(struct worker *worker) {
    memset(worker->big->out, 0, sizeof worker->big->out);
    memset(worker->big->grad_q, 0, sizeof worker->big->grad_q);
    if (big_run(worker->big, worker->own) != ZETA_OK) ++worker->wrong;
    if (memcmp(worker->big->out, worker->expected_big->out, sizeof worker->big->out) != 0) ++worker->wrong;
    if (memcmp(worker->big->grad_q, worker->expected_big->grad_q, sizeof worker->big->grad_q) != 0) ++worker->wrong;
}

static void *work(void *user) {
    struct worker *worker = user;
    int round, i;
    for (round = 0; round < ROUNDS; ++round) {
        for (i = 0; i < FUNCTIONS; ++i) { /* each begins with another function */
            const enum function function = (enum function)((i + worker->index * 3) % FUNCTIONS);
            run_own(worker, function);
            run_shared(worker, function);
        }
        if (round % 4 == 0) run_big(worker);
    }
    return NULL;
}

static void start(struct worker *worker, int index, zeta_context *shared, const struct outputs *expected,
                  const struct big *expected_big) {
    worker->index = index;
    worker->own = create(1 + index % 3);
    worker->shared = shared;
    worker->call = malloc(sizeof *worker->call);
    worker->big = calloc(1, sizeof *worker->big);
    worker->expected = expected;
    worker->expected_big = expected_big;
    call_init(worker->call, worker->own, SAVED);
    big_init(worker->big);
}

static void end(struct worker *worker) {
    CHECK(worker->wrong == 0);
    zeta_context_destroy(&worker->own);
    free(worker->call);
    free(worker->big->saved);
    free(worker->big);
}

void test_threads(void) {
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    struct outputs *expected = malloc(FUNCTIONS * sizeof *expected);
    struct big *expected_big = calloc(1, sizeof *expected_big);
    struct call *call = malloc(sizeof *call);
    zeta_context *shared = create(2);
    int i, served = 0;
    call_init(call, shared, SAVED);
    for (i = 0; i < FUNCTIONS; ++i) {
        call_reset_outputs(call);
        CHECK_STATUS(call_run(call, (enum function)i), ZETA_OK, function_names[i]);
        expected[i] = call->outputs;
    }
    big_init(expected_big);
    CHECK_STATUS(big_run(expected_big, shared), ZETA_OK, "");
    for (i = 0; i < WORKERS; ++i) start(&workers[i], i, shared, expected, expected_big);
    for (i = 0; i < WORKERS; ++i) CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    for (i = 0; i < WORKERS; ++i) CHECK(pthread_join(workers[i].thread, NULL) == 0);
    for (i = 0; i < WORKERS; ++i) {
        served += workers[i].served;
        CHECK(workers[i].served + workers[i].refused == ROUNDS * FUNCTIONS);
        end(&workers[i]);
    }
    CHECK(served > 0);
    CHECK_STATUS(big_run(expected_big, shared), ZETA_OK, "the shared context goes on");
    zeta_context_destroy(&shared);
    free(expected_big->saved);
    free(expected_big);
    free(expected);
    free(call);
    free(workers);
}
