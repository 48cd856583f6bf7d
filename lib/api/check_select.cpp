// SPDX-License-Identifier: Apache-2.0
// The door of zeta_select and zeta_recall, and the entries that zeta_attend_neighbours is given (spec section 3).
#include <algorithm>

#include "../status.hpp"
#include "check_params.hpp"
#include "check_shapes.hpp"

namespace zeta::api {
namespace {

Checked check_query_key_call(const zeta_attention_params *params, const zeta_tensor *q, const zeta_tensor *k) {
    const zeta_attention_params options = given_params(params);
    Checked checked{resolve_options(options), {}};
    check_queries_and_keys(q, k, Purpose::run, checked.problem);
    resolve_shaped_options(options, checked.problem);
    check_products(checked.problem);
    checked.tensors.q = make_view(q);
    checked.tensors.k = make_view(k);
    return checked;
}

// One sequence, or the whole call when nothing is packed: where its rows start, and how many it has.
struct Sequence {
    int64_t first_query = 0, queries = 0;
    int64_t first_key = 0, keys = 0;
};

// Where an entry of `given` is.
struct Place {
    int64_t batch, head, query;
};

// First key that the i-th query of a sequence may not search.
int64_t search_limit(const Problem &problem, const Sequence &sequence, int64_t i) {
    if (!problem.causal) return sequence.keys;
    const int64_t t = i + (sequence.keys - sequence.queries);
    const int64_t limit = std::min(t / problem.chunk * problem.chunk, t + 1 - problem.local);
    return std::max<int64_t>(0, limit);
}

void check_row(const Problem &problem, const int32_t *row, int64_t low, int64_t high, const Place &place) {
    bool ended = false;
    for (int32_t n = 0; n < problem.neighbours; ++n) {
        const int64_t entry = row[n];
        const auto refuse = [&](const char *rule) {
            fail(ZETA_ERROR_ARGUMENT,
                 "neighbours[%lld][%lld][%lld][%d] is %lld: %s, and this query may search %lld to %lld",
                 static_cast<long long>(place.batch), static_cast<long long>(place.head),
                 static_cast<long long>(place.query), static_cast<int>(n), static_cast<long long>(entry), rule,
                 static_cast<long long>(low), static_cast<long long>(high - 1));
        };
        if (entry == -1) {
            ended = true;
            continue;
        }
        if (ended) refuse("no key may follow an empty slot (-1)");
        if (low >= high)
            fail(ZETA_ERROR_ARGUMENT,
                 "neighbours[%lld][%lld][%lld][%d] is %lld: this query may search no key, so it must be -1",
                 static_cast<long long>(place.batch), static_cast<long long>(place.head),
                 static_cast<long long>(place.query), static_cast<int>(n), static_cast<long long>(entry));
        if (entry < low || entry >= high) refuse("out of range");
    }
}

void check_sequence_entries(const Problem &problem, const View &given, const Sequence &sequence, Place place) {
    for (int64_t i = 0; i < sequence.queries; ++i) {
        place.query = sequence.first_query + i;
        const int64_t limit = sequence.first_key + search_limit(problem, sequence, i);
        const int64_t low = problem.first >= sequence.keys ? limit : sequence.first_key + problem.first;
        check_row(problem, given.row<const int32_t>(place.batch, place.head, place.query), low, limit, place);
    }
}

} // namespace

Checked check_select(const zeta_attention_params *params, const zeta_tensor *q, const zeta_tensor *k,
                     const zeta_tensor *neighbours, const zeta_tensor *distances, bool needs_neighbours) {
    Checked checked = check_query_key_call(params, q, k);
    const Problem &problem = checked.problem;
    const Channels slots{problem.neighbours, "neighbours of params"};
    if (neighbours != nullptr || needs_neighbours)
        check_query_shaped({"neighbours", 4, kInt32, Role::output}, neighbours, Purpose::run, problem, slots);
    if (distances != nullptr)
        check_query_shaped({"distances", 4, kFloat32, Role::output}, distances, Purpose::run, problem, slots);
    Overlaps overlaps;
    add_params_inputs(overlaps, problem);
    overlaps.input("q", q);
    overlaps.input("k", k);
    overlaps.output("neighbours", neighbours);
    overlaps.output("distances", distances);
    checked.tensors.neighbours = make_view(neighbours);
    checked.tensors.distances = make_view(distances);
    return checked;
}

Checked check_recall(const zeta_attention_params *params, const zeta_tensor *q, const zeta_tensor *k,
                     const double *recall, const float *recall_per_head) {
    const Checked checked = check_query_key_call(params, q, k);
    check_pointer("recall", recall, alignof(double));
    check_alignment("recall_per_head", recall_per_head, alignof(float));
    const size_t heads = static_cast<size_t>(checked.problem.query_heads);
    check_buffer("recall_per_head", recall_per_head, "its size in bytes",
                 recall_per_head == nullptr ? 0 : heads * sizeof(float));
    Overlaps overlaps;
    add_params_inputs(overlaps, checked.problem);
    overlaps.input("q", q);
    overlaps.input("k", k);
    overlaps.output("recall", recall, sizeof *recall);
    overlaps.output("recall_per_head", recall_per_head, heads * sizeof(float));
    return checked;
}

void check_neighbour_entries(const Problem &problem, const View &given) {
    for (int64_t b = 0; b < problem.batches; ++b)
        for (int64_t h = 0; h < problem.query_heads; ++h) {
            const Place place{b, h, 0};
            if (problem.sequences == 0) {
                check_sequence_entries(problem, given, {0, problem.queries, 0, problem.keys}, place);
                continue;
            }
            Sequence sequence;
            for (int64_t s = 0; s < problem.sequences; ++s) {
                sequence.queries = problem.q_lengths[s];
                sequence.keys = problem.k_lengths[s];
                check_sequence_entries(problem, given, sequence, place);
                sequence.first_query += sequence.queries;
                sequence.first_key += sequence.keys;
            }
        }
}

} // namespace zeta::api
