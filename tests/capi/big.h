/* SPDX-License-Identifier: Apache-2.0 */
/* A training step long enough for several tiles and threads, for tests that run it beside others. */
#ifndef ZETA_TESTS_CAPI_BIG_H
#define ZETA_TESTS_CAPI_BIG_H

#include "call.h"

enum { LONG = 3000, WIDTH = 16 };

struct big {
    float q[LONG * DK], v[LONG * WIDTH], out[LONG * WIDTH], grad_q[LONG * DK];
    zeta_tensor q_view, v_view, out_view, grad_q_view;
    void *saved;
    size_t saved_size;
};

/* On memory of zeros. big->saved is to be freed once it was run. */
void big_init(struct big *big);

/* Forward and backward; the gradient of out is v. */
zeta_status big_run(struct big *big, zeta_context *context);

#endif
