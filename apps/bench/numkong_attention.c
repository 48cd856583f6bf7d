/* SPDX-License-Identifier: Apache-2.0 */
/* Causal attention by NumKong's AMX kernel (the one of 32 keys at a time; "optimized" is for 256 channels), which knows
 * no mask: blocks of queries, each against the keys up to its own end (what a masked kernel would compute, to within
 * one block), shared out among threads. Packing keys and values into the kernel's layout is part of the work. One
 * packed store per head, since its prefix can be used only for the first. n is a multiple of BLOCK: the kernel's result
 * for a last block cut short was wrong.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
/* GCC's own do not say that they read memory, so that stores before them get lost; the kernel has no barriers. */
static inline void load_config(const void *config) {
    __asm__ volatile("ldtilecfg\t%X0" ::"m"(*(const char(*)[64])config));
}
#define _tile_loadconfig load_config
#undef _tile_loadd
#define _tile_loadd(tile, base, stride)                                                                                \
    __asm__ volatile("{tileloadd\t(%0,%1,1), %%tmm" #tile "|tileloadd\t%%tmm" #tile                                    \
                     ", [%0+%1*1]}" ::"r"((const void *)(base)),                                                       \
                     "r"((long)(stride))                                                                               \
                     : "memory")
#endif

#include <numkong/types.h> /* first: the next header asks for its macros before it includes it */

#include <numkong/attention/sapphireamx.h>

enum { BLOCK = 64 /* a multiple of the kernel's 32 keys */, ASK_FOR_TILES = 0x1023, TILE_DATA = 18 };

struct problem {
    int64_t heads, n, width;
    nk_bf16_t *q, *k, *v;
    float *out;
    char *packed; /* one store of packed_bytes per head */
    size_t packed_bytes;
};

static void *make(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

static void fill(nk_bf16_t *x, int64_t count, uint32_t seed) {
    for (int64_t i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        const float value = (float)(int32_t)seed * 0x1p-31f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        const uint16_t half = (uint16_t)(bits >> 16);
        memcpy(x + i, &half, sizeof half);
    }
}

void bench_numkong_destroy(struct problem *p) {
    if (!p) return;
    free(p->q);
    free(p->k);
    free(p->v);
    free(p->out);
    free(p->packed);
    free(p);
}

struct problem *bench_numkong_create(int64_t heads, int64_t n, int64_t width) {
    if (syscall(SYS_arch_prctl, ASK_FOR_TILES, TILE_DATA)) return NULL;
    struct problem *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    const size_t count = (size_t)(heads * n * width);
    p->heads = heads;
    p->n = n;
    p->width = width;
    p->packed_bytes =
        (nk_attention_kv_packed_size_sapphireamx(1, (nk_size_t)width, (nk_size_t)(n + 31)) + 63) / 64 * 64;
    p->q = make(2 * count);
    p->k = make(2 * count);
    p->v = make(2 * count);
    p->out = make(4 * count);
    p->packed = make(p->packed_bytes * (size_t)heads);
    if (!p->q || !p->k || !p->v || !p->out || !p->packed) {
        bench_numkong_destroy(p);
        return NULL;
    }
    fill(p->q, (int64_t)count, 1);
    fill(p->k, (int64_t)count, 2);
    fill(p->v, (int64_t)count, 3);
    return p;
}

void bench_numkong_run(struct problem *p, int threads) {
    const int64_t blocks = (p->n + BLOCK - 1) / BLOCK, head = p->n * p->width;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(dynamic)
        for (int64_t h = 0; h < p->heads; ++h) {
            char *packed = p->packed + (size_t)h * p->packed_bytes;
            nk_attention_pack_k_sapphireamx(p->k + h * head, packed, 1, (nk_size_t)p->n, (nk_size_t)p->width);
            nk_attention_pack_v_sapphireamx(p->v + h * head, packed, 1, (nk_size_t)p->n, (nk_size_t)p->width);
        }
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < p->heads * blocks; ++i) {
            const int64_t h = i / blocks, begin = (blocks - 1 - i % blocks) * BLOCK;
            const int64_t end = begin + BLOCK < p->n ? begin + BLOCK : p->n;
            nk_attention_bf16_amx_bc32_sapphireamx(p->q + h * head + begin * p->width,
                                                   p->packed + (size_t)h * p->packed_bytes,
                                                   p->out + h * head + begin * p->width, 1, 1, (nk_size_t)(end - begin),
                                                   (nk_size_t)end, (nk_size_t)p->width, 0.125f);
        }
    }
}
