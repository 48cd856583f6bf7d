// SPDX-License-Identifier: Apache-2.0
// How a cache keeps values: rounded once to 16 bits, or to int8 with an error of at most half a step (spec section 1,
// types); and what it holds of memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "cache_call.hpp"

using namespace property;

namespace {

// A cache whose queries attend the value at their own position and nothing else: what it answers is what it keeps.
CacheSetup echo(int64_t dv, int32_t value_type) {
    CacheSetup setup;
    setup.problem.shape = {1, 1, 1, 0, 0, 1, dv};
    setup.problem.options.chunk = int64_t{1} << 40;
    setup.problem.options.mean = false;
    setup.problem.what = "echo";
    setup.value_type = value_type;
    return setup;
}

// All values after one append, or after steps.
std::vector<float> echoed(zeta_cache *cache, std::vector<float> values, int64_t dv, bool steps) {
    const int64_t n = static_cast<int64_t>(values.size()) / dv;
    std::vector<float> zeros(values.size()), out(values.size(), -1.0f);
    const int64_t part = steps ? 1 : n;
    const int64_t shape[] = {1, 1, part, 1}, wide[] = {1, 1, part, dv};
    const zeta_tensor q = zeta_tensor_contiguous(zeros.data(), ZETA_F32, 4, shape);
    for (int64_t i = 0; i < n; i += part) {
        const zeta_tensor v = zeta_tensor_contiguous(values.data() + i * dv, ZETA_F32, 4, wide);
        const zeta_tensor o = zeta_tensor_contiguous(out.data() + i * dv, ZETA_F32, 4, wide);
        zeta_cache_args args;
        zeta_cache_args_init(&args);
        args.k = &q, args.v = &v;
        CHECK(zeta_cache_append(cache, &args) == ZETA_OK);
        args.k = args.v = nullptr;
        args.q = &q, args.out = &o;
        CHECK(zeta_cache_attend(cache, &args) == ZETA_OK);
    }
    return out;
}

// Rows of every kind: zeros, ties, a single large value, the largest and the smallest numbers.
std::vector<float> int8_rows(Random &random, int64_t dv) {
    std::vector<float> values;
    const float largest[] = {0.0f, 127.0f, 1.0f, FLT_MAX, 1e-37f, 1e-42f, 3e-45f, -0.0f, 254.0f};
    for (const float most : largest)
        for (int repeat = 0; repeat < 5; ++repeat) {
            for (int64_t c = 0; c < dv; ++c) {
                float x = most * std::uniform_real_distribution<float>(-1, 1)(random);
                if (most == 127.0f && c % 2 == 0) x = static_cast<float>(pick(random, -127, 126)) + 0.5f;
                if (repeat == 3) x = 0;
                values.push_back(x);
            }
            values.back() = repeat % 2 == 0 ? most : -most;
        }
    return values;
}

} // namespace

TEST_CASE("cache values: int8 is off by half a step at most") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (const int64_t dv : {1, 2, 7, 16, 17, 64, 100}) {
            Random random(settings().seed + static_cast<uint64_t>(dv));
            const CacheSetup setup = echo(dv, ZETA_I8);
            const std::vector<float> values = int8_rows(random, dv);
            for (const bool steps : {false, true}) {
                const CachePointer cache = make_cache(context.get(), setup);
                REQUIRE(cache != nullptr);
                const std::vector<float> got = echoed(cache.get(), values, dv, steps);
                INFO(isa, " dv ", dv, " steps ", steps);
                CHECK(same_bits(got, kept(values, setup)));
                for (size_t row = 0; row < values.size(); row += static_cast<size_t>(dv)) {
                    double most = 0, worst = 0;
                    for (size_t c = row; c < row + static_cast<size_t>(dv); ++c) {
                        most = std::max(most, std::fabs(double{values[c]}));
                        worst = std::max(worst, std::fabs(double{got[c]} - double{values[c]}));
                    }
                    CHECK(worst <= most / 127 / 2 * (1 + 1e-5) + std::ldexp(0.5, -149)); // half of a scale's rounding
                }
            }
        }
    }
}

TEST_CASE("cache values: float32 is kept as it is, 16 bits are rounded once") {
    const Context context = make_context(nullptr, 1);
    Random random(settings().seed);
    const float special[] = {1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f, 1.0f + 0x1p-11f,     65519.0f, 65520.0f, FLT_MAX,
                             1e-42f,         0x1p-25f,           3 * 0x1p-25f * 2.0f, -FLT_MAX, 0x1p-24f, 2049.0f};
    for (const int32_t type : {ZETA_F32, ZETA_BF16, ZETA_F16}) {
        const CacheSetup setup = echo(12, type);
        std::vector<float> values = draw(random, Data::gaussian, 40, 12);
        std::copy(std::begin(special), std::end(special), values.begin());
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        INFO("type ", type);
        CHECK(same_bits(echoed(cache.get(), values, 12, false), kept(values, setup)));
    }
}

TEST_CASE("cache values: int8 refuses what is not finite, in rows that count") {
    const Context context = make_context(nullptr, 1);
    const float infinity = std::numeric_limits<float>::infinity();
    for (const int32_t type : {ZETA_F32, ZETA_BF16, ZETA_F16}) {
        for (const float bad : {infinity, -infinity, std::nanf(""), -std::nanf("")}) {
            const CacheSetup setup = echo(5, ZETA_I8);
            const CachePointer cache = make_cache(context.get(), setup);
            REQUIRE(cache != nullptr);
            Random random(1);
            std::vector<float> values(15, 1.0f), keys(3, 0.0f);
            values[12] = bad;
            const Buffer k(ZETA_F32, {1, 1, 3, 1}, Place::scattered, random, &keys);
            const Buffer v(type, {1, 1, 3, 5}, Place::scattered, random, &values);
            int64_t count = 3;
            zeta_cache_args args;
            zeta_cache_args_init(&args);
            args.k = k.view(), args.v = v.view(), args.counts = &count;
            CHECK(zeta_cache_append(cache.get(), &args) == ZETA_ERROR_ARGUMENT);
            CHECK(std::string(zeta_last_error()) == "v[0][0][2] has a value that is not finite: int8 cannot hold it");
            CHECK(zeta_cache_length(cache.get(), 0) == 0);
            count = 2;
            CHECK(zeta_cache_append(cache.get(), &args) == ZETA_OK);
            CHECK(zeta_cache_length(cache.get(), 0) == 2);
        }
    }
}

