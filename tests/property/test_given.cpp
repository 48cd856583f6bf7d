// SPDX-License-Identifier: Apache-2.0
// zeta_attend_neighbours, forward and backward: any legal lists, in any order, with duplicates and empty slots.
#include <doctest/doctest.h>

#include <algorithm>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

using Lists = std::vector<std::vector<int64_t>>;

// Up to `slots` searchable keys per row, drawn with replacement.
Lists draw_lists(Random &random, const Lists &searchable, int64_t slots) {
    Lists result;
    for (const std::vector<int64_t> &keys : searchable) {
        std::vector<int64_t> list;
        const int64_t count = keys.empty() ? 0 : pick(random, 0, slots);
        for (int64_t n = 0; n < count; ++n)
            list.push_back(keys[static_cast<size_t>(pick(random, 0, static_cast<int64_t>(keys.size()) - 1))]);
        result.push_back(std::move(list));
    }
    return result;
}

Result run_given(zeta_context *context, const Case &problem, const Lists &lists, int64_t slots, Place place,
                 uint64_t seed) {
    Random random(seed);
    const oracle::Shape &s = problem.shape;
    const Params params(problem);
    const Buffer q(problem.qk_type, q_shape(s), place, random, &problem.q);
    const Buffer k(problem.qk_type, k_shape(s), place, random, &problem.k);
    const Buffer v(problem.v_type, v_shape(s), place, random, &problem.v);
    const Buffer grad_out(problem.v_type, out_shape(s), place, random, &problem.grad_out);
    const Buffer out(problem.v_type, out_shape(s), place, random);
    const Buffer normaliser(ZETA_F32, row_shape(s), place, random);
    Buffer neighbours(ZETA_I32, slot_shape(s, slots), place, random);
    neighbours.set(padded(lists, slots));
    const Buffer grad_q(problem.qk_type, q_shape(s), place, random);
    const Buffer grad_k(problem.qk_type, k_shape(s), place, random);
    const Buffer grad_v(problem.v_type, v_shape(s), place, random);
    const Buffer grad_gamma(ZETA_F32, {s.heads}, place, random);

    zeta_forward_args forward;
    zeta_forward_args_init(&forward);
    forward.q = q.view();
    forward.k = k.view();
    forward.v = v.view();
    forward.out = out.view();
    forward.normaliser = normaliser.view();
    size_t size = 0;
    zeta_saved_size(context, &params.c, &forward, &size);
    std::vector<unsigned char> saved(size);
    forward.saved = saved.data();
    forward.saved_size = size;
    Result result;
    result.status = zeta_attend_neighbours(context, &params.c, neighbours.view(), &forward);
    if (result.status != ZETA_OK) result.error = std::string("forward: ") + zeta_last_error();

    zeta_backward_args backward;
    zeta_backward_args_init(&backward);
    backward.q = q.view();
    backward.k = k.view();
    backward.v = v.view();
    backward.grad_out = grad_out.view();
    backward.grad_q = grad_q.view();
    backward.grad_k = grad_k.view();
    backward.grad_v = grad_v.view();
    backward.grad_gamma = grad_gamma.view();
    backward.saved = saved.data();
    backward.saved_size = size;
    const zeta_status status = zeta_attend_neighbours_backward(context, &params.c, neighbours.view(), &backward);
    if (status != ZETA_OK && result.error.empty()) result.error = std::string("backward: ") + zeta_last_error();
    result.out = out.floats();
    result.normaliser = normaliser.floats();
    result.grad_q = grad_q.floats();
    result.grad_k = grad_k.floats();
    result.grad_v = grad_v.floats();
    result.grad_gamma = grad_gamma.floats();
    result.intact = neighbours.unchanged() && q.unchanged() && k.unchanged() && v.unchanged() && out.gaps_intact() &&
                    normaliser.gaps_intact() && grad_q.gaps_intact() && grad_k.gaps_intact() && grad_v.gaps_intact() &&
                    grad_gamma.gaps_intact();
    return result;
}

} // namespace

TEST_CASE("given neighbours: random lists") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < settings().cases / 5; ++n) {
            Random random(settings().seed * 49979687 + static_cast<uint64_t>(n));
            const Case problem = random_case(random);
            const oracle::Selector selector(problem.shape, problem.options, problem.q, problem.k);
            const int64_t slots = pick(random, 1, 40);
            const Lists lists = draw_lists(random, selector.all_searchable(), slots);
            const Place places[] = {Place::plain, Place::scattered, Place::page_end, Place::page_start};
            const Result got = run_given(context.get(), problem, lists, slots, places[n % 4], random());
            INFO(isa, " case ", n, " slots ", slots, ": ", describe(problem));
            CHECK(got.error == "");
            CHECK(got.intact);
            CHECK(compare_rows(problem, got, lists) == "");
            if (!problem.tame) continue;
            const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
            CHECK(compare_gradients(problem, got, attention.backward(lists, widened(problem.grad_out))) == "");
        }
    }
}

TEST_CASE("given neighbours: an entry out of range is refused") {
    const Context context = make_context(nullptr, 1);
    Case problem = plain_case(1, 1, 10, 3, 2, 1);
    problem.options.first = 2;
    Lists lists(10);
    lists[9] = {2, 8};
    CHECK(run_given(context.get(), problem, lists, 2, Place::plain, 1).error == "");
    for (const int64_t bad : {int64_t{1}, int64_t{9}, int64_t{10}, int64_t{-2}, int64_t{1} << 30}) {
        lists[9] = {bad, 8};
        INFO("entry ", bad);
        CHECK(run_given(context.get(), problem, lists, 2, Place::plain, 1).status == ZETA_ERROR_ARGUMENT);
    }
    lists[9] = {-1, 8}; // an empty slot before a full one
    CHECK(run_given(context.get(), problem, lists, 2, Place::plain, 1).status == ZETA_ERROR_ARGUMENT);
}
