// SPDX-License-Identifier: Apache-2.0
// Spec section 6: every gradient of every score against the oracle's formulas, and against central differences of the
// oracle's float64 loss with the selection held (so formulas that are wrong in both would be seen).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

using Lists = std::vector<std::vector<int64_t>>;

// Compares sampled entries of one gradient with central differences; x is the tensor inside `loss`.
template <class Loss>
void check_slopes(const char *what, const std::vector<float> &got, std::vector<double> &x, const Loss &loss,
                  Random &random) {
    double most = 0;
    for (const float g : got) most = std::max(most, std::fabs(double{g}));
    for (int n = 0; n < 12; ++n) {
        const auto at = static_cast<size_t>(pick(random, 0, static_cast<int64_t>(x.size()) - 1));
        const double middle = x[at];
        const double step = 1e-5;
        x[at] = middle + step;
        const double above = loss();
        x[at] = middle - step;
        const double below = loss();
        x[at] = middle;
        INFO(what, " entry ", at);
        CHECK(std::fabs((above - below) / (2 * step) - double{got[at]}) <= 1e-4 * most);
    }
}

void check_case(zeta_context *context, Case problem, Random &random) {
    const Result got = run(context, problem);
    INFO(zeta_context_isa(context), ": ", describe(problem));
    CHECK(compare(problem, got, true) == "");
    const Lists lists = oracle::Selector(problem.shape, problem.options, problem.q, problem.k).all_neighbours();
    const std::vector<double> grad_out = widened(problem.grad_out);
    std::vector<double> q = widened(problem.q), k = widened(problem.k), v = widened(problem.v);
    const auto loss = [&] {
        return oracle::Attention<double>(problem.shape, problem.options, q, k, v).loss(lists, grad_out);
    };
    check_slopes("grad_q", got.grad_q, q, loss, random);
    check_slopes("grad_k", got.grad_k, k, loss, random);
    check_slopes("grad_v", got.grad_v, v, loss, random);
    double most = 0;
    for (const float g : got.grad_gamma) most = std::max(most, std::fabs(double{g}));
    for (size_t h = 0; h < problem.options.gamma.size(); ++h) {
        float &gamma = problem.options.gamma[h];
        const float step = std::ldexp(1.0f, -12); // exact beside these γ
        gamma += step;
        const double above = loss();
        gamma -= 2 * step;
        const double below = loss();
        gamma += step;
        INFO("grad_gamma ", h);
        CHECK(std::fabs((above - below) / (2 * double{step}) - double{got.grad_gamma[h]}) <= 1e-4 * most);
    }
}

// The largest error, as a share of the largest entry.
double worst_share(const std::vector<float> &got, const std::vector<double> &expected) {
    double most = 0, worst = 0;
    for (size_t at = 0; at < got.size(); ++at) {
        most = std::max(most, std::fabs(expected[at]));
        worst = std::max(worst, std::fabs(double{got[at]} - expected[at]));
    }
    return worst / most;
}

} // namespace

TEST_CASE("gradients: every score, mean, local window, chunk and selection") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        int n = 0;
        for (int score = 0; score < 5; ++score) {
            for (const bool mean : {false, true}) {
                for (const int select : {0, 1, 2}) {
                    Random random(settings().seed * 67867967 + static_cast<uint64_t>(++n));
                    Case problem = plain_case(1, 2, 40, 1 + n % 4, 1 + n % 7, random());
                    problem.options.score = static_cast<oracle::Score>(score);
                    problem.options.mean = mean;
                    problem.options.neighbours = 6;
                    problem.options.exact = select == 1;
                    problem.options.window = select == 2 ? 20 : 0;
                    problem.options.local = n % 4;
                    problem.options.chunk = n % 5 == 0 ? 8 : 1;
                    problem.options.gamma = {1.25f, 0.75f};
                    check_case(context.get(), problem, random);
                }
            }
        }
    }
}

