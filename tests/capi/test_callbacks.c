/* SPDX-License-Identifier: Apache-2.0 */
/* The progress callback: fractions in order, a second call on the busy context refused, another context free, and a
 * call that is asked to stop. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

struct watcher {
    struct call *inner; /* a call on the busy context, or NULL */
    struct call *other; /* a call on another context, or NULL */
    long reports, stop_at;
    double last;
    int ordered;
};

static int watch(void *user, double fraction) {
    struct watcher *watcher = user;
    int function;
    ++watcher->reports;
    if (!(fraction >= watcher->last && fraction >= 0.0 && fraction <= 1.0)) watcher->ordered = 0;
    watcher->last = fraction;
    if (watcher->reports == 1 && watcher->inner != NULL) {
        for (function = 0; function < FUNCTIONS; ++function) {
            if (function >= FORWARD_SCRATCH) continue; /* sizes are asked for at any time */
            CHECK_STATUS(call_run(watcher->inner, (enum function)function), ZETA_ERROR_BUSY, function_names[function]);
            CHECK_WITH(strstr(zeta_last_error(), "busy") != NULL || strstr(zeta_last_error(), "another call") != NULL,
                       zeta_last_error());
        }
        CHECK(call_outputs_untouched(watcher->inner));
    }
    if (watcher->reports == 1 && watcher->other != NULL)
        CHECK_STATUS(call_run(watcher->other, FORWARD), ZETA_OK, "on another context");
    return watcher->stop_at != 0 && watcher->reports >= watcher->stop_at;
}

static zeta_context *create(int threads) {
    zeta_context_params params;
    zeta_context *context = NULL;
    zeta_context_params_init(&params);
    params.threads = threads;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    return context;
}

static void test_with(int threads) {
    struct call *call = malloc(sizeof *call), *inner = malloc(sizeof *inner), *other = malloc(sizeof *other);
    zeta_context *context = create(threads), *free_context = create(1);
    struct watcher watcher;
    int function;
    for (function = FORWARD; function <= GIVEN_BACKWARD; ++function) {
        call_init(call, context, SAVED);
        call_init(inner, context, SAVED);
        call_init(other, free_context, NOT_SAVED);
        memset(&watcher, 0, sizeof watcher);
        watcher.inner = inner;
        watcher.other = other;
        watcher.ordered = 1;
        call->params.progress = watch;
        call->params.progress_user = &watcher;
        CHECK_STATUS(call_run(call, (enum function)function), ZETA_OK, function_names[function]);
        CHECK_WITH(watcher.reports > 0, function_names[function]);
        CHECK_WITH(watcher.ordered, function_names[function]);

        call_init(call, context, SAVED);
        memset(&watcher, 0, sizeof watcher);
        watcher.stop_at = 1;
        call->params.progress = watch;
        call->params.progress_user = &watcher;
        CHECK_STATUS(call_run(call, (enum function)function), ZETA_ERROR_CANCELLED, function_names[function]);
        CHECK_WITH(zeta_last_error()[0] != '\0', function_names[function]);
        call->params.progress = NULL; /* the context goes on */
        CHECK_STATUS(call_run(call, (enum function)function), ZETA_OK, function_names[function]);
    }
    zeta_context_destroy(&context);
    zeta_context_destroy(&free_context);
    free(call);
    free(inner);
    free(other);
}

void test_callbacks(void) {
    test_with(1);
    test_with(4);
}
