/* SPDX-License-Identifier: Apache-2.0 */
/* One step of training with ZETA attention: 2 sequences of 4096 tokens, 4 heads, keys of 3 coordinates, values of 64
 * channels; forward, then the gradients of all three inputs. Build: cc attend.c $(pkg-config --cflags --libs zeta) -lm
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <zeta/zeta.h>

enum { BATCHES = 2, HEADS = 4, TOKENS = 4096, KEY = 3, VALUE = 64 };

static void expect(zeta_status status, const char *call) {
    if (status == ZETA_OK) return;
    fprintf(stderr, "%s: %s: %s\n", call, zeta_status_name(status), zeta_last_error());
    exit(1);
}

static void *allocate(size_t size) {
    void *block = malloc(size);
    if (block == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return block;
}

/* A float tensor [BATCHES, HEADS, TOKENS, channels]: a slow wave per channel, as projections of text drift. */
static zeta_tensor make(int channels, float frequency, float phase) {
    const int64_t shape[4] = {BATCHES, HEADS, TOKENS, channels};
    const size_t count = (size_t)BATCHES * HEADS * TOKENS * (size_t)channels;
    float *data = allocate(count * sizeof *data);
    for (size_t n = 0; n < count; ++n) {
        const size_t row = n / (size_t)channels, channel = n % (size_t)channels;
        data[n] = sinf(frequency * (float)(row % 997) + phase * (float)(channel + 1));
    }
    return zeta_tensor_contiguous(data, ZETA_F32, 4, shape);
}

int main(void) {
    zeta_context *context;
    expect(zeta_context_create(&context, NULL), "zeta_context_create"); /* all CPUs, the best instruction set */

    zeta_attention_params params;
    zeta_attention_params_init(&params); /* 32 neighbours along the curve, causal, Cauchy weights, history mean */
    const float gamma[HEADS] = {0.1f, 0.2f, 0.4f, 0.8f};
    params.gamma = gamma;
    params.gamma_count = HEADS;

    zeta_tensor q = make(KEY, 0.013f, 0.7f), k = make(KEY, 0.011f, 0.9f), v = make(VALUE, 0.02f, 0.3f);
    zeta_tensor out = make(VALUE, 0, 0), grad_out = make(VALUE, 0.05f, 0.1f);
    zeta_tensor grad_q = make(KEY, 0, 0), grad_k = make(KEY, 0, 0), grad_v = make(VALUE, 0, 0);

    zeta_forward_args forward;
    zeta_forward_args_init(&forward);
    forward.q = &q;
    forward.k = &k;
    forward.v = &v;
    forward.out = &out;
    expect(zeta_saved_size(context, &params, &forward, &forward.saved_size), "zeta_saved_size");
    forward.saved = allocate(forward.saved_size);
    expect(zeta_forward(context, &params, &forward), "zeta_forward");

    zeta_backward_args backward;
    zeta_backward_args_init(&backward);
    backward.q = &q;
    backward.k = &k;
    backward.v = &v;
    backward.grad_out = &grad_out;
    backward.grad_q = &grad_q;
    backward.grad_k = &grad_k;
    backward.grad_v = &grad_v;
    backward.saved = forward.saved;
    backward.saved_size = forward.saved_size;
    expect(zeta_backward(context, &params, &backward), "zeta_backward");

    const float *o = out.data, *gk = grad_k.data;
    printf("zeta %s on %s, %d threads\n", zeta_version(), zeta_context_isa(context),
           (int)zeta_context_threads(context));
    printf("out[0, 0, %d, 0] = %.6f, grad_k[0, 0, 0, 0] = %.6f\n", TOKENS - 1, o[(TOKENS - 1) * VALUE], gk[0]);
    const int sound = isfinite(o[(TOKENS - 1) * VALUE]) && isfinite(gk[0]);

    zeta_tensor *all[] = {&q, &k, &v, &out, &grad_out, &grad_q, &grad_k, &grad_v};
    for (size_t n = 0; n < sizeof all / sizeof *all; ++n) free(all[n]->data);
    free(forward.saved);
    zeta_context_destroy(&context);
    return sound ? 0 : 1;
}