TEST_CASE("gradients: query heads that share keys, not causal, more keys than queries") {
    const Context context = make_context(nullptr, 2);
    for (int n = 0; n < 10; ++n) {
        Random random(settings().seed * 86028121 + static_cast<uint64_t>(n));
        Case problem;
        problem.shape = {2, 4, 2, 20, 31, 3, 4};
        problem.options.score = static_cast<oracle::Score>(n % 5);
        problem.options.causal = n % 2 == 0;
        problem.options.local = problem.options.causal ? 1 : 0;
        problem.options.neighbours = 5;
        problem.options.gamma = {1.25f, 0.75f, 1.5f, 1};
        fill(problem, random, Data::gaussian);
        check_case(context.get(), problem, random);
    }
}

TEST_CASE("gradients: outputs are optional, each alone has the same bits; overwritten, not accumulated") {
    const Context context = make_context(nullptr, 1);
    const Case problem = plain_case(1, 2, 60, 3, 5, settings().seed);
    const Result all = run(context.get(), problem);
    const oracle::Shape &s = problem.shape;
    Random random(1);
    const Params params(problem);
    const Buffer q(ZETA_F32, q_shape(s), Place::plain, random, &problem.q);
    const Buffer k(ZETA_F32, k_shape(s), Place::plain, random, &problem.k);
    const Buffer v(ZETA_F32, v_shape(s), Place::plain, random, &problem.v);
    const Buffer out(ZETA_F32, out_shape(s), Place::plain, random);
    const Buffer grad_out(ZETA_F32, out_shape(s), Place::plain, random, &problem.grad_out);
    zeta_forward_args forward;
    zeta_forward_args_init(&forward);
    forward.q = q.view(), forward.k = k.view(), forward.v = v.view(), forward.out = out.view();
    REQUIRE(zeta_saved_size(context.get(), &params.c, &forward, &forward.saved_size) == ZETA_OK);
    std::vector<unsigned char> saved(forward.saved_size);
    forward.saved = saved.data();
    REQUIRE(zeta_forward(context.get(), &params.c, &forward) == ZETA_OK);
    const Buffer grads[] = {{ZETA_F32, q_shape(s), Place::plain, random},
                            {ZETA_F32, k_shape(s), Place::plain, random},
                            {ZETA_F32, v_shape(s), Place::plain, random},
                            {ZETA_F32, {s.heads}, Place::plain, random}};
    const std::vector<float> *expected[] = {&all.grad_q, &all.grad_k, &all.grad_v, &all.grad_gamma};
    for (int only = 0; only < 4; ++only) {
        zeta_backward_args args;
        zeta_backward_args_init(&args);
        args.q = q.view(), args.k = k.view(), args.v = v.view(), args.grad_out = grad_out.view();
        args.saved = saved.data(), args.saved_size = saved.size();
        const zeta_tensor **slots[] = {&args.grad_q, &args.grad_k, &args.grad_v, &args.grad_gamma};
        *slots[only] = grads[only].view();
        for (int twice = 0; twice < 2; ++twice) {
            REQUIRE(zeta_backward(context.get(), &params.c, &args) == ZETA_OK);
            CHECK(same_bits(grads[only].floats(), *expected[only]));
        }
    }
}

TEST_CASE("gradients: none where D is 0, though q and k differ") {
    const Context context = make_context(nullptr, 1);
    for (int score = 0; score < 4; ++score) { // dot has no D
        Case problem = plain_case(1, 1, 40, 3, 4, settings().seed);
        problem.options.score = static_cast<oracle::Score>(score);
        problem.options.neighbours = 6;
        for (std::vector<float> *x : {&problem.q, &problem.k})
            for (float &value : *x) value *= 1e-30f; // squares vanish
        const Result got = run(context.get(), problem);
        INFO(describe(problem));
        CHECK(compare(problem, got, true) == "");
        for (const std::vector<float> *x : {&got.grad_q, &got.grad_k})
            CHECK(std::all_of(x->begin(), x->end(), [](float value) { return value == 0; }));
    }
}

