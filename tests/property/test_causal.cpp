// SPDX-License-Identifier: Apache-2.0
// Promise 1: what lies after a position changes no bit of it, whether it is replaced (by NaN and infinity too) or cut
// off.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

using Floats = std::vector<float>;

// Rows 0..keep-1 of each head of x [heads, rows, d].
Floats prefix(const Floats &x, int64_t heads, int64_t rows, int64_t d, int64_t keep) {
    Floats result;
    for (int64_t h = 0; h < heads; ++h) {
        const auto begin = x.begin() + h * rows * d;
        result.insert(result.end(), begin, begin + keep * d);
    }
    return result;
}

// Overwrites rows keep.. of each head.
void spoil(Floats &x, int64_t heads, int64_t rows, int64_t d, int64_t keep, Random &random) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float bad[] = {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity, 3.0f, -0.1f, 0.7f};
    for (int64_t h = 0; h < heads; ++h) {
        for (int64_t at = keep * d; at < rows * d; ++at)
            x[static_cast<size_t>(h * rows * d + at)] = bad[pick(random, 0, 5)];
    }
}

// The problem with everything at positions keep.. changed, or removed.
Case changed(Case problem, int64_t q_keep, int64_t k_keep, bool shorter, Random &random) {
    oracle::Shape &s = problem.shape;
    const int64_t q_heads = s.batches * s.heads;
    const int64_t k_heads = s.batches * s.key_heads;
    if (shorter) {
        problem.q = prefix(problem.q, q_heads, s.queries, s.dk, q_keep);
        problem.grad_out = prefix(problem.grad_out, q_heads, s.queries, s.dv, q_keep);
        problem.k = prefix(problem.k, k_heads, s.keys, s.dk, k_keep);
        problem.v = prefix(problem.v, k_heads, s.keys, s.dv, k_keep);
        s.queries = q_keep;
        s.keys = k_keep;
        return problem;
    }
    spoil(problem.q, q_heads, s.queries, s.dk, q_keep, random);
    spoil(problem.grad_out, q_heads, s.queries, s.dv, q_keep, random);
    spoil(problem.k, k_heads, s.keys, s.dk, k_keep, random);
    spoil(problem.v, k_heads, s.keys, s.dv, k_keep, random);
    problem.q = rounded(problem.q, problem.qk_type);
    problem.k = rounded(problem.k, problem.qk_type);
    problem.v = rounded(problem.v, problem.v_type);
    problem.grad_out = rounded(problem.grad_out, problem.v_type);
    return problem;
}

void check_past(zeta_context *context, const Case &problem, Random &random) {
    const oracle::Shape &s = problem.shape;
    const int64_t heads = s.batches * s.heads;
    const Result full = run(context, problem);
    CHECK(full.error == "");
    for (const bool shorter : {false, true}) {
        const int64_t keep = pick(random, 0, s.queries);
        const Case other = changed(problem, keep, keep + s.keys - s.queries, shorter, random);
        const Result got = run(context, other);
        INFO((shorter ? "cut" : "changed"), " at query ", keep, ": ", describe(problem));
        CHECK(got.error == "");
        const int64_t rows = other.shape.queries;
        const auto same = [&](const Floats &a, const Floats &b, int64_t d) {
            return same_bits(prefix(a, heads, s.queries, d, keep), prefix(b, heads, rows, d, keep));
        };
        CHECK(same(full.out, got.out, s.dv));
        CHECK(same(full.normaliser, got.normaliser, 1));
        CHECK(same(full.grad_q, got.grad_q, s.dk));
        bool neighbours = true;
        for (int64_t h = 0; h < heads; ++h) {
            const auto before = full.neighbours.begin() + h * s.queries * problem.options.neighbours;
            const auto after = got.neighbours.begin() + h * rows * problem.options.neighbours;
            neighbours = neighbours && std::equal(before, before + keep * problem.options.neighbours, after);
        }
        CHECK(neighbours);
    }
}

Case causal_case(Random &random, bool small) {
    Case problem;
    do problem = random_case(random, small);
    while (!problem.options.causal || !problem.options.q_lengths.empty() || problem.shape.rows() == 0);
    return problem;
}

} // namespace

TEST_CASE("causal: later positions change no bit") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < settings().cases / 4; ++n) {
            Random random(settings().seed * 7919 + static_cast<uint64_t>(n));
            INFO(isa, " case ", n);
            check_past(context.get(), causal_case(random, n % 16 != 0), random);
        }
    }
}

TEST_CASE("causal: the dense control") {
    const Context context = make_context(nullptr, 1);
    for (int n = 0; n < settings().cases / 8; ++n) {
        Random random(settings().seed * 104729 + static_cast<uint64_t>(n));
        const Case problem = causal_case(random, true);
        const oracle::Shape &s = problem.shape;
        const int64_t keep = pick(random, 0, s.queries);
        const Case other = changed(problem, keep, keep + s.keys - s.queries, false, random);
        Floats before, after;
        for (const Case *each : {&problem, &other}) {
            Random layout(3);
            const Params params(*each);
            const Buffer q(each->qk_type, q_shape(s), Place::plain, layout, &each->q);
            const Buffer k(each->qk_type, k_shape(s), Place::plain, layout, &each->k);
            const Buffer v(each->v_type, v_shape(s), Place::plain, layout, &each->v);
            const Buffer out(each->v_type, out_shape(s), Place::plain, layout);
            zeta_forward_args args;
            zeta_forward_args_init(&args);
            args.q = q.view();
            args.k = k.view();
            args.v = v.view();
            args.out = out.view();
            CHECK(zeta_dense_forward(context.get(), &params.c, &args) == ZETA_OK);
            (each == &problem ? before : after) = out.floats();
        }
        const int64_t heads = s.batches * s.heads;
        INFO("case ", n, " changed at query ", keep, ": ", describe(problem));
        CHECK(same_bits(prefix(before, heads, s.queries, s.dv, keep), prefix(after, heads, s.queries, s.dv, keep)));
    }
}
