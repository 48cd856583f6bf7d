/* SPDX-License-Identifier: Apache-2.0 */
/* Every status can be reached (ZETA_ERROR_INTERNAL, which stands for defects: tests/unit/status.cpp), has its number
 * and its name, and leaves a sentence. Also: the block that forward saved may be copied elsewhere. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    zeta_status status;
    int number;
    const char *name;
} known[] = {
    {ZETA_OK, 0, "ZETA_OK"},
    {ZETA_ERROR_ARGUMENT, -1, "ZETA_ERROR_ARGUMENT"},
    {ZETA_ERROR_SHAPE, -2, "ZETA_ERROR_SHAPE"},
    {ZETA_ERROR_STRIDE, -3, "ZETA_ERROR_STRIDE"},
    {ZETA_ERROR_DTYPE, -4, "ZETA_ERROR_DTYPE"},
    {ZETA_ERROR_DEVICE, -5, "ZETA_ERROR_DEVICE"},
    {ZETA_ERROR_OVERLAP, -6, "ZETA_ERROR_OVERLAP"},
    {ZETA_ERROR_STRUCT_SIZE, -7, "ZETA_ERROR_STRUCT_SIZE"},
    {ZETA_ERROR_ISA, -8, "ZETA_ERROR_ISA"},
    {ZETA_ERROR_SCRATCH, -9, "ZETA_ERROR_SCRATCH"},
    {ZETA_ERROR_MEMORY, -10, "ZETA_ERROR_MEMORY"},
    {ZETA_ERROR_BUSY, -11, "ZETA_ERROR_BUSY"},
    {ZETA_ERROR_CANCELLED, -12, "ZETA_ERROR_CANCELLED"},
    {ZETA_ERROR_INTERNAL, -13, "ZETA_ERROR_INTERNAL"},
    {ZETA_ERROR_IO, -14, "ZETA_ERROR_IO"},
    {ZETA_ERROR_FORMAT, -15, "ZETA_ERROR_FORMAT"},
};

static struct call call;
static zeta_status busy_status;

static int ask_again(void *user, double fraction) {
    const zeta_attention_params before = call.params;
    (void)user;
    (void)fraction;
    call.params.progress = NULL;
    busy_status = call_run(&call, SELECT);
    call.params = before;
    return 1;
}

static void *no_memory(void *user, size_t size, size_t alignment) {
    (void)size;
    (void)alignment;
    return --*(int *)user >= 0 ? malloc(size) : NULL;
}

static void free_memory(void *user, void *block, size_t size) {
    (void)user;
    (void)size;
    free(block);
}

static zeta_status no_memory_status(void) {
    zeta_context_params params;
    zeta_context *none = NULL;
    int blocks = 0;
    zeta_status status;
    zeta_context_params_init(&params);
    params.threads = 1;
    params.allocator.allocate = no_memory;
    params.allocator.release = free_memory;
    params.allocator.user = &blocks;
    status = zeta_context_create(&none, &params);
    if (status == ZETA_OK) { /* contexts are small; calls are not */
        call_init(&call, none, NOT_SAVED);
        status = call_run(&call, FORWARD);
        zeta_context_destroy(&none);
    }
    return status;
}

static zeta_status unknown_isa_status(void) {
    zeta_context_params params;
    zeta_context *none = NULL;
    zeta_context_params_init(&params);
    params.isa = "none";
    return zeta_context_create(&none, &params);
}

static void reach(zeta_status status, zeta_status expected) {
    CHECK_STATUS(status, expected, "");
    CHECK_WITH(zeta_last_error()[0] != '\0', zeta_status_name(expected));
}