TEST_CASE("cache memory: at most 1.3 times the keys and values, and less after an eviction") {
    const Context context = make_context(nullptr, 1);
    constexpr int64_t length = 60000;
    for (const Data data : {Data::gaussian, Data::equal, Data::sorted, Data::drift}) {
        CacheSetup setup;
        setup.problem.shape = {1, 1, 1, 0, 0, 3, 64};
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        Random random(settings().seed);
        std::vector<float> keys = draw(random, data, length, 3), values(length * 64, 0.5f);
        for (int64_t at = 0; at < length;) {
            const int64_t n = std::min(length - at, pick(random, 1, 300));
            const int64_t narrow[] = {1, 1, n, 3}, wide[] = {1, 1, n, 64};
            const zeta_tensor k = zeta_tensor_contiguous(keys.data() + at * 3, ZETA_F32, 4, narrow);
            const zeta_tensor v = zeta_tensor_contiguous(values.data() + at * 64, ZETA_F32, 4, wide);
            zeta_cache_args args;
            zeta_cache_args_init(&args);
            args.k = &k, args.v = &v;
            REQUIRE(zeta_cache_append(cache.get(), &args) == ZETA_OK);
            at += n;
        }
        INFO("data ", static_cast<int>(data));
        const size_t full = zeta_cache_bytes(cache.get());
        CHECK(full >= static_cast<size_t>(length * 67 * 4));
        CHECK(static_cast<double>(full) <= 1.3 * length * 67 * 4);
        const int64_t before = length - 2000;
        CHECK(zeta_cache_evict_before(cache.get(), &before) == ZETA_OK);
        CHECK(zeta_cache_bytes(cache.get()) < full / 10);
        CHECK(zeta_cache_reset(cache.get()) == ZETA_OK);
        CHECK(zeta_cache_bytes(cache.get()) < full / 100);
    }
}

TEST_CASE("cache memory: evicted rows are given back by the page") {
    const Context context = make_context(nullptr, 1);
    CacheSetup setup;
    setup.problem.shape = {1, 1, 1, 0, 0, 3, 64};
    const CachePointer cache = make_cache(context.get(), setup);
    REQUIRE(cache != nullptr);
    std::vector<float> zeros(100 * 64);
    const int64_t narrow[] = {1, 1, 100, 3}, wide[] = {1, 1, 100, 64};
    const zeta_tensor k = zeta_tensor_contiguous(zeros.data(), ZETA_F32, 4, narrow);
    const zeta_tensor v = zeta_tensor_contiguous(zeros.data(), ZETA_F32, 4, wide);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.k = &k, args.v = &v;
    for (int part = 0; part < 40; ++part) REQUIRE(zeta_cache_append(cache.get(), &args) == ZETA_OK);
    const size_t full = zeta_cache_bytes(cache.get());
    for (const int64_t position : {1000, 2000, 3000, 3900}) {
        CHECK(zeta_cache_evict_before(cache.get(), &position) == ZETA_OK);
        const auto left = static_cast<size_t>(4000 - position + 700); // and some spare pages
        CHECK(zeta_cache_bytes(cache.get()) <= full * left / 4000);
    }
}

TEST_CASE("cache memory: what is counted is what is held, of a prompt while it is evicted too") {
    size_t held = 0;
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = 1;
    params.allocator.user = &held;
    params.allocator.allocate = [](void *user, size_t size, size_t alignment) -> void * {
        *static_cast<size_t *>(user) += size;
        return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    };
    params.allocator.release = [](void *user, void *block, size_t size) {
        *static_cast<size_t *>(user) -= size;
        std::free(block);
    };
    zeta_context *made = nullptr;
    REQUIRE(zeta_context_create(&made, &params) == ZETA_OK);
    {
        const Context context(made);
        constexpr int64_t length = 60000, narrow[] = {1, 1, length, 3}, wide[] = {1, 1, length, 64};
        CacheSetup setup;
        setup.problem.shape = {1, 1, 1, 0, 0, 3, 64};
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        Random random(settings().seed);
        std::vector<float> keys = draw(random, Data::gaussian, length, 3), values(length * 64, 0.5f);
        const zeta_tensor k = zeta_tensor_contiguous(keys.data(), ZETA_F32, 4, narrow);
        const zeta_tensor v = zeta_tensor_contiguous(values.data(), ZETA_F32, 4, wide);
        zeta_cache_args args;
        zeta_cache_args_init(&args);
        args.k = &k, args.v = &v;
        REQUIRE(zeta_cache_append(cache.get(), &args) == ZETA_OK);
        for (int64_t before = 0; before <= length; before += 1700) {
            CAPTURE(before);
            CHECK(zeta_cache_evict_before(cache.get(), &before) == ZETA_OK);
            CHECK(static_cast<double>(zeta_cache_bytes(cache.get())) > 0.98 * static_cast<double>(held));
            CHECK(static_cast<double>(zeta_cache_bytes(cache.get())) < 1.02 * static_cast<double>(held) + 8192);
        }
    }
    CHECK(held == 0);
}
