// SPDX-License-Identifier: Apache-2.0
// Promise 2: whatever calls built a cache, every query selects what one call over the whole sequence selects, and has
// its bits. Random programs of append, attend, step, prefill, truncate, evict_before, fork, save, load and reset, over
// the whole range of options and adversarial data.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cache_program.hpp"

using namespace property;

namespace {

// Contexts of every instruction set, with one thread and with three.
std::vector<Context> all_contexts() {
    std::vector<Context> contexts;
    for (const std::string &isa : instruction_sets())
        for (const int32_t threads : {1, 3}) contexts.push_back(make_context(isa.c_str(), threads));
    return contexts;
}

} // namespace

TEST_CASE("cache: random programs") {
    const std::vector<Context> contexts = all_contexts();
    for (int n = 0; n < settings().cases / 4; ++n) {
        const uint64_t seed = settings().seed * 104395301 + static_cast<uint64_t>(n);
        Random random(seed);
        const CacheSetup setup = random_setup(random);
        zeta_context *context = contexts[static_cast<size_t>(n) % contexts.size()].get();
        INFO("program ", n, " on ", zeta_context_isa(context), ": ", describe(setup));
        CHECK(CacheProgram(context, setup, seed, 60).run(250) == "");
    }
}

// One head, whose rows fill many pages and whose index has several levels.
TEST_CASE("cache: random programs over long sequences") {
    const std::vector<Context> contexts = all_contexts();
    for (int n = 0; n < std::max(1, settings().cases / 40); ++n) {
        const uint64_t seed = settings().seed * 122949823 + static_cast<uint64_t>(n);
        Random random(seed);
        CacheSetup setup = random_setup(random);
        setup.problem.shape = {1, 1, 1, 0, 0, setup.problem.shape.dk, std::min<int64_t>(setup.problem.shape.dv, 8)};
        setup.problem.options.gamma.resize(std::min<size_t>(setup.problem.options.gamma.size(), 1));
        setup.problem.options.grid = {};
        zeta_context *context = contexts[static_cast<size_t>(n) % contexts.size()].get();
        INFO("program ", n, " on ", zeta_context_isa(context), ": ", describe(setup));
        CHECK(CacheProgram(context, setup, seed, 3000).run(80) == "");
    }
}

// Values are gathered some hundred channels at a time: the order of sums must not show where one part ends, nor how
// short the last is. Sums that leave the range of float32 do so in some parts only.
TEST_CASE("cache: random programs over wide values") {
    const std::vector<Context> contexts = all_contexts();
    const int64_t widths[] = {511, 512, 513, 527, 528, 1024, 1031, 1100};
    for (int n = 0; n < std::max(24, settings().cases / 10); ++n) {
        const uint64_t seed = settings().seed * 141650939 + static_cast<uint64_t>(n);
        Random random(seed);
        CacheSetup setup = random_setup(random);
        setup.problem.shape = {1, 1, 1, 0, 0, setup.problem.shape.dk, widths[n % 8]};
        setup.problem.options.gamma.resize(std::min<size_t>(setup.problem.options.gamma.size(), 1));
        setup.problem.options.grid = {};
        if (n % 3 == 0) setup.data = Data::wild;
        zeta_context *context = contexts[static_cast<size_t>(n) % contexts.size()].get();
        INFO("program ", n, " on ", zeta_context_isa(context), ": ", describe(setup));
        CHECK(CacheProgram(context, setup, seed, 40).run(40) == "");
    }
}

// One channel of many has sums too small for float32 to hold exactly: they are taken again, wherever the channel lies.
TEST_CASE("cache: sums out of range in one of many channels") {
    const Context context = make_context(nullptr, 1);
    for (const int64_t channel : {0, 511, 512, 599}) {
        Random random(settings().seed);
        CacheSetup setup;
        setup.problem = plain_case(1, 1, 0, 3, 600, 1);
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        KeySource source(setup, random);
        std::vector<History> histories(1);
        for (int t = 0; t < 20; ++t) {
            CacheCall call(setup, 1, 1, source, random);
            call.v_type = call.out_type = ZETA_F32;
            call.v = draw(random, Data::gaussian, 1, 600);
            call.v[static_cast<size_t>(channel)] *= 1e-40f;
            INFO("channel ", channel, " at ", t);
            CHECK(check_call(context.get(), cache.get(), setup, histories, call, CacheUse::step, true, random) == "");
        }
    }
}

