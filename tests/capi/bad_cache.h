/* SPDX-License-Identifier: Apache-2.0 */
/* Runs tables of spoilt calls on caches: each must give its status with a sentence, write nothing and leave the cache
 * as it was. */
#ifndef ZETA_TESTS_CAPI_BAD_CACHE_H
#define ZETA_TESTS_CAPI_BAD_CACHE_H

#include "cache_call.h"

#define IN(function) (1u << (function))
#define ADDS (IN(APPEND) | IN(STEP) | IN(PREFILL))
#define ASKS (IN(ATTEND) | IN(STEP) | IN(PREFILL))
#define BOTH (IN(STEP) | IN(PREFILL))
#define TENSORS (ADDS | IN(ATTEND))
#define ON_CACHE (IN(CACHE_FUNCTIONS) - 1u - IN(CREATE))

/* What is spoilt, in which functions that is an error, and which words the sentence has. */
struct bad_cache {
    const char *name;
    unsigned functions;
    zeta_status status;
    const char *word;
    void (*spoil)(struct cache_call *call);
};

void run_bad_caches(struct cache_call *call, zeta_context *context, const struct bad_cache *cases, size_t count);

/* One line defines a way to spoil a call `c`. */
#define SPOIL(name, statements)                                                                                        \
    static void name(struct cache_call *c) {                                                                           \
        statements;                                                                                                    \
    }

/* In test_cache_tensors.c. */
void test_cache_tensors(struct cache_call *call, zeta_context *context);

#endif
