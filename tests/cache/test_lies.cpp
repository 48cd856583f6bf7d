// SPDX-License-Identifier: Apache-2.0
// Files whose checksums fit but whose numbers lie: refused, or harmless, and never a reason for much memory.
// Allocations that fail at any place leave the cache as it was.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "harness.hpp"

using namespace cachetest;

namespace {

// Counts what zeta asks for, and refuses beyond a number of requests or bytes.
struct Meter {
    static void *allocate(void *user, size_t size, size_t alignment) {
        Meter &meter = *static_cast<Meter *>(user);
        if (meter.requests_left == 0 || size > meter.bytes_left) return nullptr;
        --meter.requests_left;
        meter.bytes_left -= size;
        ++meter.live;
        return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    }
    static void release(void *user, void *block, size_t size) {
        Meter &meter = *static_cast<Meter *>(user);
        meter.bytes_left += size;
        --meter.live;
        std::free(block);
    }
    zeta::Context context() {
        zeta::ContextParams params;
        params.threads = 1;
        params.allocator = {allocate, release, this};
        return zeta::Context(params);
    }

    int64_t requests_left = std::numeric_limits<int64_t>::max(), live = 0;
    size_t bytes_left = size_t{1} << 40;
};

struct Lie {
    const char *what;
    size_t at;
    std::vector<uint64_t> values;
};

} // namespace

TEST_CASE("a head that lies, with checksums that fit") {
    constexpr uint64_t kMost = ~uint64_t{0}, kKeys = ZETA_MAX_KEYS;
    Meter meter;
    const zeta::Context context = meter.context();
    for (const int32_t type : kWithAndWithoutScales) {
        Setup setup;
        setup.value_type = type;
        zeta::Cache cache = setup.make(context);
        fill(cache, setup, 1, 20);
        const Bytes data = cache.save();
        const Answer answer = ask(cache, setup, 4);
        const size_t table = table_offset(data);
        const std::vector<uint64_t> counts{0, 1, 3, 7, 1u << 20, uint64_t{1} << 31, uint64_t{1} << 60, kMost};
        std::vector<Lie> lies{
            {"bytes of the file", 16, {0, 8, data.size() - 8, data.size() + 8, uint64_t{1} << 40, kMost}},
            {"bytes of the head", 24, {0, 1, 8, 152, 160, 168, 176, data.size(), data.size() + 8, kMost, kMost - 7}},
            {"length", table, {0, 19, 22, kKeys, kKeys + 1, uint64_t{1} << 32, uint64_t{1} << 63, kMost}},
            {"first", table + 8, {0, 5, 7, kKeys, kMost}},
            {"evicted", table + 16, {0, 5, 7, 22, kKeys, kMost}},
            {"length of the other", table + 24, {0, 1, kKeys, kMost}},
        };
        for (size_t at = 32; at < 152; at += 8) lies.push_back({"shapes and options", at, counts});
        meter.bytes_left = 8 << 20;
        for (const Lie &lie : lies) {
            for (const uint64_t value : lie.values) {
                if (value == get_u64(data, lie.at)) continue;
                CAPTURE(lie.what);
                CAPTURE(lie.at);
                CAPTURE(value);
                Bytes changed = data;
                put_u64(changed, lie.at, value);
                reseal(changed);
                const Outcome refused = load(cache, changed);
                CHECK(refused.status != ZETA_OK);
                CHECK(refused.status != ZETA_ERROR_MEMORY);
                CHECK(refused.status != ZETA_ERROR_INTERNAL);
            }
        }
        CHECK(meter.bytes_left > 0);
        CHECK(ask(cache, setup, 4) == answer);
        CHECK((cache.save() == data));
        meter.bytes_left = size_t{1} << 40;
    }
    CHECK(meter.live == 0);
}

TEST_CASE("lengths that agree with each other but not with the bytes") {
    Meter meter;
    const zeta::Context context = meter.context();
    Setup setup;
    setup.batches = 1;
    zeta::Cache cache = setup.make(context);
    fill(cache, setup, 1, 20);
    Bytes data = cache.save();
    const size_t table = table_offset(data);
    const uint64_t rows = get_u64(data, table) - get_u64(data, table + 16);
    put_u64(data, table, ZETA_MAX_KEYS);
    put_u64(data, 16, get_u64(data, 16) + (ZETA_MAX_KEYS - rows) * 32);
    reseal(data);
    meter.bytes_left = 8 << 20;
    CHECK(load(cache, data).status == ZETA_ERROR_FORMAT);
    // The same rows at the end of a very long past are possible: only the index depends on it.
    put_u64(data, 16, data.size());
    put_u64(data, table + 8, ZETA_MAX_KEYS - rows);
    put_u64(data, table + 16, ZETA_MAX_KEYS - rows);
    reseal(data);
    CHECK(load(cache, data).status == ZETA_OK);
    CHECK(cache.length() == ZETA_MAX_KEYS);
    ask(cache, setup, 3);
}

