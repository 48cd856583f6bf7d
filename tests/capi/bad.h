/* SPDX-License-Identifier: Apache-2.0 */
/* Runs tables of spoilt calls: each must give its status with a sentence, and write nothing. */
#ifndef ZETA_TESTS_CAPI_BAD_H
#define ZETA_TESTS_CAPI_BAD_H

#include "call.h"

#define ONLY(function) (1u << (function))
#define FORWARDS (ONLY(FORWARD) | ONLY(DENSE) | ONLY(GIVEN))
#define BACKWARDS (ONLY(BACKWARD) | ONLY(GIVEN_BACKWARD))
#define GIVENS (ONLY(GIVEN) | ONLY(GIVEN_BACKWARD))
#define GIVEN_SIZES (ONLY(GIVEN_SCRATCH) | ONLY(GIVEN_BACKWARD_SCRATCH))
#define SIZES (ONLY(FORWARD_SCRATCH) | ONLY(BACKWARD_SCRATCH) | ONLY(SAVED_SIZE) | ONLY(DENSE_SCRATCH) | GIVEN_SIZES)
#define FORWARD_SIZES (ONLY(FORWARD_SCRATCH) | ONLY(SAVED_SIZE))
#define FORWARD_ARGS (FORWARDS | FORWARD_SIZES | ONLY(DENSE_SCRATCH) | ONLY(GIVEN_SCRATCH))
#define BACKWARD_ARGS (BACKWARDS | ONLY(BACKWARD_SCRATCH) | ONLY(GIVEN_BACKWARD_SCRATCH))
#define ALL_ARGS (FORWARD_ARGS | BACKWARD_ARGS)
#define SELECTS (ONLY(SELECT) | ONLY(RECALL))
#define ATTENTION (ALL_ARGS | SELECTS)
#define CODES (ONLY(ENCODE) | ONLY(CELLS))

/* What is spoilt, in which functions that is an error, and which word the sentence has. */
struct bad {
    const char *name;
    unsigned functions;
    zeta_status status;
    const char *word;
    void (*spoil)(struct call *call);
};

void run_bad(const struct bad *cases, size_t count);

/* One line defines a way to spoil a call `c`. */
#define SPOIL(name, statements)                                                                                        \
    static void name(struct call *c) {                                                                                 \
        statements;                                                                                                    \
    }

#endif
