/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator that counts what it gave, and can be told to fail. */
#ifndef ZETA_TESTS_CAPI_COUNTER_H
#define ZETA_TESTS_CAPI_COUNTER_H

#include "call.h"

struct counter {
    long calls, fail_at; /* fails at that call, counted from 0; < 0: never */
    long blocks, bytes;  /* live */
    long wrong;          /* alignments out of contract, sizes that differ at release, calls on other threads */
};

/* A context with this allocator. */
zeta_status counted_context(zeta_context **context, struct counter *counter, int threads);

#endif