TEST_CASE("contents that no cache has written") {
    const zeta::Context context = make_context();
    Setup setup;
    setup.batches = 1;
    setup.value_type = ZETA_I8;
    zeta::Cache cache = setup.make(context);
    append(cache, setup, 1, 9);
    const Bytes data = cache.save();
    const size_t sums = size_t(get_u64(data, 24)), keys = sums + 16 * 8, scales = keys + 9 * 12;
    for (const float scale : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        Bytes changed = data;
        std::memcpy(changed.data() + scales + 8, &scale, sizeof scale);
        reseal(changed);
        CHECK(load(cache, changed).sentence ==
              "the buffer is corrupt: sequence 0, key head 0: a scale is negative or not finite");
    }
    CHECK((cache.save() == data));
    for (const uint64_t bits :
         {~uint64_t{0}, uint64_t{0x7ff0000000000000}, uint64_t{0x7f8000007f800000}, uint64_t{1}}) {
        Bytes changed = data;
        for (size_t at = keys; at + 8 <= scales; at += 8) put_u64(changed, at, bits);
        reseal(changed);
        CHECK(load(cache, changed).status == ZETA_OK); // NaN and infinity in keys stay what they are
        ask(cache, setup, 4);
        append(cache, setup, 4, 3);
    }
    cache.reset();
    append(cache, setup, 1, 10);
    cache.evict_before({1});
    const Bytes evicted = cache.save(); // 9 rows as well
    REQUIRE(evicted.size() == data.size());
    for (const uint64_t bits :
         {~uint64_t{0}, uint64_t{0x7ff0000000000000}, uint64_t{0x7f8000007f800000}, uint64_t{1}}) {
        Bytes changed = evicted;
        for (size_t at = sums; at + 8 <= scales; at += 8) put_u64(changed, at, bits);
        reseal(changed);
        CHECK(load(cache, changed).status == ZETA_OK); // nor can sums of what is gone be checked
        ask(cache, setup, 4);
        append(cache, setup, 4, 3);
    }
}

TEST_CASE("sums of evicted rows where none is evicted") {
    const zeta::Context context = make_context();
    for (const int32_t type : kWithAndWithoutScales) {
        Setup setup;
        setup.value_type = type;
        zeta::Cache cache = setup.make(context);
        for (const int64_t rows : {0, 9}) {
            append(cache, setup, 1, rows);
            const Bytes data = cache.save();
            const Answer answer = ask(cache, setup, 4, rows);
            const size_t sums = size_t(get_u64(data, 24));
            for (size_t at = sums; at < sums + 16 * 8; at += 8)
                for (const double sum : {100.0, 5e-324, -0.0, std::numeric_limits<double>::quiet_NaN()}) {
                    Bytes changed = data;
                    std::memcpy(changed.data() + at, &sum, sizeof sum);
                    reseal(changed);
                    const Outcome refused = load(cache, changed);
                    CHECK(refused.status == ZETA_ERROR_FORMAT);
                    CHECK(refused.sentence == "the buffer is corrupt: sequence 0, key head 0: sums of evicted rows, "
                                              "but none is evicted");
                }
            CHECK((cache.save() == data));
            CHECK(ask(cache, setup, 4, rows) == answer);
        }
    }
}

TEST_CASE("an allocation that fails at any place") {
    const Folder folder;
    const std::string path = folder.file("cache");
    Meter meter;
    const zeta::Context context = meter.context();
    Setup setup;
    zeta::Cache cache = setup.make(context), other = setup.make(context);
    fill(cache, setup, 1, 200);
    fill(other, setup, 2, 300);
    const Bytes before = cache.save(), data = other.save();
    other.save(path);
    const Answer answer = ask(cache, setup, 4);
    const auto failing = [&](const std::function<void()> &call) {
        for (int64_t requests = 0;; ++requests) {
            const int64_t live = meter.live;
            meter.requests_left = requests;
            const Outcome result = outcome(call);
            meter.requests_left = std::numeric_limits<int64_t>::max();
            if (result.status == ZETA_OK) return requests;
            CHECK(result.status == ZETA_ERROR_MEMORY);
            CHECK(meter.live == live);
            CHECK((cache.save() == before));
            CHECK(ask(cache, setup, 4) == answer);
            REQUIRE(requests < 10000);
        }
    };
    failing([&] { cache.save(path); });
    CHECK(read_file(path) == before);
    CHECK(folder.names() == std::vector<std::string>{"cache"});
    CHECK(failing([&] { cache.load(data); }) > 5);
    CHECK((cache.save() == data));
}

// The bytes of a cache do not show everything: what it answers at its last position and what follows does.
TEST_CASE("what a failed call had begun is taken back") {
    Meter meter;
    const zeta::Context context = meter.context();
    for (const int32_t type : kWithAndWithoutScales) {
        CAPTURE(type);
        Setup setup;
        setup.value_type = type;
        constexpr int64_t n = 40;
        const std::vector<float> points(size_t(2 * 2 * n * 3), 0.25f), values(size_t(2 * n * 5), 7.0f);
        std::vector<float> out(size_t(2 * 2 * n * 5));
        const auto use = [&](zeta::Cache &cache, bool prefill) {
            zeta::CacheTensors tensors;
            tensors.k = zeta::Tensor(points.data(), {2, 1, n, 3});
            tensors.v = zeta::Tensor(values.data(), {2, 1, n, 5});
            if (!prefill) return cache.append(tensors);
            tensors.q = zeta::Tensor(points.data(), {2, 2, n, 3});
            tensors.out = zeta::Tensor(out.data(), {2, 2, n, 5});
            cache.prefill(tensors);
        };
        for (const bool prefill : {false, true}) {
            zeta::Cache cache = setup.make(context);
            append(cache, setup, 1, 50);
            zeta::Cache same = cache.fork();
            const Answer answer = ask(same, setup, 4, 1);
            int failures = 0;
            for (bool failed = true; failed; ++failures) {
                meter.requests_left = failures;
                failed = outcome([&] { use(cache, prefill); }).status != ZETA_OK;
                meter.requests_left = std::numeric_limits<int64_t>::max();
                if (!failed) break;
                CHECK(ask(cache, setup, 4, 1) == answer);
                zeta::Cache fork = cache.fork(), other = same.fork();
                append(fork, setup, 9, 3);
                append(other, setup, 9, 3);
                CHECK(ask(fork, setup, 5, 1) == ask(other, setup, 5, 1));
                CHECK((fork.save() == other.save()));
                REQUIRE(failures < 1000);
            }
            CHECK(failures > 2);
        }
    }
}
