/* SPDX-License-Identifier: Apache-2.0 */
/* A cache as a C program uses it: steps answer what one forward call does, forks go their own ways, a saved cache goes
 * on where it was; a call made while another is served is refused; a child after fork() goes on. */
#define _POSIX_C_SOURCE 200112L
#include "cache_call.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LENGTH = 200, WIDTH = 8 };

static float q_data[LENGTH * DK], k_data[LENGTH * DK], v_data[LENGTH * WIDTH], whole[LENGTH * WIDTH];

static zeta_tensor rows(float *data, int64_t first, int64_t count, int64_t channels) {
    int64_t shape[4] = {1, 1, 0, 0};
    shape[2] = count;
    shape[3] = channels;
    return zeta_tensor_contiguous(data + first * channels, ZETA_F32, 4, shape);
}

/* Positions first .. first + count - 1 by step or prefill; whether the outputs are those of the whole sequence. */
static int go_on(zeta_cache *cache, int64_t first, int64_t count) {
    float out[LENGTH * WIDTH];
    const zeta_tensor q = rows(q_data, first, count, DK), k = rows(k_data, first, count, DK);
    const zeta_tensor v = rows(v_data, first, count, WIDTH), o = rows(out, 0, count, WIDTH);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &o;
    CHECK_STATUS(count == 1 ? zeta_cache_step(cache, &args) : zeta_cache_prefill(cache, &args), ZETA_OK, "");
    CHECK(zeta_cache_length(cache, 0) == first + count);
    return memcmp(out, whole + first * WIDTH, (size_t)count * WIDTH * sizeof(float)) == 0;
}