// Several slices, and groups of channels, one of which has sums that are taken again.
TEST_CASE("cache: local windows of thousands") {
    const Context context = make_context(nullptr, 1);
    for (int n = 0; n < 4; ++n) {
        Random random(settings().seed + static_cast<uint64_t>(n));
        CacheSetup setup;
        setup.problem = plain_case(1, 1, 0, 3, n < 2 ? 5 : 600, 1);
        setup.problem.options.local = 2500;
        setup.problem.options.mean = n % 2 == 0;
        setup.problem.options.score = n % 2 == 0 ? oracle::Score::cauchy : oracle::Score::dot;
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        KeySource source(setup, random);
        std::vector<History> histories(1);
        INFO("variant ", n);
        for (const int64_t rows : {2700, 1, 1, 1}) {
            CacheCall call(setup, 1, rows, source, random);
            call.v_type = call.out_type = ZETA_F32;
            call.v = draw(random, Data::gaussian, rows, setup.problem.shape.dv);
            for (size_t at = 2; n == 3 && at < call.v.size(); at += 600) call.v[at] *= 1e-38f;
            CHECK(check_call(context.get(), cache.get(), setup, histories, call,
                             rows > 1 ? CacheUse::append : CacheUse::step, true, random) == "");
        }
    }
}

TEST_CASE("cache: one token at a time from the beginning") {
    const Context context = make_context(nullptr, 1);
    for (int n = 0; n < 12; ++n) {
        Random random(settings().seed + static_cast<uint64_t>(n));
        CacheSetup setup;
        setup.problem = plain_case(1, 2, 0, 1 + n % 4, 5, 1);
        setup.problem.options.exact = n % 3 == 1;
        setup.problem.options.window = n % 3 == 2 ? 100 : 0;
        setup.problem.options.local = n % 5 == 0 ? 80 : n % 2;
        setup.data = n < 4 ? Data::gaussian : n < 8 ? Data::equal : n < 10 ? Data::drift : Data::sorted;
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        KeySource source(setup, random);
        std::vector<History> histories(1);
        std::string message;
        for (int t = 0; t < 700 && message.empty(); ++t) {
            const CacheCall call(setup, 1, 1, source, random);
            message =
                check_call(context.get(), cache.get(), setup, histories, call, CacheUse::step, t % 50 == 0, random);
        }
        INFO("variant ", n, " at ", histories[0].length);
        CHECK(message == "");
    }
}

// Queries before the end, and chunks, leave many of the keys for later: whole parts of the index are to be jumped over.
TEST_CASE("cache: long sequences of which much is not searchable yet") {
    const Context context = make_context(nullptr, 2);
    const Data kinds[] = {Data::equal, Data::sorted, Data::drift, Data::gaussian, Data::few};
    for (int n = 0; n < 30; ++n) {
        Random random(settings().seed * 32452867 + static_cast<uint64_t>(n));
        CacheSetup setup;
        setup.problem = plain_case(1, 1, 0, 1 + n % 4, 2, 1);
        setup.data = kinds[n % 5];
        setup.problem.options.exact = n / 5 % 3 == 1;
        setup.problem.options.window = n / 5 % 3 == 2 ? 2000 : 0;
        setup.problem.options.chunk = n < 15 ? 1 : 10000;
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        KeySource source(setup, random);
        std::vector<History> histories(1);
        std::string message;
        const auto use = [&](CacheUse what, int64_t count) {
            const CacheCall call(setup, 1, count, source, random);
            if (message.empty())
                message = check_call(context.get(), cache.get(), setup, histories, call, what, false, random);
        };
        use(CacheUse::append, pick(random, 10000, 30000));
        for (int round = 0; round < 4; ++round) {
            use(CacheUse::step, 1);
            use(CacheUse::attend, pick(random, 1, 100));
            use(CacheUse::attend, pick(random, 100, 2000));
            use(CacheUse::append, pick(random, 1, 800));
        }
        INFO("variant ", n, ": ", describe(setup), " at ", histories[0].length);
        CHECK(message == "");
    }
}

