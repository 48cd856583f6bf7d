/* SPDX-License-Identifier: Apache-2.0 */
/* Runs tables of spoilt calls on caches. */
#include "bad_cache.h"

#include <stdlib.h>
#include <string.h>

static void run_one(struct cache_call *call, const struct bad_cache *bad, enum cache_function function) {
    char detail[160];
    zeta_status status;
    void *before;
    size_t size = 0;
    cache_call_aim(call, function);
    before = cache_bytes(call->cache, &size);
    call->made = (zeta_cache *)call; /* must become NULL on failure */
    bad->spoil(call);
    snprintf(detail, sizeof detail, "[%s in %s]", bad->name, cache_function_names[function]);
    status = cache_call_run(call, function);
    CHECK_STATUS(status, bad->status, detail);
    CHECK_WITH(cache_call_outputs_untouched(call), detail);
    if (status == bad->status)
        CHECK_WITH(strstr(zeta_last_error(), bad->word) != NULL && zeta_last_error()[0] != '\0', detail);
    if (function == CREATE || function == FORK) CHECK_WITH(call->made == NULL || call->made_pointer == NULL, detail);
    if (call->made == (zeta_cache *)call) call->made = NULL;
    if (call->cache != NULL) CHECK_WITH(cache_equals(call->cache, before, size), detail);
    free(before);
}

void run_bad_caches(struct cache_call *call, zeta_context *context, const struct bad_cache *cases, size_t count) {
    size_t i;
    int function;
    for (i = 0; i < count; ++i)
        for (function = 0; function < CACHE_FUNCTIONS; ++function) {
            if ((cases[i].functions & IN(function)) == 0) continue;
            cache_call_init(call, context, ZETA_F32);
            run_one(call, &cases[i], (enum cache_function)function);
            cache_call_end(call);
        }
}
