/* SPDX-License-Identifier: Apache-2.0 */
/* Caches with an allocator that fails at the n-th call, for every n until each function succeeds: ZETA_ERROR_MEMORY,
 * nothing written, nothing leaked, and the cache and a fork of it as they were. */
#include "cache_call.h"
#include "counter.h"

#include <stdlib.h>
#include <string.h>

/* What is in memory when the call is made. */
struct scene {
    int threads;
    int forked; /* the cache shares its memory with another */
    int empty;  /* it was reset: a prefill has the whole sequence */
    int32_t value_type;
};

static void check_scene(struct cache_call *call, zeta_cache *other, const void *bytes, size_t size, const char *name) {
    CHECK_WITH(cache_call_outputs_untouched(call), name);
    CHECK_WITH(cache_equals(call->cache, bytes, size), name);
    if (other != NULL) CHECK_WITH(cache_equals(other, bytes, size), name);
    CHECK_WITH(call->made == NULL, name);
}

/* 1 if the call failed at its n-th allocation, 0 if it made fewer. */
static int fail_at(struct cache_call *call, enum cache_function function, const struct scene *scene, long n) {
    const char *name = cache_function_names[function];
    struct counter counter = {0, -1, 0, 0, 0};
    zeta_context *context = NULL;
    zeta_cache *other = NULL;
    zeta_status status;
    void *before;
    size_t size = 0;
    CHECK_STATUS(counted_context(&context, &counter, scene->threads), ZETA_OK, "");
    cache_call_init(call, context, scene->value_type);
    if (scene->empty) {
        CHECK_STATUS(zeta_cache_reset(call->cache), ZETA_OK, "");
        free(call->buffer);
        call->buffer = cache_bytes(call->cache, &call->size);
    }
    if (scene->forked) CHECK_STATUS(zeta_cache_fork(call->cache, NULL, 0, &other), ZETA_OK, "");
    before = cache_bytes(call->cache, &size);
    if (function == LOAD || function == LOAD_BUFFER) { /* what is loaded differs from what is there */
        cache_call_aim(call, LOAD);
        CHECK_STATUS(zeta_cache_reset(call->cache), ZETA_OK, "");
        free(before);
        before = cache_bytes(call->cache, &size);
        zeta_cache_destroy(&other);
        memset(&call->outputs, 0xa5, sizeof call->outputs);
    } else {
        cache_call_aim(call, function);
    }
    call->made = NULL;
    counter.calls = 0;
    counter.fail_at = n;
    status = cache_call_run(call, function);
    counter.fail_at = -1;
    if (status != ZETA_OK) {
        CHECK_STATUS(status, ZETA_ERROR_MEMORY, name);
        check_scene(call, other, before, size, name);
        CHECK_STATUS(cache_call_run(call, function), ZETA_OK, name); /* the cache is as good as before */
    } else if (counter.calls > n && function != RESET && function != EVICT && function != TRUNCATE) {
        report_failure(__FILE__, __LINE__, "a failed allocation was not reported", name);
    }
    if (other != NULL) CHECK_WITH(cache_equals(other, before, size), name);
    zeta_cache_destroy(&call->made);
    cache_call_aim(call, STEP);
    CHECK_STATUS(cache_call_run(call, STEP), ZETA_OK, name);
    zeta_cache_destroy(&other);
    cache_call_end(call);
    zeta_context_destroy(&context);
    free(before);
    CHECK_WITH(counter.blocks == 0 && counter.bytes == 0, name);
    CHECK_WITH(counter.wrong == 0, name);
    return status != ZETA_OK;
}

static void fail_function(struct cache_call *call, enum cache_function function, const struct scene *scene) {
    long n = 0;
    while (n < 1000 && fail_at(call, function, scene, n)) ++n;
    CHECK_WITH(n < 1000, cache_function_names[function]);
    if (function == RESET) CHECK_WITH(n == 0, "zeta_cache_reset needs no memory");
}

void test_cache_allocator(void) {
    struct cache_call *call = malloc(sizeof *call);
    struct scene scene;
    int function;
    for (scene.threads = 1; scene.threads <= 3; scene.threads += 2)
        for (scene.forked = 0; scene.forked <= 1; ++scene.forked) {
            scene.value_type = scene.forked ? ZETA_I8 : ZETA_F32;
            scene.empty = 0;
            for (function = 0; function < CACHE_FUNCTIONS; ++function)
                fail_function(call, (enum cache_function)function, &scene);
            scene.empty = 1;
            fail_function(call, APPEND, &scene);
            fail_function(call, STEP, &scene);
            fail_function(call, PREFILL, &scene);
        }
    free(call);
}
