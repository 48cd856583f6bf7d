// SPDX-License-Identifier: Apache-2.0
// Tensors of a cache's calls in field order, then what they share of memory, then counts and lengths: each sentence
// names the sequence, its length and what was asked of it.
#include "check_cache.hpp"

#include "../status.hpp"
#include "check_params.hpp"

namespace zeta::api {
namespace {

using cache::Cache;
using shown = long long; // for %lld

bool appends(CacheCall call) {
    return call != CacheCall::attend;
}

bool attends(CacheCall call) {
    return call != CacheCall::append;
}

// A tensor that append or attend does not use: the other calls use all.
void check_unused(const char *name, const zeta_tensor *tensor, CacheCall call) {
    if (tensor != nullptr)
        fail(ZETA_ERROR_ARGUMENT, "%s is given but must be NULL in %s", name,
             call == CacheCall::append ? "zeta_cache_append" : "zeta_cache_attend");
}

// Checks the tensors one after another; the first gives n.
class Shapes {
public:
    Shapes(const Cache &cache, CacheCall call)
        : problem_(cache.shape().problem), batches_(cache.batches()), call_(call) {}

    // [B, heads, n, channels], or [B, heads, n] if the rule has rank 3.
    void query_shaped(const TensorRule &rule, const zeta_tensor *tensor, int64_t channels, const char *meaning) {
        check(rule, tensor, problem_.query_heads, "the query heads of the cache", channels, meaning);
    }
    void key_shaped(const TensorRule &rule, const zeta_tensor *tensor, int64_t channels, const char *meaning) {
        check(rule, tensor, problem_.key_heads, "the key heads of the cache", channels, meaning);
    }
    int64_t n() const { return n_; }

private:
    void check(const TensorRule &rule, const zeta_tensor *tensor, int64_t heads, const char *whose, int64_t channels,
               const char *meaning) {
        check_tensor(rule, tensor, Purpose::run);
        check_extent(rule.name, *tensor, 0, batches_, "the batches of the cache");
        check_extent(rule.name, *tensor, 1, heads, whose);
        if (first_ == nullptr)
            begin(rule.name, *tensor);
        else
            check_extent(rule.name, *tensor, 2, n_, first_);
        if (rule.rank == 4) check_extent(rule.name, *tensor, 3, channels, meaning);
    }
    void begin(const char *name, const zeta_tensor &tensor) {
        if (call_ == CacheCall::step) check_extent(name, tensor, 2, 1, "the one position of a step");
        first_ = name[0] == 'q' ? "the positions of q" : "the positions of k";
        n_ = tensor.shape[2];
    }

