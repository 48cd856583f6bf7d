/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator that fails at the n-th call, for every n until each function succeeds: ZETA_ERROR_MEMORY, nothing
 * leaked, nothing written. With scratch of the queried size a call asks the allocator for nothing. */
#include "counter.h"

#include <stdlib.h>

static void fail_create(int threads) {
    struct counter counter = {0, 0, 0, 0, 0};
    zeta_context *context = NULL;
    zeta_status status;
    long n = 0;
    do {
        counter.calls = 0;
        counter.fail_at = n++;
        context = (zeta_context *)&counter; /* must become NULL on failure */
        status = counted_context(&context, &counter, threads);
        if (status == ZETA_OK) break;
        CHECK_STATUS(status, ZETA_ERROR_MEMORY, "zeta_context_create");
        CHECK(context == NULL);
        CHECK(counter.blocks == 0);
    } while (n < 1000);
    CHECK_STATUS(status, ZETA_OK, "zeta_context_create");
    zeta_context_destroy(&context);
    CHECK(context == NULL);
    CHECK(counter.blocks == 0);
    CHECK(counter.bytes == 0);
    CHECK(counter.wrong == 0);
}

/* A fresh context for every n, so that memory it keeps between calls hides nothing. */
static void fail_function(struct call *call, enum function function, int threads, enum saving saving) {
    struct counter counter = {0, -1, 0, 0, 0};
    zeta_context *context = NULL, *helper = NULL;
    zeta_status status;
    long n = 0, blocks;
    do {
        CHECK_STATUS(zeta_context_create(&helper, NULL), ZETA_OK, "");
        call_init(call, helper, saving);
        counter.fail_at = -1;
        CHECK_STATUS(counted_context(&context, &counter, threads), ZETA_OK, "");
        call->context = context;
        call->size = 77;
        blocks = counter.blocks;
        counter.calls = 0;
        counter.fail_at = n++;
        status = call_run(call, function);
        if (status != ZETA_OK) {
            CHECK_STATUS(status, ZETA_ERROR_MEMORY, function_names[function]);
            CHECK_WITH(call_outputs_untouched(call), function_names[function]);
            CHECK_WITH(counter.blocks == blocks, function_names[function]);
            counter.fail_at = -1; /* the context is as good as before */
            CHECK_STATUS(call_run(call, function), ZETA_OK, function_names[function]);
        } else if (counter.calls > n - 1) {
            report_failure(__FILE__, __LINE__, "a failed allocation was not reported", function_names[function]);
        }
        zeta_context_destroy(&context);
        zeta_context_destroy(&helper);
        CHECK_WITH(counter.blocks == 0, function_names[function]);
        CHECK_WITH(counter.wrong == 0, function_names[function]);
    } while (status != ZETA_OK && n < 1000);
    CHECK_STATUS(status, ZETA_OK, function_names[function]);
}

/* `query` gives the scratch size of `function`. */
static void scratch_allocates_nothing(struct call *call, enum function function, enum function query, int threads) {
    struct counter counter = {0, -1, 0, 0, 0};
    zeta_context *context = NULL;
    void *scratch;
    CHECK_STATUS(counted_context(&context, &counter, threads), ZETA_OK, "");
    call_init(call, context, SAVED);
    CHECK_STATUS(call_run(call, query), ZETA_OK, function_names[query]);
    CHECK_WITH(call->size > 0, function_names[query]);
    scratch = malloc(call->size);
    call->forward.scratch = call->backward.scratch = scratch;
    call->forward.scratch_size = call->backward.scratch_size = call->size;
    counter.calls = 0;
    CHECK_STATUS(call_run(call, function), ZETA_OK, function_names[function]);
    CHECK_WITH(counter.calls == 0, function_names[function]);
    call_reset_outputs(call);
    call->forward.scratch_size = call->backward.scratch_size = call->size - 1;
    CHECK_STATUS(call_run(call, function), ZETA_ERROR_SCRATCH, "one byte less");
    CHECK_WITH(call_outputs_untouched(call), function_names[function]);
    free(scratch);
    zeta_context_destroy(&context);
    CHECK(counter.blocks == 0);
}

void test_allocator(void) {
    struct call *call = malloc(sizeof *call);
    int function, threads;
    for (threads = 1; threads <= 3; threads += 2) {
        fail_create(threads);
        for (function = 0; function < FUNCTIONS; ++function) {
            fail_function(call, (enum function)function, threads, SAVED);
            fail_function(call, (enum function)function, threads, SAVED_EXACT);
        }
        scratch_allocates_nothing(call, FORWARD, FORWARD_SCRATCH, threads);
        scratch_allocates_nothing(call, BACKWARD, BACKWARD_SCRATCH, threads);
        scratch_allocates_nothing(call, DENSE, DENSE_SCRATCH, threads);
        scratch_allocates_nothing(call, GIVEN, GIVEN_SCRATCH, threads);
        scratch_allocates_nothing(call, GIVEN_BACKWARD, GIVEN_BACKWARD_SCRATCH, threads);
    }
    free(call);
}
