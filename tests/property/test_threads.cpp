// SPDX-License-Identifier: Apache-2.0
// Promise 3 at its core: forward, backward and decode on 1, 2 and 5 threads, twice each, give the same bits on each
// instruction set; and neighbours that are the same on all of them (promise 4). Heads are long enough for loops inside
// them to be shared, and as many as threads, more, or fewer.
#include <doctest/doctest.h>

#include <cstring>

#include "cache_model.hpp"
#include "cases.hpp"

using namespace property;

namespace {

constexpr int kThreads[] = {1, 2, 5};

struct Answer {
    std::vector<unsigned char> all; // everything that was written
    std::vector<int32_t> neighbours;

    template <class T> void add(const std::vector<T> &values) {
        const auto *bytes = reinterpret_cast<const unsigned char *>(values.data());
        all.insert(all.end(), bytes, bytes + values.size() * sizeof(T));
    }
};

// `answer(context)` on each instruction set with each number of threads, twice.
template <class Ask> void check_threads(const Ask &ask) {
    std::vector<int32_t> neighbours;
    for (const std::string &isa : instruction_sets()) {
        std::vector<unsigned char> expected;
        for (const int threads : kThreads) {
            const Context context = make_context(isa.c_str(), threads);
#ifdef __GLIBC__
            CHECK(zeta_context_threads(context.get()) == threads); // many_cpus.cpp
#endif
            for (int time = 0; time < 2; ++time) {
                INFO(isa, ", ", threads, " threads, call ", time);
                const Answer answer = ask(context.get());
                if (expected.empty()) expected = answer.all;
                if (neighbours.empty()) neighbours = answer.neighbours;
                CHECK(!answer.all.empty());
                CHECK((answer.all == expected)); // in brackets: too long to be printed
                CHECK((answer.neighbours == neighbours));
            }
        }
    }
}

Case a_case(int variant) {
    constexpr int64_t heads[] = {1, 2, 6, 1, 5, 1};
    const int64_t dk = variant == 2 ? 8 : 3;
    Case problem = plain_case(1, heads[variant], variant % 3 == 2 ? 700 : 2500, dk, 5 + 12 * (variant % 3),
                              settings().seed + static_cast<uint64_t>(variant));
    problem.options.score = static_cast<oracle::Score>(variant % 5);
    problem.options.exact = variant == 1 || variant == 5;
    problem.options.window = variant == 2 ? 100 : 0;
    problem.options.local = variant == 3 ? 200 : 1;
    problem.options.gamma = {0.75f};
    problem.v_type = variant % 3 == 1 ? ZETA_BF16 : ZETA_F32;
    if (variant == 4) problem.options.causal = problem.options.mean = false, problem.options.local = 0;
    problem.v = rounded(std::move(problem.v), problem.v_type);
    problem.grad_out = rounded(std::move(problem.grad_out), problem.v_type);
    return problem;
}

// Tensors of one call on a cache of two sequences, four query heads, two key heads.
class Rows {
public:
    Rows(int64_t rows, const CacheSetup &setup, uint64_t seed) : rows_(rows), setup_(setup) {
        const oracle::Shape &s = setup.problem.shape;
        Random random(seed);
        q_ = draw(random, Data::gaussian, s.batches * s.heads * rows, s.dk);
        k_ = draw(random, Data::clustered, s.batches * s.key_heads * rows, s.dk);
        v_ = draw(random, Data::gaussian, s.batches * s.key_heads * rows, s.dv);
        out_.assign(static_cast<size_t>(s.batches * s.heads * rows * s.dv), -1);
        normaliser_.assign(static_cast<size_t>(s.batches * s.heads * rows), -1);
        neighbours_.assign(normaliser_.size() * static_cast<size_t>(setup.problem.options.neighbours), -2);
    }

