// SPDX-License-Identifier: Apache-2.0
// Promise 3: the same bits for any number of threads, layout in memory, number of batches and heads, and order of
// heads; and the portable part of promise 4 on long heads.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

void check_same(const Result &a, const Result &b) {
    CHECK(a.error == "");
    CHECK(b.error == "");
    CHECK(b.intact);
    CHECK(same_bits(a.out, b.out));
    CHECK(same_bits(a.normaliser, b.normaliser));
    CHECK(a.neighbours == b.neighbours);
    CHECK(same_bits(a.grad_q, b.grad_q));
    CHECK(same_bits(a.grad_k, b.grad_k));
    CHECK(same_bits(a.grad_v, b.grad_v));
    CHECK(same_bits(a.grad_gamma, b.grad_gamma));
}

// Equal bits, or both NaN.
bool same_numbers(const std::vector<float> &a, const std::vector<float> &b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](float x, float y) { return same_bits(&x, &y, 1) || (std::isnan(x) && std::isnan(y)); });
}

// Head `from` of x [heads, size] is copied over head `to` of y.
template <class T> void copy_head(const std::vector<T> &x, size_t from, std::vector<T> &y, size_t to, size_t heads) {
    const size_t size = y.size() / heads;
    std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(from * size), size,
                y.begin() + static_cast<std::ptrdiff_t>(to * size));
}

} // namespace

TEST_CASE("deterministic: threads and layout, small cases") {
    for (const std::string &isa : instruction_sets()) {
        const Context one = make_context(isa.c_str(), 1);
        const Context two = make_context(isa.c_str(), 2);
        const Context five = make_context(isa.c_str(), 5);
        for (int n = 0; n < settings().cases / 5; ++n) {
            Random random(settings().seed * 15485863 + static_cast<uint64_t>(n));
            const Case problem = random_case(random, n % 12 != 0);
            INFO(isa, " case ", n, ": ", describe(problem));
            const Result plain = run(one.get(), problem);
            check_same(plain, run(one.get(), problem));
            check_same(plain, run(two.get(), problem, {Place::scattered, random(), true, true, false}));
            check_same(plain, run(five.get(), problem, {Place::scattered, random(), true, true, true}));
        }
    }
}

TEST_CASE("deterministic: one long head on 1, 2, 5 and 7 threads; all instruction sets select the same") {
    const Context one = make_context(nullptr, 1);
    const Context two = make_context(nullptr, 2);
    const Context five = make_context(nullptr, 5);
    const Context seven = make_context(nullptr, 7);
    for (int variant = 0; variant < 6; ++variant) {
        // One, two and three cache lines: seven threads have three shards of backward's additions.
        const int64_t channels = 16 + variant % 3 * 12;
        Case problem = plain_case(1, 1, 20000, 3, channels, settings().seed + static_cast<uint64_t>(variant));
        problem.options.score = static_cast<oracle::Score>(variant % 5);
        problem.options.exact = variant == 1 || variant == 5;
        problem.options.window = variant == 2 ? 128 : 0;
        problem.options.local = variant == 3 ? 7 : 1;
        problem.options.gamma = {0.5f};
        if (variant == 4) problem.options.causal = problem.options.mean = false, problem.options.local = 0;
        Random random(9);
        if (variant == 3) fill(problem, random, Data::drift);
        if (variant == 5) problem.options.mean = false;
        INFO("variant ", variant);
        const Result expected = run(one.get(), problem);
        check_same(expected, run(two.get(), problem, {Place::scattered, 4, true, true, true}));
        check_same(expected, run(five.get(), problem, {Place::scattered, 5, true, true, false}));
        check_same(expected, run(seven.get(), problem));
        for (const std::string &isa : instruction_sets()) {
            const Context other = make_context(isa.c_str(), 2);
            CHECK(run(other.get(), problem, {Place::plain, 1, false, true, false}).neighbours == expected.neighbours);
        }
    }
}

