/* SPDX-License-Identifier: Apache-2.0 */
/* The context: threads, instruction set, memory. Contexts are independent of each other. One serves one call at a time
 * and refuses a second with ZETA_ERROR_BUSY. After fork() a child may go on using its contexts; they run on one thread. */
#ifndef ZETA_CONTEXT_H
#define ZETA_CONTEXT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zeta_context zeta_context;

/* Memory hook. `allocate` returns `size` bytes aligned to `alignment` (a power of two, at most 64) or NULL; `release`
 * gets what allocate returned, with the same size. Both may be called from the thread that made the zeta call only. */
typedef struct zeta_allocator {
    void *(*allocate)(void *user, size_t size, size_t alignment);
    void (*release)(void *user, void *block, size_t size);
    void *user;
} zeta_allocator;

enum {
    ZETA_LOG_WARNING = 1,
    ZETA_LOG_INFO = 2
};

typedef struct zeta_context_params {
    size_t struct_size;             /* set by zeta_context_params_init */
    int32_t threads;                /* threads a call may use, the caller's included; 0 (default): all CPUs it may run on; <= 1024.
                                       Fewer if the system allows no more: zeta_context_threads() says how many */
    int32_t reserved;               /* 0 */
    const char *isa;                /* "scalar", "sse4", "avx2", "avx512", "neon", "sve" or "auto"; NULL (default): the
                                       environment variable ZETA_ISA if set and not empty, else "auto", the best present */
    zeta_allocator allocator;       /* default {NULL, NULL, NULL}: the C library's */
    void (*log)(void *user, int32_t level, const char *message); /* default NULL: silent. zeta itself never prints */
    void *log_user;
} zeta_context_params;

ZETA_API void zeta_context_params_init(zeta_context_params *params);

/* Makes a context. `params` may be NULL: all defaults. Threads are started and ended again to see how many the
 * system allows.
 * @return ZETA_OK, and *context is to be destroyed by the caller; or, with *context = NULL: ZETA_ERROR_ARGUMENT (context
 *         NULL, threads < 0 or > 1024, one allocator function without the other), ZETA_ERROR_STRUCT_SIZE, ZETA_ERROR_ISA
 *         (unknown name, or not present in this CPU and build), ZETA_ERROR_MEMORY. */
ZETA_API zeta_status zeta_context_create(zeta_context **context, const zeta_context_params *params);

/* Frees *context and sets it to NULL; NULL or a pointer to NULL is allowed. Not while a call is using it. */
ZETA_API void zeta_context_destroy(zeta_context **context);

/* Threads a call on this context may use: as many as were asked for, the process may run, or the system let it start beside
 * those of its other contexts and caches when this one was made (RLIMIT_NPROC, a container's limit), whichever is least. 0 if
 * context is NULL. */
ZETA_API int32_t zeta_context_threads(const zeta_context *context);

/* Name of the instruction set in use, a static string; NULL if context is NULL. */
ZETA_API const char *zeta_context_isa(const zeta_context *context);

/* The index-th instruction set present in this CPU and build, best first ("avx512", "avx2", ...); NULL past the end. */
ZETA_API const char *zeta_isa_present(int32_t index);

/* Features of this build: "cuda" -> 1 if a CUDA backend was compiled in and a device is usable, else 0; "float16",
 * "bfloat16" -> 1; unknown names -> 0. */
ZETA_API int32_t zeta_has_feature(const char *name);

/* The kernel set OpenBLAS chose ("SkylakeX", "Haswell", ...), used by zeta_dense_forward only; a static string. */
ZETA_API const char *zeta_blas_core(void);

#ifdef __cplusplus
}
#endif
#endif