TEST_CASE("gradients: a key at infinite distance gets none and changes none") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 30; ++n) {
            Case problem = plain_case(1, 1, 50, 3, 4, settings().seed + static_cast<uint64_t>(n));
            problem.options.score = static_cast<oracle::Score>(n % 5);
            problem.options.mean = n % 2 == 0;
            problem.options.neighbours = 40; // so that it is selected
            problem.options.exact = n % 3 == 0;
            problem.options.local = n % 4 == 0 ? 100 : 3;
            problem.k[static_cast<size_t>(20 * 3 + n % 3)] = n % 2 == 0 ? 3e38f : -1e30f;
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, true) == "");
            for (size_t e = 20 * 3; e < 21 * 3; ++e) CHECK(got.grad_k[e] == 0);
        }
    }
}

// Their gradients are small differences of products with values, beside which tolerances of the other tests are wide.
TEST_CASE("gradients: rows where one key has nearly all the weight") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 24; ++n) {
            Random random(settings().seed * 32452843 + static_cast<uint64_t>(n));
            Case problem = plain_case(1, 1, 100, 1, 16, random());
            problem.options.causal = n % 4 != 0;
            problem.options.local = n % 4 == 0 ? 0 : n % 4 == 1 ? 1 : 70;
            problem.options.score = n % 2 == 0 ? oracle::Score::gaussian : oracle::Score::laplace;
            problem.options.gamma = {n % 2 == 0 ? 0.22f : 0.05f};
            problem.options.mean = false;
            for (size_t i = 0; i < 100; ++i) {
                problem.k[i] = static_cast<float>(i);
                const auto own = n % 4 == 0 ? pick(random, 1, 98) : static_cast<int64_t>(i);
                problem.q[i] = static_cast<float>(own) + 0.02f * problem.q[i];
            }
            for (float &x : problem.v) x += n % 3 == 0 ? 100.0f : 0.0f;
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, true) == "");
            const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
            const Lists lists = oracle::Selector(problem.shape, problem.options, problem.q, problem.k).all_neighbours();
            const oracle::Gradients expected = attention.backward(lists, widened(problem.grad_out));
            CHECK(worst_share(got.grad_q, expected.q) <= 2e-5);
            CHECK(worst_share(got.grad_k, expected.k) <= 2e-5);
        }
    }
}

TEST_CASE("gradients: rows where the mean has nearly all the weight") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 8; ++n) {
            Random random(settings().seed * 32452867 + static_cast<uint64_t>(n));
            Case problem = plain_case(1, 1, 100, 1, 16, random());
            problem.options.causal = false;
            problem.options.local = 0;
            problem.options.score = n % 2 == 0 ? oracle::Score::gaussian : oracle::Score::laplace;
            problem.options.gamma = {n % 2 == 0 ? 14.0f : 4.0f};
            problem.options.mean = true;
            for (size_t i = 0; i < 100; ++i) problem.k[i] = i % 2 == 0 ? 50.0f : -50.0f; // on both sides of their mean
            for (float &x : problem.v) x += n < 4 ? 100.0f : 0.0f;
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, true) == "");
            const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
            const Lists lists = oracle::Selector(problem.shape, problem.options, problem.q, problem.k).all_neighbours();
            const oracle::Gradients expected = attention.backward(lists, widened(problem.grad_out));
            CHECK(worst_share(got.grad_q, expected.q) <= 2e-5);
        }
    }
}

TEST_CASE("gradients: exactly none for q, k and gamma where the mean alone is attended") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 10; ++n) {
            Case problem = plain_case(1, 1, 60, 3, 64, settings().seed + static_cast<uint64_t>(n));
            problem.options.score = static_cast<oracle::Score>(n % 5);
            problem.options.first = 60;
            problem.options.causal = n < 5;
            problem.options.local = 0;
            problem.options.mean = true;
            for (float &x : problem.v) x += 100;
            const Result got = run(context.get(), problem);
            INFO(isa, ": ", describe(problem));
            CHECK(compare(problem, got, true) == "");
            for (const std::vector<float> *x : {&got.grad_q, &got.grad_k, &got.grad_gamma})
                CHECK(std::all_of(x->begin(), x->end(), [](float value) { return value == 0; }));
        }
    }
}