    // zeta_cache_append, _attend, _step or _prefill.
    void call(zeta_status (*function)(zeta_cache *, const zeta_cache_args *), zeta_cache *cache, Answer &answer) {
        const oracle::Shape &s = setup_.problem.shape;
        const auto view = [&](auto &data, int32_t type, int64_t heads, int64_t width) {
            const int64_t shape[] = {s.batches, heads, rows_, width};
            return zeta_tensor_contiguous(data.data(), type, width == 0 ? 3 : 4, shape);
        };
        const zeta_tensor q = view(q_, ZETA_F32, s.heads, s.dk), k = view(k_, ZETA_F32, s.key_heads, s.dk),
                          v = view(v_, ZETA_F32, s.key_heads, s.dv), out = view(out_, ZETA_F32, s.heads, s.dv),
                          normaliser = view(normaliser_, ZETA_F32, s.heads, 0),
                          neighbours = view(neighbours_, ZETA_I32, s.heads, setup_.problem.options.neighbours);
        zeta_cache_args args;
        zeta_cache_args_init(&args);
        if (function != zeta_cache_attend) args.k = &k, args.v = &v;
        if (function != zeta_cache_append)
            args.q = &q, args.out = &out, args.normaliser = &normaliser, args.neighbours = &neighbours;
        CHECK(function(cache, &args) == ZETA_OK);
        answer.add(out_);
        answer.add(normaliser_);
        answer.add(neighbours_);
        answer.neighbours.insert(answer.neighbours.end(), neighbours_.begin(), neighbours_.end());
    }

private:
    const int64_t rows_;
    const CacheSetup &setup_;
    std::vector<float> q_, k_, v_, out_, normaliser_;
    std::vector<int32_t> neighbours_;
};

void add_saved(zeta_cache *cache, Answer &answer) {
    size_t size = 0;
    CHECK(zeta_cache_save_buffer(cache, nullptr, &size) == ZETA_OK);
    std::vector<unsigned char> bytes(size);
    CHECK(zeta_cache_save_buffer(cache, bytes.data(), &size) == ZETA_OK);
    answer.add(bytes);
}

// Every call that changes a cache or reads it, in a row.
Answer decode(zeta_context *context, const CacheSetup &setup) {
    Answer answer;
    const CachePointer cache = make_cache(context, setup);
    REQUIRE(cache != nullptr);
    Rows(900, setup, 1).call(zeta_cache_append, cache.get(), answer);
    Rows(700, setup, 2).call(zeta_cache_prefill, cache.get(), answer);
    for (uint64_t step = 0; step < 5; ++step) Rows(1, setup, 3 + step).call(zeta_cache_step, cache.get(), answer);
    const int64_t lengths[] = {1580, 1500}, positions[] = {300, 0}, order[] = {1, 0};
    CHECK(zeta_cache_truncate(cache.get(), lengths) == ZETA_OK);
    CHECK(zeta_cache_evict_before(cache.get(), positions) == ZETA_OK);
    zeta_cache *forked = nullptr;
    CHECK(zeta_cache_fork(cache.get(), order, 2, &forked) == ZETA_OK);
    const CachePointer fork(forked);
    Rows(60, setup, 9).call(zeta_cache_prefill, fork.get(), answer);
    Rows(40, setup, 10).call(zeta_cache_attend, fork.get(), answer);
    Rows(40, setup, 10).call(zeta_cache_attend, cache.get(), answer);
    add_saved(cache.get(), answer);
    add_saved(fork.get(), answer);
    return answer;
}

} // namespace

TEST_CASE("threads: forward and backward on 1, 2 and 5, twice, on each instruction set") {
    for (int variant = 0; variant < 6; ++variant) {
        const Case problem = a_case(variant);
        INFO("variant ", variant, ": ", describe(problem));
        check_threads([&](zeta_context *context) {
            const Result result = run(context, problem);
            CHECK(result.error == "");
            CHECK(result.intact);
            Answer answer;
            for (const std::vector<float> *values :
                 {&result.out, &result.normaliser, &result.grad_q, &result.grad_k, &result.grad_v, &result.grad_gamma})
                answer.add(*values);
            answer.add(result.neighbours);
            answer.neighbours = result.neighbours;
            return answer;
        });
    }
}

TEST_CASE("threads: decode on 1, 2 and 5, twice, on each instruction set") {
    constexpr int32_t types[] = {ZETA_F32, ZETA_I8, ZETA_BF16, ZETA_F16};
    for (int variant = 0; variant < 4; ++variant) {
        CacheSetup setup;
        setup.problem = plain_case(2, 4, 0, variant == 3 ? 6 : 3, 20, 1);
        setup.problem.shape.key_heads = 2;
        setup.problem.options.neighbours = 16;
        setup.problem.options.exact = variant == 1;
        setup.problem.options.window = variant == 2 ? 64 : 0;
        setup.problem.options.local = variant == 3 ? 9 : 1;
        setup.problem.options.score = static_cast<oracle::Score>(variant);
        setup.value_type = types[variant];
        INFO("variant ", variant, ": ", describe(setup));
        check_threads([&](zeta_context *context) { return decode(context, setup); });
    }
}