// Nothing but the mean is attended, and seven values are followed by their negatives: at each fourteenth row what is
// left of the sums is rounding alone, and shows any other order of the additions.
TEST_CASE("cache: means of values that cancel") {
    const Context context = make_context(nullptr, 2);
    for (int n = 0; n < 21; ++n) {
        Random random(settings().seed * 15485867 + static_cast<uint64_t>(n));
        CacheSetup setup;
        const int64_t widths[] = {1, 7, 12, 64, 300};
        const int64_t dv = n < 20 ? widths[n % 5] : 5000; // more than 4,096: longer blocks
        setup.problem = plain_case(1, 1, 0, 3, dv, 1);
        setup.problem.options.first = ZETA_MAX_KEYS;
        const int32_t types[] = {ZETA_F32, ZETA_BF16, ZETA_F16, ZETA_I8, ZETA_F32};
        setup.value_type = types[n / 5];
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        std::vector<float> values = draw(random, Data::gaussian, 7, dv);
        const int most = setup.value_type == ZETA_F16 ? 12 : 40;
        for (float &x : values) x *= std::ldexp(1.0f, static_cast<int>(pick(random, -most, most)));
        for (int64_t at = 0; at < 7 * dv; ++at) values.push_back(-values[static_cast<size_t>(at)]);
        KeySource source(setup, random);
        std::vector<History> histories(1);
        histories[0].first = ZETA_MAX_KEYS;
        std::string message;
        for (int round = 0; round < (n < 20 ? 60 : 10) && message.empty(); ++round) {
            const CacheUse uses[] = {CacheUse::append, CacheUse::attend, CacheUse::step, CacheUse::prefill};
            const CacheUse what = uses[pick(random, 0, 3)];
            const int64_t length = histories[0].length;
            const int64_t rows = what == CacheUse::step     ? 1
                                 : what == CacheUse::attend ? std::min<int64_t>(length, pick(random, 1, 700))
                                                            : pick(random, 1, round % 4 == 0 ? 700 : 20);
            CacheCall call(setup, 1, rows, source, random);
            call.v_type = call.out_type = ZETA_F32;
            for (int64_t at = 0; at < rows * dv; ++at)
                call.v[static_cast<size_t>(at)] = values[static_cast<size_t>((length * dv + at) % (14 * dv))];
            message = check_call(context.get(), cache.get(), setup, histories, call, what, false, random);
            if (round % 9 != 8) continue;
            histories[0].cut(histories[0].length - pick(random, 0, histories[0].length / 4), setup.problem.shape);
            CHECK(zeta_cache_truncate(cache.get(), &histories[0].length) == ZETA_OK);
        }
        INFO("variant ", n, ": ", describe(setup), " at ", histories[0].length);
        CHECK(message == "");
    }
}

TEST_CASE("cache: nothing appended, nothing asked, nothing counted") {
    const Context context = make_context(nullptr, 2);
    for (const bool causal : {true, false}) {
        Random random(settings().seed);
        CacheSetup setup;
        setup.problem = plain_case(2, 2, 0, 3, 4, 1);
        setup.problem.options.causal = causal;
        setup.problem.options.local = causal ? 1 : 0;
        const CachePointer cache = make_cache(context.get(), setup);
        REQUIRE(cache != nullptr);
        KeySource source(setup, random);
        std::vector<History> histories(2);
        const auto check = [&](CacheUse use, int64_t n, std::vector<int64_t> counts) {
            CacheCall call(setup, 2, n, source, random);
            call.counted = !counts.empty();
            if (call.counted) call.counts = std::move(counts);
            INFO(name_of(use), " of ", n, causal ? " causal" : "");
            CHECK(check_call(context.get(), cache.get(), setup, histories, call, use, true, random) == "");
        };
        for (int round = 0; round < 2; ++round) {
            for (const CacheUse use : {CacheUse::append, CacheUse::attend, CacheUse::prefill}) {
                check(use, 0, {});
                check(use, 0, {0, 0});
                check(use, 3, {0, 0});
            }
            check(CacheUse::step, 1, {0, 0});
            if (!causal) check(CacheUse::attend, 3, {3, 1}); // of an empty sequence: zeros
            check(CacheUse::step, 1, {0, 1});
            check(CacheUse::prefill, 4, {4, 0});
            check(CacheUse::attend, 1, {1, 1});
            const int64_t zeros[] = {0, 0};
            CHECK(zeta_cache_evict_before(cache.get(), zeros) == ZETA_OK);
            CHECK(check_end(context.get(), cache.get(), setup, histories, 1, source, random) == "");
            CHECK(zeta_cache_truncate(cache.get(), zeros) == ZETA_OK);
            for (History &history : histories) history.cut(0, setup.problem.shape);
            CHECK(check_end(context.get(), cache.get(), setup, histories, 1, source, random) == "");
        }
    }
}

// All but the mean is evicted: it alone is attended, and keeps the whole history.
TEST_CASE("cache: everything evicted") {
    const Context context = make_context(nullptr, 1);
    Random random(settings().seed);
    CacheSetup setup;
    setup.problem = plain_case(1, 1, 0, 3, 6, 1);
    const CachePointer cache = make_cache(context.get(), setup);
    REQUIRE(cache != nullptr);
    KeySource source(setup, random);
    std::vector<History> histories(1);
    std::string message;
    for (int round = 0; round < 6 && message.empty(); ++round) {
        const CacheCall part(setup, 1, round % 2 == 0 ? 500 : 3, source, random);
        message = check_call(context.get(), cache.get(), setup, histories, part, CacheUse::append, false, random);
        CHECK(zeta_cache_evict_before(cache.get(), &histories[0].length) == ZETA_OK);
        histories[0].first = histories[0].evicted = histories[0].length;
        const CacheCall one(setup, 1, 1, source, random);
        if (message.empty())
            message = check_call(context.get(), cache.get(), setup, histories, one, CacheUse::step, true, random);
    }
    CHECK(message == "");
}
