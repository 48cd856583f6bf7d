/* SPDX-License-Identifier: Apache-2.0 */
/* See big.h. */
#include "big.h"

#include <stdlib.h>

static zeta_tensor view(float *data, int64_t channels) {
    int64_t shape[4] = {1, 1, LONG, 0};
    shape[3] = channels;
    return zeta_tensor_contiguous(data, ZETA_F32, 4, shape);
}

void big_init(struct big *big) {
    unsigned seed = 5;
    size_t i;
    for (i = 0; i < LONG * DK; ++i)
        big->q[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
    for (i = 0; i < LONG * WIDTH; ++i) big->v[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.0f;
    big->q_view = view(big->q, DK);
    big->v_view = view(big->v, WIDTH);
    big->out_view = view(big->out, WIDTH);
    big->grad_q_view = view(big->grad_q, DK);
}

zeta_status big_run(struct big *big, zeta_context *context) {
    zeta_forward_args forward;
    zeta_backward_args backward;
    zeta_status status;
    zeta_forward_args_init(&forward);
    forward.q = forward.k = &big->q_view;
    forward.v = &big->v_view;
    forward.out = &big->out_view;
    if (big->saved == NULL) {
        status = zeta_saved_size(context, NULL, &forward, &big->saved_size);
        if (status != ZETA_OK) return status;
        big->saved = malloc(big->saved_size);
    }
    forward.saved = big->saved;
    forward.saved_size = big->saved_size;
    status = zeta_forward(context, NULL, &forward);
    if (status != ZETA_OK) return status;
    zeta_backward_args_init(&backward);
    backward.q = backward.k = &big->q_view;
    backward.v = backward.grad_out = &big->v_view;
    backward.grad_q = &big->grad_q_view;
    backward.saved = big->saved;
    backward.saved_size = big->saved_size;
    return zeta_backward(context, NULL, &backward);
}
