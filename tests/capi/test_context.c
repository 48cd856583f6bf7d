/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: creation and its refusals, instruction sets named by params and by ZETA_ISA, queries without a context. */
#define _POSIX_C_SOURCE 200112L
#include "call.h"

#include <stdlib.h>
#include <string.h>

static const char *const known_isas[] = {"scalar", "sse4", "avx2", "avx512", "neon", "sve"};

static int is_present(const char *isa) {
    int32_t i;
    for (i = 0; zeta_isa_present(i) != NULL; ++i)
        if (strcmp(zeta_isa_present(i), isa) == 0) return 1;
    return 0;
}

static void refuse(const zeta_context_params *params, zeta_status expected, const char *word) {
    zeta_context *context = (zeta_context *)&context;
    CHECK_STATUS(zeta_context_create(&context, params), expected, word);
    CHECK_WITH(context == NULL, word);
    CHECK_WITH(strstr(zeta_last_error(), word) != NULL, word);
    if (context != NULL && context != (zeta_context *)&context) zeta_context_destroy(&context);
}

static void *no_allocate(void *user, size_t size, size_t alignment) {
    (void)user;
    (void)size;
    (void)alignment;
    return NULL;
}

static void no_release(void *user, void *block, size_t size) {
    (void)user;
    (void)block;
    (void)size;
}

static void test_refusals(void) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = -1;
    refuse(&params, ZETA_ERROR_ARGUMENT, "threads is -1");
    params.threads = 1025;
    refuse(&params, ZETA_ERROR_ARGUMENT, "threads is 1025");
    zeta_context_params_init(&params);
    params.allocator.allocate = no_allocate;
    refuse(&params, ZETA_ERROR_ARGUMENT, "release");
    zeta_context_params_init(&params);
    params.allocator.release = no_release;
    refuse(&params, ZETA_ERROR_ARGUMENT, "allocate");
    zeta_context_params_init(&params);
    params.reserved = 1;
    refuse(&params, ZETA_ERROR_ARGUMENT, "reserved is 1");
    refuse((const zeta_context_params *)(const void *)((const char *)&params + 4), ZETA_ERROR_ARGUMENT, "params is 0x");
    zeta_context_params_init(&params);
    params.struct_size -= 8;
    refuse(&params, ZETA_ERROR_STRUCT_SIZE, "struct_size");
    params.struct_size += 16;
    refuse(&params, ZETA_ERROR_STRUCT_SIZE, "struct_size");
    params.struct_size = 0;
    refuse(&params, ZETA_ERROR_STRUCT_SIZE, "struct_size is 0");
    CHECK_STATUS(zeta_context_create(NULL, NULL), ZETA_ERROR_ARGUMENT, "");
}

/* Creates a context, with `isa` (NULL: not set), and compares the set it uses. */
static void expect_isa(const char *isa, const char *expected) {
    zeta_context_params params;
    zeta_context *context = NULL;
    zeta_context_params_init(&params);
    params.threads = 1;
    params.isa = isa;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, expected);
    if (context == NULL) return;
    CHECK_WITH(strcmp(zeta_context_isa(context), expected) == 0, zeta_context_isa(context));
    zeta_context_destroy(&context);
}

static void refuse_isa(const char *isa, const char *word) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.isa = isa;
    refuse(&params, ZETA_ERROR_ISA, word);
}

static void test_isas(void) {
    const char *best;
    size_t i;
    unsetenv("ZETA_ISA");
    best = zeta_isa_present(0);
    CHECK(best != NULL);
    CHECK(is_present("scalar"));
    CHECK(zeta_isa_present(-1) == NULL);
    CHECK(zeta_isa_present(100) == NULL);
    expect_isa(NULL, best);
    expect_isa("auto", best);
    refuse_isa("avx3", "avx3");
    refuse_isa("", "isa");
    refuse_isa("AVX2", "AVX2");
    for (i = 0; i < sizeof known_isas / sizeof known_isas[0]; ++i) {
        const char *isa = known_isas[i];
        if (is_present(isa)) {
            expect_isa(isa, isa);
            setenv("ZETA_ISA", isa, 1);
            expect_isa(NULL, isa);
            expect_isa("scalar", "scalar"); /* params win */
        } else {
            refuse_isa(isa, isa);
            setenv("ZETA_ISA", isa, 1);
            refuse_isa(NULL, isa);
            expect_isa("scalar", "scalar");
        }
        unsetenv("ZETA_ISA");
    }
    setenv("ZETA_ISA", "", 1);
    expect_isa(NULL, best);
    setenv("ZETA_ISA", "auto", 1);
    expect_isa(NULL, best);
    setenv("ZETA_ISA", "quantum", 1);
    refuse_isa(NULL, "quantum");
    expect_isa("auto", best);
    unsetenv("ZETA_ISA");
}