static void fill(float *data, size_t count, unsigned seed) {
    size_t i;
    for (i = 0; i < count; ++i) data[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
}

static void compute_whole(zeta_context *context) {
    const zeta_tensor q = rows(q_data, 0, LENGTH, DK), k = rows(k_data, 0, LENGTH, DK);
    const zeta_tensor v = rows(v_data, 0, LENGTH, WIDTH), out = rows(whole, 0, LENGTH, WIDTH);
    zeta_forward_args args;
    fill(q_data, LENGTH * DK, 7);
    fill(k_data, LENGTH * DK, 8);
    fill(v_data, LENGTH * WIDTH, 9);
    zeta_forward_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &out;
    CHECK_STATUS(zeta_forward(context, NULL, &args), ZETA_OK, "");
}

static zeta_cache *new_cache(zeta_context *context) {
    zeta_cache_params params;
    zeta_cache *cache = NULL;
    zeta_cache_params_init(&params);
    params.dv = WIDTH;
    CHECK_STATUS(zeta_cache_create(&cache, context, &params), ZETA_OK, "");
    return cache;
}

/* The context is destroyed first. */
static void test_steps_and_forks(void) {
    zeta_context *context = NULL;
    zeta_cache *cache, *fork = NULL;
    int64_t length;
    CHECK_STATUS(zeta_context_create(&context, NULL), ZETA_OK, "");
    compute_whole(context);
    cache = new_cache(context);
    zeta_context_destroy(&context);
    CHECK(go_on(cache, 0, 150));
    CHECK_STATUS(zeta_cache_fork(cache, NULL, 0, &fork), ZETA_OK, "");
    CHECK(go_on(cache, 150, 1));
    CHECK(go_on(cache, 151, 1));
    CHECK(go_on(fork, 150, 20));
    length = 100;
    CHECK_STATUS(zeta_cache_truncate(fork, &length), ZETA_OK, "");
    CHECK(zeta_cache_length(cache, 0) == 152);
    zeta_cache_destroy(&cache);
    CHECK(go_on(fork, 100, 1));
    CHECK(go_on(fork, 101, LENGTH - 101));
    CHECK_STATUS(zeta_cache_reset(fork), ZETA_OK, "");
    CHECK(go_on(fork, 0, LENGTH));
    zeta_cache_destroy(&fork);
    CHECK(fork == NULL);
}

static void test_round_trips(zeta_context *context) {
    char path[128];
    const char *folder = getenv("TMPDIR");
    zeta_cache *cache = new_cache(context), *file = new_cache(context), *buffer = new_cache(context);
    void *bytes;
    size_t size = 0;
    snprintf(path, sizeof path, "%.90s/zeta-capi-use-%ld", folder == NULL ? "/tmp" : folder, (long)getpid());
    CHECK(go_on(cache, 0, 120));
    CHECK_STATUS(zeta_cache_save(cache, path), ZETA_OK, "");
    CHECK_STATUS(zeta_cache_load(file, path), ZETA_OK, "");
    CHECK_STATUS(zeta_cache_save(file, path), ZETA_OK, "over an older one");
    CHECK(go_on(file, 120, 1));
    CHECK_STATUS(zeta_cache_load(file, path), ZETA_OK, "over a longer one");
    bytes = cache_bytes(cache, &size);
    CHECK(cache_equals(file, bytes, size));
    CHECK_STATUS(zeta_cache_load_buffer(buffer, bytes, size), ZETA_OK, "");
    CHECK(go_on(file, 120, 80));
    CHECK(go_on(buffer, 120, 1));
    CHECK(go_on(buffer, 121, 79));
    CHECK(go_on(cache, 120, 80));
    free(bytes);
    remove(path);
    zeta_cache_destroy(&cache);
    zeta_cache_destroy(&file);
    zeta_cache_destroy(&buffer);
}

struct interruption {
    zeta_cache *cache; /* what the allocator calls */
    zeta_status statuses[CACHE_FUNCTIONS];
    int calls;
};

/* Every function, on a cache that serves another call. */
static void interrupt(struct interruption *interruption, zeta_cache *cache) {
    static const int64_t numbers[B];
    zeta_cache_args args;
    zeta_cache *fork = NULL;
    zeta_status *statuses = interruption->statuses;
    size_t size = 0;
    zeta_cache_args_init(&args);
    statuses[APPEND] = zeta_cache_append(cache, &args);
    statuses[ATTEND] = zeta_cache_attend(cache, &args);
    statuses[STEP] = zeta_cache_step(cache, &args);
    statuses[PREFILL] = zeta_cache_prefill(cache, &args);
    statuses[TRUNCATE] = zeta_cache_truncate(cache, numbers);
    statuses[EVICT] = zeta_cache_evict_before(cache, numbers);
    statuses[FORK] = zeta_cache_fork(cache, NULL, 0, &fork);
    statuses[RESET] = zeta_cache_reset(cache);
    statuses[SAVE] = zeta_cache_save(cache, "never written");
    statuses[SAVE_BUFFER] = zeta_cache_save_buffer(cache, NULL, &size);
    statuses[LOAD] = zeta_cache_load(cache, "never read");
    statuses[LOAD_BUFFER] = zeta_cache_load_buffer(cache, "x", 1);
    ++interruption->calls;
}

static void *interrupting_allocate(void *user, size_t size, size_t alignment) {
    struct interruption *interruption = user;
    zeta_cache *cache = interruption->cache;
    void *block = NULL;
    if (cache != NULL) {
        interruption->cache = NULL;
        interrupt(interruption, cache);
    }
    return posix_memalign(&block, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) == 0 ? block : NULL;
}

static void plain_release(void *user, void *block, size_t size) {
    (void)user;
    (void)size;
    free(block);
}

static void test_busy(void) {
    struct interruption interruption = {NULL, {ZETA_OK}, 0};
    int function;
    zeta_context_params params;
    zeta_context *context = NULL;
    zeta_cache *cache;
    zeta_context_params_init(&params);
    params.threads = 1;
    params.allocator.allocate = interrupting_allocate;
    params.allocator.release = plain_release;
    params.allocator.user = &interruption;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    compute_whole(context);
    cache = new_cache(context);
    interruption.cache = cache;
    CHECK(go_on(cache, 0, LENGTH));
    CHECK(interruption.calls == 1);
    for (function = APPEND; function < CACHE_FUNCTIONS; ++function)
        CHECK_STATUS(interruption.statuses[function], ZETA_ERROR_BUSY, cache_function_names[function]);
    CHECK(strcmp(zeta_last_error(), "the cache is serving another call: use one cache per thread") == 0);
    CHECK_STATUS(zeta_cache_reset(cache), ZETA_OK, "");
    zeta_cache_destroy(&cache);
    zeta_context_destroy(&context);
}

static void test_child(int threads) {
    zeta_context_params params;
    zeta_context *context = NULL;
    zeta_cache *cache, *fork_before = NULL, *fork_after = NULL;
    int state = 0;
    pid_t pid;
    zeta_context_params_init(&params);
    params.threads = threads;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    compute_whole(context);
    cache = new_cache(context);
    CHECK(go_on(cache, 0, 100));
    CHECK_STATUS(zeta_cache_fork(cache, NULL, 0, &fork_before), ZETA_OK, "");
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int good;
        alarm(60); /* a child that hangs must not hang the tests */
        failures = 0;
        good = go_on(cache, 100, 1) && go_on(cache, 101, 50) && go_on(fork_before, 100, 70);
        good = good && zeta_cache_fork(cache, NULL, 0, &fork_after) == ZETA_OK && go_on(fork_after, 151, 9);
        zeta_cache_destroy(&cache);
        zeta_cache_destroy(&fork_after);
        zeta_cache_destroy(&fork_before);
        _exit(good && failures == 0 ? 0 : 1);
    }
    CHECK(pid > 0);
    CHECK(waitpid(pid, &state, 0) == pid);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    CHECK(go_on(cache, 100, 100));
    CHECK(go_on(fork_before, 100, 1));
    zeta_cache_destroy(&cache);
    zeta_cache_destroy(&fork_before);
    zeta_context_destroy(&context);
}

void test_cache_use(void) {
    zeta_context *context = NULL;
    test_steps_and_forks();
    CHECK_STATUS(zeta_context_create(&context, NULL), ZETA_OK, "");
    test_round_trips(context);
    zeta_context_destroy(&context);
    test_busy();
    test_child(1);
    test_child(4);
}