    const Problem &problem_;
    const int64_t batches_;
    const CacheCall call_;
    const char *first_ = nullptr;
    int64_t n_ = 0;
};

void check_queries(const zeta_cache_args &args, CacheCall call, const Problem &problem, Shapes &shapes) {
    if (attends(call))
        shapes.query_shaped({"q", 4, kFloating, Role::input}, args.q, problem.dk, "the dk of the cache");
    else
        check_unused("q", args.q, call);
}

void check_keys(const zeta_cache_args &args, CacheCall call, const Problem &problem, Shapes &shapes) {
    if (!appends(call)) {
        check_unused("k", args.k, call);
        check_unused("v", args.v, call);
        return;
    }
    shapes.key_shaped({"k", 4, kFloating, Role::input}, args.k, problem.dk, "the dk of the cache");
    if (attends(call)) check_same_type("k", *args.k, "q", *args.q);
    shapes.key_shaped({"v", 4, kFloating, Role::input}, args.v, problem.dv, "the dv of the cache");
}

void check_outputs(const zeta_cache_args &args, CacheCall call, const Problem &problem, Shapes &shapes) {
    if (!attends(call)) {
        check_unused("out", args.out, call);
        check_unused("normaliser", args.normaliser, call);
        check_unused("neighbours", args.neighbours, call);
        return;
    }
    shapes.query_shaped({"out", 4, kFloating, Role::output}, args.out, problem.dv, "the dv of the cache");
    if (args.normaliser != nullptr)
        shapes.query_shaped({"normaliser", 3, kFloat32, Role::output}, args.normaliser, 0, "");
    if (args.neighbours != nullptr)
        shapes.query_shaped({"neighbours", 4, kInt32, Role::output}, args.neighbours, problem.neighbours,
                            "neighbours of the cache");
}

void check_counts(const Cache &cache, const cache::Call &call) {
    check_alignment("counts", call.counts, alignof(int64_t));
    if (call.counts == nullptr) return;
    for (int64_t b = 0; b < cache.batches(); ++b)
        if (call.counts[b] < 0 || call.counts[b] > call.n)
            fail(ZETA_ERROR_ARGUMENT, "counts[%lld] is %lld: must be 0 to %lld, the positions of the tensors", shown{b},
                 shown{call.counts[b]}, shown{call.n});
}

void check_memory(const Cache &cache, const zeta_cache_args &args) {
    const size_t bytes = static_cast<size_t>(cache.batches()) * sizeof(int64_t);
    Overlaps overlaps;
    overlaps.input("q", args.q);
    overlaps.input("k", args.k);
    overlaps.input("v", args.v);
    overlaps.input("counts", args.counts, args.counts == nullptr ? 0 : bytes);
    overlaps.output("out", args.out);
    overlaps.output("normaliser", args.normaliser);
    overlaps.output("neighbours", args.neighbours);
}

void check_growth(const Cache &cache, const cache::Call &call) {
    for (int64_t b = 0; b < cache.batches(); ++b)
        if (call.count(b) > ZETA_MAX_KEYS - cache.length(b))
            fail(ZETA_ERROR_SHAPE, "sequence %lld has length %lld and %lld positions are added: it may have at most %d",
                 shown{b}, shown{cache.length(b)}, shown{call.count(b)}, ZETA_MAX_KEYS);
}

// Queries stand at the last positions, and what a query stands at must be there still.
void check_standing(const Cache &cache, const cache::Call &call) {
    if (!cache.shape().problem.causal) return;
    for (int64_t b = 0; b < cache.batches(); ++b) {
        const int64_t length = cache.length(b), count = call.count(b), evicted = cache.evicted(b);
        if (count > length)
            fail(ZETA_ERROR_SHAPE,
                 "sequence %lld has length %lld but %lld queries: each stands at one of its positions", shown{b},
                 shown{length}, shown{count});
        if (count > 0 && length - count < evicted)
            fail(ZETA_ERROR_SHAPE,
                 "sequence %lld has length %lld and %lld queries, the first at position %lld: positions before %lld "
                 "were "
                 "evicted",
                 shown{b}, shown{length}, shown{count}, shown{length - count}, shown{evicted});
    }
}

} // namespace

cache::Call check_cache_args(const Cache &cache, const zeta_cache_args *args, CacheCall call) {
    check_pointer("args", args, alignof(zeta_cache_args));
    check_struct_size("args", args->struct_size, sizeof *args);
    const Problem &problem = cache.shape().problem;
    Shapes shapes(cache, call);
    check_queries(*args, call, problem, shapes);
    check_keys(*args, call, problem, shapes);
    check_outputs(*args, call, problem, shapes);

    cache::Call checked;
    checked.n = shapes.n();
    checked.counts = args->counts;
    checked.tensors.q = make_view(args->q);
    checked.tensors.k = make_view(args->k);
    checked.tensors.v = make_view(args->v);
    checked.tensors.out = make_view(args->out);
    checked.tensors.normaliser = make_view(args->normaliser);
    checked.tensors.neighbours = make_view(args->neighbours);
    check_counts(cache, checked);
    check_memory(cache, *args);
    if (appends(call))
        check_growth(cache, checked);
    else
        check_standing(cache, checked);
    return checked;
}

void check_cache_lengths(const Cache &cache, const int64_t *lengths) {
    check_pointer("lengths", lengths, alignof(int64_t));
    for (int64_t b = 0; b < cache.batches(); ++b) {
        if (lengths[b] < 0 || lengths[b] > cache.length(b))
            fail(ZETA_ERROR_ARGUMENT, "lengths[%lld] is %lld: must be 0 to %lld, the sequence's length", shown{b},
                 shown{lengths[b]}, shown{cache.length(b)});
        if (lengths[b] < cache.evicted(b))
            fail(ZETA_ERROR_ARGUMENT, "lengths[%lld] is %lld: positions before %lld were evicted", shown{b},
                 shown{lengths[b]}, shown{cache.evicted(b)});
    }
}

void check_cache_positions(const Cache &cache, const int64_t *positions) {
    check_pointer("positions", positions, alignof(int64_t));
    for (int64_t b = 0; b < cache.batches(); ++b)
        if (positions[b] < 0 || positions[b] > cache.length(b))
            fail(ZETA_ERROR_ARGUMENT, "positions[%lld] is %lld: must be 0 to %lld, the sequence's length", shown{b},
                 shown{positions[b]}, shown{cache.length(b)});
}

int64_t check_cache_fork(const Cache &cache, const int64_t *sequences, int64_t count) {
    const int64_t batches = cache.batches();
    if (sequences == nullptr) {
        if (count != 0 && count != batches)
            fail(ZETA_ERROR_ARGUMENT, "sequences is NULL and count is %lld: must be 0 or %lld, the cache's sequences",
                 shown{count}, shown{batches});
        return batches;
    }
    check_alignment("sequences", sequences, alignof(int64_t));
    if (count < 1) fail(ZETA_ERROR_ARGUMENT, "count is %lld: must be at least 1", shown{count});
    if (!cache_is_countable(cache.shape().problem, count))
        fail(ZETA_ERROR_ARGUMENT, "count is %lld: the bytes of so many sequences overflow", shown{count});
    for (int64_t i = 0; i < count; ++i)
        if (sequences[i] < 0 || sequences[i] >= batches)
            fail(ZETA_ERROR_ARGUMENT, "sequences[%lld] is %lld: must be 0 to %lld", shown{i}, shown{sequences[i]},
                 shown{batches - 1});
    return count;
}

} // namespace zeta::api