struct listener {
    int warnings, others;
    char message[512];
};

static void listen(void *user, int32_t level, const char *message) {
    struct listener *listener = user;
    if (level == ZETA_LOG_WARNING)
        ++listener->warnings;
    else
        ++listener->others;
    snprintf(listener->message, sizeof listener->message, "%s", message);
}

/* Whether OpenBLAS has chosen kernels made long before AVX2: on CPUs it does not know, and with
 * OPENBLAS_CORETYPE=Prescott, as this test is also run. */
static int has_old_blas(void) {
    static const char *const old[] = {"Prescott", "Core2", "Generic", "Katmai", "Coppermine", "Northwood", "Banias"};
    size_t i;
    for (i = 0; i < sizeof old / sizeof old[0]; ++i)
        if (strcmp(zeta_blas_core(), old[i]) == 0) return 1;
    return 0;
}

static void test_log(const char *isa, const char *advice) {
    zeta_context_params params;
    zeta_context *context = NULL;
    struct listener listener;
    if (!is_present(isa)) return;
    memset(&listener, 0, sizeof listener);
    zeta_context_params_init(&params);
    params.threads = 1;
    params.isa = isa;
    params.log = listen;
    params.log_user = &listener;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, isa);
    CHECK_WITH(listener.others == 0, listener.message);
    if (advice != NULL && has_old_blas()) {
        CHECK_WITH(listener.warnings == 1, listener.message);
        CHECK_WITH(strstr(listener.message, zeta_blas_core()) != NULL, listener.message);
        CHECK_WITH(strstr(listener.message, advice) != NULL, listener.message);
    } else {
        CHECK_WITH(listener.warnings == 0, listener.message);
    }
    zeta_context_destroy(&context);
    params.log = NULL; /* the default: silent */
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, isa);
    zeta_context_destroy(&context);
}

static void test_queries(void) {
    zeta_context_params params;
    zeta_context *context = NULL;
    zeta_context_params_init(&params);
    params.threads = 3;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    CHECK(zeta_context_threads(context) >= 1 && zeta_context_threads(context) <= 3);
    CHECK(zeta_stage_name(context, 0) == NULL || zeta_stage_name(context, 0)[0] != '\0');
    CHECK(zeta_stage_name(context, 1000) == NULL);
    CHECK(zeta_stage_name(context, -1) == NULL);
    zeta_context_destroy(&context);
    CHECK(context == NULL);
    zeta_context_destroy(&context);
    zeta_context_destroy(NULL);
    CHECK(zeta_context_threads(NULL) == 0);
    CHECK(zeta_context_isa(NULL) == NULL);
    CHECK(zeta_stage_name(NULL, 0) == NULL);
    CHECK(zeta_stage_ms(NULL, 0) == 0.0);
    CHECK(zeta_has_feature("float16") == 1);
    CHECK(zeta_has_feature("bfloat16") == 1);
    CHECK(zeta_has_feature("teleport") == 0);
    CHECK(zeta_has_feature(NULL) == 0);
    CHECK(zeta_blas_core() != NULL);
    CHECK(zeta_codes_bits(0) == 0);
    CHECK(zeta_codes_bits(1) == 20);
    CHECK(zeta_codes_bits(2) == 20);
    CHECK(zeta_codes_bits(3) == 13);
    CHECK(zeta_codes_bits(32) == 1);
    CHECK(zeta_codes_bits(33) == 0);
    CHECK_STATUS(zeta_context_create(&context, NULL), ZETA_OK, "");
    CHECK(zeta_context_threads(context) >= 1);
    zeta_context_destroy(&context);
}

void test_context(void) {
    char version[64];
    snprintf(version, sizeof version, "%d.%d.%d", ZETA_VERSION_MAJOR, ZETA_VERSION_MINOR, ZETA_VERSION_PATCH);
    CHECK_WITH(strcmp(version, zeta_version()) == 0, zeta_version());
    zeta_context_params_init(NULL);
    zeta_attention_params_init(NULL);
    zeta_forward_args_init(NULL);
    zeta_backward_args_init(NULL);
    test_refusals();
    test_isas();
    test_log("scalar", NULL);
    test_log("avx2", "OPENBLAS_CORETYPE to Haswell");
    test_log("avx512", "OPENBLAS_CORETYPE to SkylakeX");
    test_queries();
}
