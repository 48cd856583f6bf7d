/* SPDX-License-Identifier: Apache-2.0 */
/* Decode with ZETA attention: a prompt of 1000 tokens, then one token after another; tokens taken back, two
 * continuations of one prompt, and a cache that is saved and goes on elsewhere. 4 heads, keys of 3 coordinates, values
 * of 64 channels. Build: cc decode.c $(pkg-config --cflags --libs zeta) -lm
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeta/zeta.h>

enum { HEADS = 4, PROMPT = 1000, KEY = 3, VALUE = 64 };

/* Room for the rows of the longest call, the prompt: [1, HEADS, rows, channels]. */
static float q_data[HEADS * PROMPT * KEY], k_data[HEADS * PROMPT * KEY];
static float v_data[HEADS * PROMPT * VALUE], out_data[HEADS * PROMPT * VALUE];

static void expect(zeta_status status, const char *call) {
    if (status == ZETA_OK) return;
    fprintf(stderr, "%s: %s: %s\n", call, zeta_status_name(status), zeta_last_error());
    exit(1);
}

static void expect_true(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

/* Stands for a model: what its projections make of the tokens at positions from `position` on; `flavour` is the text.
 */
static void project(float *data, int rows, int channels, int position, float frequency, float flavour) {
    for (int head = 0; head < HEADS; ++head)
        for (int row = 0; row < rows; ++row)
            for (int channel = 0; channel < channels; ++channel)
                *data++ = sinf(frequency * (float)((position + row) % 97) + 0.7f * (float)(channel + head) + flavour);
}

/* Runs `rows` tokens through the cache, at once (prefill) or as a step; their outputs are in out_data. */
static void feed(zeta_cache *cache, int rows, float flavour) {
    const int position = (int)zeta_cache_length(cache, 0);
    project(q_data, rows, KEY, position, 0.13f, flavour);
    project(k_data, rows, KEY, position, 0.11f, flavour);
    project(v_data, rows, VALUE, position, 0.2f, flavour);
    const int64_t points[4] = {1, HEADS, rows, KEY}, channels[4] = {1, HEADS, rows, VALUE};
    const zeta_tensor q = zeta_tensor_contiguous(q_data, ZETA_F32, 4, points);
    const zeta_tensor k = zeta_tensor_contiguous(k_data, ZETA_F32, 4, points);
    const zeta_tensor v = zeta_tensor_contiguous(v_data, ZETA_F32, 4, channels);
    const zeta_tensor out = zeta_tensor_contiguous(out_data, ZETA_F32, 4, channels);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &out;
    if (rows == 1)
        expect(zeta_cache_step(cache, &args), "zeta_cache_step");
    else
        expect(zeta_cache_prefill(cache, &args), "zeta_cache_prefill");
}

int main(void) {
    float first[HEADS * VALUE];
    zeta_context *context;
    expect(zeta_context_create(&context, NULL), "zeta_context_create");

    zeta_cache_params params;
    zeta_cache_params_init(&params);
    params.query_heads = HEADS;
    params.dk = KEY;
    params.dv = VALUE;
    params.value_type = ZETA_BF16; /* half the memory; keys stay in float32 */
    zeta_cache *cache;
    expect(zeta_cache_create(&cache, context, &params), "zeta_cache_create");

    feed(cache, PROMPT, 0);
    for (int token = 0; token < 20; ++token) feed(cache, 1, 0); /* out_data: [HEADS, VALUE] */
    memcpy(first, out_data, sizeof first);

    /* Five tokens were a bad guess: take them back and go on from there. The last is again as it was. */
    const int64_t kept = PROMPT + 15;
    expect(zeta_cache_truncate(cache, &kept), "zeta_cache_truncate");
    for (int token = 0; token < 5; ++token) feed(cache, 1, 0);
    expect_true(memcmp(first, out_data, sizeof first) == 0, "the same tokens give the same bits");

    /* Two continuations share the memory of what they have in common. */
    zeta_cache *other;
    expect(zeta_cache_fork(cache, NULL, 0, &other), "zeta_cache_fork");
    for (int token = 0; token < 10; ++token) feed(other, 1, 0.5f);
    feed(cache, 1, 0);
    memcpy(first, out_data, sizeof first);
    expect_true(zeta_cache_length(other, 0) == zeta_cache_length(cache, 0) + 9, "each has a length of its own");

    /* Saved one token earlier, loaded into an empty cache made alike, it answers the same. */
    const int64_t earlier = PROMPT + 20;
    expect(zeta_cache_truncate(cache, &earlier), "zeta_cache_truncate");
    size_t size;
    expect(zeta_cache_save_buffer(cache, NULL, &size), "zeta_cache_save_buffer"); /* zeta_cache_save: to a file */
    void *saved = malloc(size);
    expect_true(saved != NULL, "memory for the saved cache");
    expect(zeta_cache_save_buffer(cache, saved, &size), "zeta_cache_save_buffer");
    zeta_cache *loaded;
    expect(zeta_cache_create(&loaded, context, &params), "zeta_cache_create");
    expect(zeta_cache_load_buffer(loaded, saved, size), "zeta_cache_load_buffer");
    feed(loaded, 1, 0);
    expect_true(memcmp(first, out_data, sizeof first) == 0, "a loaded cache goes on as the saved one would have");

    /* Only the last 500 positions stay searchable; the mean remembers the rest. */
    const int64_t oldest = zeta_cache_length(loaded, 0) - 500;
    expect(zeta_cache_evict_before(loaded, &oldest), "zeta_cache_evict_before");
    feed(loaded, 1, 0);
    printf("zeta %s on %s: %d tokens, %.0f bytes a token; out[0, 0] = %.6f\n", zeta_version(),
           zeta_context_isa(context), (int)zeta_cache_length(cache, 0),
           (double)zeta_cache_bytes(cache) / (double)zeta_cache_length(cache, 0), out_data[0]);

    free(saved);
    zeta_cache_destroy(&loaded);
    zeta_cache_destroy(&other);
    zeta_cache_destroy(&cache);
    zeta_context_destroy(&context); /* may also come before the caches' */
    return 0;
}
