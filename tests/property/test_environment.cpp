// SPDX-License-Identifier: Apache-2.0
// Spec section 1, floating-point environment: a caller that flushes denormals or rounds another way gets the same bits,
// and its own state back.
#include <doctest/doctest.h>

#include <cfenv>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

constexpr unsigned kFlush = 0x8040; // FTZ and DAZ of MXCSR

// State of the calling thread: rounding direction and, where there is one, the flush mode.
struct State {
    int rounding = FE_TONEAREST;
    bool flush = false;

    static State current() {
        State result;
        result.rounding = std::fegetround();
#if defined(__SSE2__)
        result.flush = (_mm_getcsr() & kFlush) == kFlush;
#endif
        return result;
    }
    void apply() const {
        std::fesetround(rounding);
#if defined(__SSE2__)
        _mm_setcsr(flush ? _mm_getcsr() | kFlush : _mm_getcsr() & ~kFlush);
#endif
    }
    bool operator==(const State &other) const {
        return rounding == other.rounding && flush == other.flush;
    }
};

// Everything a caller can compute: bits of all results, made and freed under `state`.
struct Calls {
    Result attention;
    std::vector<uint64_t> codes;
    std::vector<float> dense;
    std::vector<int32_t> selected;
    double recall = 0;
    bool restored = true;
};

Calls call_all(const State &state, const Case &problem, int32_t threads) {
    const State outside = State::current();
    const oracle::Shape &s = problem.shape;
    Random random(2);
    const Params params(problem);
    const Buffer q(problem.qk_type, q_shape(s), Place::plain, random, &problem.q);
    const Buffer k(problem.qk_type, k_shape(s), Place::plain, random, &problem.k);
    const Buffer v(problem.v_type, v_shape(s), Place::plain, random, &problem.v);
    const Buffer out(problem.v_type, out_shape(s), Place::plain, random);
    const Buffer codes(ZETA_U64, row_shape(s), Place::plain, random);
    const Buffer slots(ZETA_I32, slot_shape(s, problem.options.neighbours), Place::plain, random);
    Calls result;
    state.apply();
    const Context context = make_context(nullptr, threads);
    const auto restored = [&] { result.restored = result.restored && State::current() == state; };
    restored();
    result.attention = run(context.get(), problem);
    restored();
    zeta_codes_encode(context.get(), &params.c.grid, q.view(), codes.view());
    restored();
    zeta_select(context.get(), &params.c, q.view(), k.view(), slots.view(), nullptr);
    restored();
    zeta_recall(context.get(), &params.c, q.view(), k.view(), &result.recall, nullptr);
    restored();
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = q.view();
    args.k = k.view();
    args.v = v.view();
    args.out = out.view();
    zeta_dense_forward(context.get(), &params.c, &args);
    restored();
    outside.apply();
    result.codes = codes.words();
    result.dense = out.floats();
    result.selected = slots.integers();
    return result;
}

} // namespace

TEST_CASE("environment: flushed denormals and other roundings change no bit and are given back") {
    for (int n = 0; n < 12; ++n) {
        Case problem = plain_case(1, 2, n % 4 == 0 ? 3000 : 120, 3, 5, settings().seed + 70);
        problem.options.score = static_cast<oracle::Score>(n % 5);
        problem.options.exact = n % 3 == 1;
        problem.options.window = n % 3 == 2 ? 64 : 0;
        Random random(settings().seed + static_cast<uint64_t>(n));
        fill(problem, random, n % 2 == 0 ? Data::tiny : Data::gaussian);
        INFO("case ", n, ": ", describe(problem));
        for (const int32_t threads : {1, 3}) {
            const Calls expected = call_all({}, problem, threads);
            CHECK(expected.attention.error == "");
            std::vector<State> states{{FE_UPWARD, false}, {FE_TOWARDZERO, false}};
#if defined(__SSE2__)
            states.push_back({FE_TONEAREST, true});
            states.push_back({FE_DOWNWARD, true});
#endif
            for (const State &state : states) {
                INFO("rounding ", state.rounding, " flush ", state.flush, " threads ", threads);
                const Calls got = call_all(state, problem, threads);
                CHECK(got.restored);
                CHECK(same_bits(got.attention.out, expected.attention.out));
                CHECK(same_bits(got.attention.normaliser, expected.attention.normaliser));
                CHECK(got.attention.neighbours == expected.attention.neighbours);
                CHECK(same_bits(got.attention.grad_q, expected.attention.grad_q));
                CHECK(same_bits(got.attention.grad_k, expected.attention.grad_k));
                CHECK(same_bits(got.attention.grad_v, expected.attention.grad_v));
                CHECK(same_bits(got.attention.grad_gamma, expected.attention.grad_gamma));
                CHECK(got.codes == expected.codes);
                CHECK(got.selected == expected.selected);
                CHECK(got.recall == expected.recall);
                CHECK(same_bits(got.dense, expected.dense));
            }
        }
    }
}