// Their products with a gradient must not set the scale of the others' rounding, wherever in the list they stand.
TEST_CASE("gradients: huge values of keys that weigh nearly nothing") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 40; ++n) {
            Case problem = plain_case(1, 1, 100, 3, 16, settings().seed * 15485863 + static_cast<uint64_t>(n));
            problem.options.score = static_cast<oracle::Score>(n % 5);
            problem.options.gamma = {0.5f};
            problem.options.mean = n % 8 == 7;
            problem.options.neighbours = 64;
            problem.options.local = n % 2 == 0 ? 1 : 70; // the latter in slices
            for (float &x : problem.q) x = std::fabs(x);
            for (size_t j = 0; j < 100; j += 3) {
                std::fill_n(problem.k.begin() + static_cast<std::ptrdiff_t>(j * 3), 3, -60.0f);
                for (size_t c = 0; c < 16; ++c) problem.v[j * 16 + c] *= 1e6f;
            }
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, true) == "");
        }
    }
}

// Terms of one sign: the errors of a float32 sum would have one sign, too.
TEST_CASE("gradients: keys that very many queries attend") {
    for (const int32_t threads : {1, 3}) {
        const Context context = make_context(nullptr, threads);
        for (int n = 0; n < 4; ++n) {
            Random random(settings().seed * 49979693 + static_cast<uint64_t>(n));
            Case problem;
            problem.shape = {1, 2, 1, 16384, 7, 3, n < 2 ? 5 : 40};
            problem.options.causal = problem.options.mean = false;
            problem.options.local = 0;
            problem.options.neighbours = 8;
            problem.v_type = n == 3 ? ZETA_BF16 : ZETA_F32;
            fill(problem, random, Data::gaussian);
            const std::vector<float> query(problem.q.begin(), problem.q.begin() + 3);
            for (size_t at = 0; n != 1 && at < problem.q.size(); ++at) problem.q[at] = query[at % 3];
            std::fill(problem.grad_out.begin(), problem.grad_out.end(), 1.0f);
            const Result got = run(context.get(), problem);
            INFO(threads, " threads, case ", n, ": ", describe(problem));
            const Lists lists(size_t(problem.shape.rows()), {0, 1, 2, 3, 4, 5, 6});
            const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
            const oracle::Gradients expected = attention.backward(lists, widened(problem.grad_out));
            CHECK(worst_share(got.grad_v, expected.v) <= (n == 3 ? 4e-3 : 2e-6));
        }
    }
}

TEST_CASE("gradients: values in windows of thousands") {
    constexpr int64_t kLength = 5000, kWindow = 2500;
    for (const int32_t threads : {1, 3}) {
        const Context context = make_context(nullptr, threads);
        Random random(settings().seed);
        Case problem;
        problem.shape = {1, 1, 1, kLength, kLength, 1, 20};
        problem.options.local = kWindow;
        problem.options.mean = false;
        fill(problem, random, Data::equal);
        std::fill(problem.grad_out.begin(), problem.grad_out.end(), 1.0f);
        problem.options.chunk = int64_t{1} << 40; // no neighbours
        const Result got = run(context.get(), problem);
        REQUIRE(got.error == "");
        std::vector<double> expected(problem.v.size());
        for (int64_t j = 0; j < kLength; ++j) {
            double sum = 0;
            for (int64_t t = j; t < std::min(kLength, j + kWindow); ++t) sum += 1.0 / double(std::min(t + 1, kWindow));
            std::fill_n(expected.begin() + j * 20, 20, sum);
        }
        CHECK(worst_share(got.grad_v, expected) <= 2e-6);
    }
}