static void reach_by_tensors(zeta_context *context) {
    call_init(&call, context, NOT_SAVED);
    CHECK_STATUS(call_run(&call, FORWARD), ZETA_OK, "");
    call.q.data = NULL;
    reach(call_run(&call, FORWARD), ZETA_ERROR_ARGUMENT);
    call_init(&call, context, NOT_SAVED);
    call.q.shape[2] = -1;
    reach(call_run(&call, FORWARD), ZETA_ERROR_SHAPE);
    call_init(&call, context, NOT_SAVED);
    call.q.stride[3] = 2;
    reach(call_run(&call, FORWARD), ZETA_ERROR_STRIDE);
    call_init(&call, context, NOT_SAVED);
    call.q.dtype = ZETA_U64;
    reach(call_run(&call, FORWARD), ZETA_ERROR_DTYPE);
    call_init(&call, context, NOT_SAVED);
    call.q.device = ZETA_CUDA;
    reach(call_run(&call, FORWARD), ZETA_ERROR_DEVICE);
    call_init(&call, context, NOT_SAVED);
    call.out.data = call.v.data;
    reach(call_run(&call, FORWARD), ZETA_ERROR_OVERLAP);
}

static void reach_others(zeta_context *context) {
    call_init(&call, context, NOT_SAVED);
    call.params.struct_size = 1;
    reach(call_run(&call, FORWARD), ZETA_ERROR_STRUCT_SIZE);
    reach(unknown_isa_status(), ZETA_ERROR_ISA);
    call_init(&call, context, NOT_SAVED);
    call.forward.scratch = call.scratch;
    call.forward.scratch_size = 1;
    reach(call_run(&call, FORWARD), ZETA_ERROR_SCRATCH);
    reach(no_memory_status(), ZETA_ERROR_MEMORY);
    call_init(&call, context, NOT_SAVED);
    call.params.progress = ask_again;
    reach(call_run(&call, FORWARD), ZETA_ERROR_CANCELLED);
    CHECK_STATUS(busy_status, ZETA_ERROR_BUSY, "");
}

static void reach_by_caches(zeta_context *context) {
    zeta_cache *cache = NULL;
    CHECK_STATUS(zeta_cache_create(&cache, context, NULL), ZETA_OK, "");
    reach(zeta_cache_load(cache, "no such folder/no such file"), ZETA_ERROR_IO);
    reach(zeta_cache_load_buffer(cache, "not a saved cache", 17), ZETA_ERROR_FORMAT);
    zeta_cache_destroy(&cache);
}

/* What forward saved may be copied to another address, whatever its alignment beyond 4 bytes. */
static void move_saved(zeta_context *context) {
    static uint32_t moved[2 * sizeof call.saved / sizeof(uint32_t)];
    struct outputs before;
    int words;
    call_init(&call, context, SAVED);
    CHECK_STATUS(call_run(&call, BACKWARD), ZETA_OK, "");
    before = call.outputs;
    for (words = 0; words < 16; ++words) {
        memcpy(moved + words, call.saved, call.backward.saved_size);
        call.backward.saved = moved + words;
        call_reset_outputs(&call);
        CHECK_STATUS(call_run(&call, BACKWARD), ZETA_OK, "");
        CHECK(memcmp(&before, &call.outputs, sizeof before) == 0);
    }
}

void test_statuses(void) {
    zeta_context *context = NULL;
    size_t i;
    CHECK(zeta_last_error()[0] == '\0'); /* none failed yet */
    for (i = 0; i < sizeof known / sizeof known[0]; ++i) {
        CHECK_WITH((int)known[i].status == known[i].number, known[i].name);
        CHECK_WITH(strcmp(zeta_status_name(known[i].status), known[i].name) == 0, known[i].name);
    }
    CHECK(strcmp(zeta_status_name((zeta_status)-16), "unknown") == 0);
    CHECK(strcmp(zeta_status_name((zeta_status)1), "unknown") == 0);
    CHECK_STATUS(zeta_context_create(&context, NULL), ZETA_OK, "");
    reach_by_tensors(context);
    reach_others(context);
    reach_by_caches(context);
    move_saved(context);
    zeta_context_destroy(&context);
}
