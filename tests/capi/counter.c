/* SPDX-License-Identifier: Apache-2.0 */
/* See counter.h. */
#define _POSIX_C_SOURCE 200112L
#include "counter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct header { /* in front of each block, at a distance of its alignment */
    void *base;
    size_t size;
};

static pthread_t caller; /* of counted_context, and of every call after it */

static void *allocate(void *user, size_t size, size_t alignment) {
    struct counter *counter = user;
    const size_t offset = (sizeof(struct header) + alignment - 1) / alignment * alignment;
    struct header *header;
    char *base, *block;
    if (!pthread_equal(caller, pthread_self())) ++counter->wrong;
    if (alignment == 0 || alignment > 64 || (alignment & (alignment - 1)) != 0) ++counter->wrong;
    if (counter->calls++ == counter->fail_at) return NULL;
    base = malloc(size + offset + alignment);
    if (base == NULL) return NULL;
    block = base + offset;
    block += (alignment - (uintptr_t)block % alignment) % alignment;
    header = (struct header *)(void *)(block - sizeof *header);
    header->base = base;
    header->size = size;
    ++counter->blocks;
    counter->bytes += (long)size;
    memset(block, 0xcd, size); /* nothing may count on zeros */
    return block;
}

static void release(void *user, void *block, size_t size) {
    struct counter *counter = user;
    struct header *header;
    if (block == NULL) return;
    header = (struct header *)(void *)((char *)block - sizeof *header);
    if (header->size != size || !pthread_equal(caller, pthread_self())) ++counter->wrong;
    --counter->blocks;
    counter->bytes -= (long)header->size;
    free(header->base);
}

zeta_status counted_context(zeta_context **context, struct counter *counter, int threads) {
    zeta_context_params params;
    caller = pthread_self();
    zeta_context_params_init(&params);
    params.threads = threads;
    params.allocator.allocate = allocate;
    params.allocator.release = release;
    params.allocator.user = counter;
    return zeta_context_create(context, &params);
}
