/* SPDX-License-Identifier: Apache-2.0 */
/* Runs tables of spoilt calls. */
#include "bad.h"

#include <stdlib.h>
#include <string.h>

static void run_one(struct call *call, const struct bad *bad, enum function function) {
    char detail[160];
    zeta_status status;
    bad->spoil(call);
    call->canary = call->outputs; /* a spoilt call may have put a value into its own outputs */
    call->size = 77;
    snprintf(detail, sizeof detail, "[%s in %s]", bad->name, function_names[function]);
    status = call_run(call, function);
    CHECK_STATUS(status, bad->status, detail);
    CHECK_WITH(call_outputs_untouched(call), detail);
    if (status == bad->status) CHECK_WITH(strstr(zeta_last_error(), bad->word) != NULL, detail);
    if ((SIZES & ONLY(function)) != 0) CHECK_WITH(call->size == 0 || call->size_pointer != &call->size, detail);
}

void run_bad(const struct bad *cases, size_t count) {
    struct call *call = malloc(sizeof *call);
    zeta_context_params params;
    zeta_context *context = NULL;
    size_t i;
    int function;
    zeta_context_params_init(&params);
    params.threads = 1;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    for (i = 0; i < count; ++i)
        for (function = 0; function < FUNCTIONS; ++function) {
            if ((cases[i].functions & ONLY(function)) == 0) continue;
            call_init(call, context, SAVED);
            run_one(call, &cases[i], (enum function)function);
        }
    for (function = 0; function < FUNCTIONS; ++function) { /* and the context still works */
        call_init(call, context, SAVED);
        CHECK_STATUS(call_run(call, (enum function)function), ZETA_OK, function_names[function]);
    }
    zeta_context_destroy(&context);
    free(call);
}