TEST_CASE("deterministic: a head alone, among others, and heads in another order") {
    const Context one = make_context(nullptr, 1);
    const Context three = make_context(nullptr, 3);
    for (int n = 0; n < 12; ++n) {
        Case alone = plain_case(1, 1, n % 3 == 0 ? 700 : 90, 1 + n % 4, 1 + 5 * (n % 5), settings().seed + 50);
        alone.options.score = static_cast<oracle::Score>(n % 5);
        alone.options.exact = n % 4 == 1;
        alone.options.local = n % 3;
        alone.options.gamma = {1.25f};
        Case many = plain_case(2, 3, alone.shape.queries, alone.shape.dk, alone.shape.dv, settings().seed + 60);
        many.options = alone.options;
        const size_t place = static_cast<size_t>(n) % 6;
        copy_head(alone.q, 0, many.q, place, 6);
        copy_head(alone.k, 0, many.k, place, 6);
        copy_head(alone.v, 0, many.v, place, 6);
        copy_head(alone.grad_out, 0, many.grad_out, place, 6);
        INFO("place ", place, ": ", describe(many));
        const Result expected = run(one.get(), alone);
        const Result all = run(three.get(), many);
        CHECK(all.error == "");
        const auto same = [&](const std::vector<float> &x, const std::vector<float> &y) {
            return same_bits(x.data(), y.data() + place * x.size(), static_cast<int64_t>(x.size()));
        };
        CHECK(same(expected.out, all.out));
        CHECK(same(expected.normaliser, all.normaliser));
        CHECK(same(expected.grad_q, all.grad_q));
        CHECK(same(expected.grad_k, all.grad_k));
        CHECK(same(expected.grad_v, all.grad_v));
        CHECK(std::equal(expected.neighbours.begin(), expected.neighbours.end(),
                         all.neighbours.begin() + static_cast<std::ptrdiff_t>(place * expected.neighbours.size())));
    }
}

// Spec section 4: one token at a time selects, and computes, what the whole sequence does.
TEST_CASE("deterministic: the last queries alone") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < settings().cases / 8; ++n) {
            Random random(settings().seed * 141650939 + static_cast<uint64_t>(n));
            Case whole;
            do whole = random_case(random, n % 8 != 0);
            while (!whole.options.causal || !whole.options.q_lengths.empty() || whole.shape.rows() == 0);
            const int64_t last = n % 2 == 0 ? 1 : pick(random, 1, whole.shape.queries);
            Case alone = whole;
            alone.shape.queries = last;
            const auto tail = [&](const std::vector<float> &x, int64_t d) { // the last rows of each head
                std::vector<float> result;
                for (int64_t end = whole.shape.queries * d; end <= static_cast<int64_t>(x.size());
                     end += whole.shape.queries * d)
                    result.insert(result.end(), x.begin() + end - last * d, x.begin() + end);
                return result;
            };
            alone.q = tail(whole.q, whole.shape.dk);
            alone.grad_out = tail(whole.grad_out, whole.shape.dv);
            const Result expected = run(context.get(), whole);
            const Result got = run(context.get(), alone);
            INFO(isa, " case ", n, ": the last ", last, " of ", describe(whole));
            CHECK(got.error == "");
            CHECK(same_numbers(tail(expected.out, whole.shape.dv), got.out));
            CHECK(same_numbers(tail(expected.normaliser, 1), got.normaliser));
            CHECK(same_numbers(tail(expected.grad_q, whole.shape.dk), got.grad_q));
            const std::vector<float> slots(expected.neighbours.begin(), expected.neighbours.end()); // below 2^24: exact
            CHECK(tail(slots, whole.options.neighbours) ==
                  std::vector<float>(got.neighbours.begin(), got.neighbours.end()));
        }
    }
}

// Nothing but the mean is attended, and seven values are followed by their negatives: at each fourteenth row what is
// left of the sums is rounding alone, and shows any other order of the additions.
TEST_CASE("deterministic: means of values that cancel") {
    const Context one = make_context(nullptr, 1);
    const Context two = make_context(nullptr, 2);
    constexpr int64_t rows = 3000, keep = 1300;
    for (int n = 0; n < 8; ++n) {
        Random random(settings().seed + static_cast<uint64_t>(n));
        Case whole = plain_case(1, 1, rows, 3, 1 + 11 * (n / 2), settings().seed + static_cast<uint64_t>(n));
        whole.options.first = rows;
        whole.v_type = n % 2 == 0 ? ZETA_F32 : ZETA_BF16;
        const int64_t dv = whole.shape.dv;
        for (float &x : whole.v) x *= std::ldexp(1.0f, static_cast<int>(pick(random, -40, 40)));
        whole.v = rounded(std::move(whole.v), whole.v_type);
        for (int64_t at = 0; at < rows * dv; ++at)
            if (at / dv % 14 >= 7) whole.v[static_cast<size_t>(at)] = -whole.v[static_cast<size_t>(at - 7 * dv)];
        INFO(describe(whole));
        const Result expected = run(one.get(), whole);
        check_same(expected, run(two.get(), whole, {Place::scattered, random(), true, true, true}));
        for (const bool first : {true, false}) { // a prefix; the last queries
            Case part = whole;
            part.shape.queries = keep;
            part.q.assign(whole.q.begin() + (first ? 0 : rows - keep) * 3, whole.q.end());
            part.q.resize(keep * 3);
            part.grad_out.resize(static_cast<size_t>(keep * dv));
            if (first) part.shape.keys = keep, part.k.resize(keep * 3), part.v.resize(static_cast<size_t>(keep * dv));
            const Result got = run(two.get(), part);
            CHECK(same_bits(got.out.data(), &expected.out[static_cast<size_t>((first ? 0 : rows - keep) * dv)],
                            keep * dv));
        }
    }
}
