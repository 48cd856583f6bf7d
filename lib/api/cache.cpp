// SPDX-License-Identifier: Apache-2.0
// zeta/cache.h: every call checks, enters the cache, and hands over to lib/cache. A cache has a context of its own
// (settings copied from the one it was made with), whose guard makes it serve one call at a time.
#include "../cache/cache.hpp"

#include "../status.hpp"
#include "check_cache.hpp"
#include "check_tensor.hpp"

struct zeta_cache {
    explicit zeta_cache(std::unique_ptr<zeta::cache::Cache> made) : cache(std::move(made)) {}

    const std::unique_ptr<zeta::cache::Cache> cache;
};

namespace {

using namespace zeta;
using cache::Cache;

Cache &checked_cache(zeta_cache *cache) {
    if (cache == nullptr) fail(ZETA_ERROR_ARGUMENT, "cache is NULL");
    return *cache->cache;
}

// Runs f(Cache &) as the one call the cache serves.
template <class F> zeta_status serve(zeta_cache *cache, F &&f) {
    return guarded([&] {
        Cache &c = checked_cache(cache);
        const auto guard = c.context().enter("cache");
        f(c);
    });
}

const char *checked_path(const char *path) {
    if (path == nullptr) fail(ZETA_ERROR_ARGUMENT, "path is NULL");
    if (*path == '\0') fail(ZETA_ERROR_ARGUMENT, "path is empty");
    return path;
}

const Cache *with_sequence(const zeta_cache *cache, int64_t sequence) {
    return cache == nullptr || sequence < 0 || sequence >= cache->cache->batches() ? nullptr : cache->cache.get();
}

void save_buffer(Cache &cache, void *data, size_t *size) {
    api::check_pointer("size", size, alignof(size_t));
    const size_t needed = cache.save_size();
    if (data != nullptr) {
        api::check_buffer("data", data, "*size", *size);
        if (*size < needed)
            fail(ZETA_ERROR_SCRATCH, "*size is %zu but saving this cache needs %zu bytes", *size, needed);
        cache.save(data);
    }
    *size = needed;
}

} // namespace

void zeta_cache_params_init(zeta_cache_params *params) {
    if (params == nullptr) return;
    *params = zeta_cache_params{};
    params->struct_size = sizeof *params;
    params->batches = 1;
    params->query_heads = 1;
    params->dk = 3;
    params->dv = 64;
    params->value_type = ZETA_F32;
}

void zeta_cache_args_init(zeta_cache_args *args) {
    if (args == nullptr) return;
    *args = zeta_cache_args{};
    args->struct_size = sizeof *args;
}

zeta_status zeta_cache_create(zeta_cache **cache, zeta_context *context, const zeta_cache_params *params) {
    return guarded([&] {
        if (cache == nullptr) fail(ZETA_ERROR_ARGUMENT, "cache is NULL");
        *cache = nullptr;
        if (context == nullptr) fail(ZETA_ERROR_ARGUMENT, "context is NULL");
        const FpEnvironment environment;
        *cache = new zeta_cache(std::make_unique<Cache>(*context, api::check_cache_params(params)));
    });
}

void zeta_cache_destroy(zeta_cache **cache) {
    if (cache == nullptr) return;
    delete *cache;
    *cache = nullptr;
}

zeta_status zeta_cache_append(zeta_cache *cache, const zeta_cache_args *args) {
    return serve(cache, [&](Cache &c) { c.append(api::check_cache_args(c, args, api::CacheCall::append)); });
}

zeta_status zeta_cache_attend(zeta_cache *cache, const zeta_cache_args *args) {
    return serve(cache, [&](Cache &c) { c.attend(api::check_cache_args(c, args, api::CacheCall::attend)); });
}

zeta_status zeta_cache_step(zeta_cache *cache, const zeta_cache_args *args) {
    return serve(cache, [&](Cache &c) { c.prefill(api::check_cache_args(c, args, api::CacheCall::step)); });
}

zeta_status zeta_cache_prefill(zeta_cache *cache, const zeta_cache_args *args) {
    return serve(cache, [&](Cache &c) { c.prefill(api::check_cache_args(c, args, api::CacheCall::prefill)); });
}

zeta_status zeta_cache_truncate(zeta_cache *cache, const int64_t *lengths) {
    return serve(cache, [&](Cache &c) {
        api::check_cache_lengths(c, lengths);
        c.truncate(lengths);
    });
}

zeta_status zeta_cache_evict_before(zeta_cache *cache, const int64_t *positions) {
    return serve(cache, [&](Cache &c) {
        api::check_cache_positions(c, positions);
        c.evict_before(positions);
    });
}

zeta_status zeta_cache_fork(zeta_cache *cache, const int64_t *sequences, int64_t count, zeta_cache **fork) {
    if (fork != nullptr) *fork = nullptr;
    return serve(cache, [&](Cache &c) {
        const int64_t made = api::check_cache_fork(c, sequences, count);
        if (fork == nullptr) fail(ZETA_ERROR_ARGUMENT, "fork is NULL");
        *fork = new zeta_cache(c.fork(sequences, made));
    });
}

zeta_status zeta_cache_reset(zeta_cache *cache) {
    return serve(cache, [](Cache &c) { c.reset(); });
}

int64_t zeta_cache_batches(const zeta_cache *cache) {
    return cache == nullptr ? -1 : cache->cache->batches();
}

int64_t zeta_cache_length(const zeta_cache *cache, int64_t sequence) {
    const Cache *c = with_sequence(cache, sequence);
    return c == nullptr ? -1 : c->length(sequence);
}

int64_t zeta_cache_first(const zeta_cache *cache, int64_t sequence) {
    const Cache *c = with_sequence(cache, sequence);
    return c == nullptr ? -1 : c->first(sequence);
}

size_t zeta_cache_bytes(const zeta_cache *cache) {
    return cache == nullptr ? 0 : cache->cache->bytes();
}

zeta_status zeta_cache_save(zeta_cache *cache, const char *path) {
    return serve(cache, [&](Cache &c) { c.save(checked_path(path)); });
}

zeta_status zeta_cache_save_buffer(zeta_cache *cache, void *data, size_t *size) {
    return serve(cache, [&](Cache &c) { save_buffer(c, data, size); });
}

zeta_status zeta_cache_load(zeta_cache *cache, const char *path) {
    return serve(cache, [&](Cache &c) { c.load(checked_path(path)); });
}

zeta_status zeta_cache_load_buffer(zeta_cache *cache, const void *data, size_t size) {
    return serve(cache, [&](Cache &c) {
        if (data == nullptr) fail(ZETA_ERROR_ARGUMENT, "data is NULL");
        api::check_buffer("data", data, "size", size);
        c.load(data, size);
    });
}
