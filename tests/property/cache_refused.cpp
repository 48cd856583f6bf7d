// SPDX-License-Identifier: Apache-2.0
// Mistakes of all kinds in calls on a cache (see cache_program.hpp).
#include <cmath>
#include <iterator>

#include "cache_program.hpp"

namespace property {
namespace {

// A good call of prefill or attend for mistakes to be made in.
struct Attempt {
    zeta_cache *cache;
    const CacheSetup &setup;
    const std::vector<History> &histories;
    int64_t batches, n;
    Buffer q, k, v, out, normaliser, neighbours;
    zeta_cache_args args{};
    std::vector<int64_t> numbers; // counts, lengths, positions
    bool written = false;         // something else than the tensors was

    Attempt(zeta_cache *used, const CacheSetup &s, const std::vector<History> &h, Random &random,
            const std::vector<float> &zeros)
        : cache(used), setup(s), histories(h), batches(static_cast<int64_t>(h.size())), n(3),
          q(ZETA_F32, {batches, s.problem.shape.heads, n, s.problem.shape.dk}, Place::scattered, random, &zeros),
          k(ZETA_F32, {batches, s.problem.shape.key_heads, n, s.problem.shape.dk}, Place::scattered, random),
          v(ZETA_F32, {batches, s.problem.shape.key_heads, n, s.problem.shape.dv}, Place::scattered, random),
          out(ZETA_F32, {batches, s.problem.shape.heads, n, s.problem.shape.dv}, Place::scattered, random),
          normaliser(ZETA_F32, {batches, s.problem.shape.heads, n}, Place::scattered, random),
          neighbours(ZETA_I32, {batches, s.problem.shape.heads, n, s.problem.options.neighbours}, Place::scattered,
                     random),
          numbers(h.size(), 0) {
        k.set(std::vector<float>(static_cast<size_t>(batches * s.problem.shape.key_heads * n * s.problem.shape.dk)));
        v.set(std::vector<float>(static_cast<size_t>(batches * s.problem.shape.key_heads * n * s.problem.shape.dv)));
        zeta_cache_args_init(&args);
        args.q = q.view(), args.k = k.view(), args.v = v.view(), args.out = out.view();
        args.normaliser = normaliser.view(), args.neighbours = neighbours.view();
    }
    bool untouched() const { return out.untouched() && normaliser.untouched() && neighbours.untouched() && !written; }
    zeta_status attend() {
        args.k = args.v = nullptr;
        return zeta_cache_attend(cache, &args);
    }
};

struct Mistake {
    const char *what;
    zeta_status (*make)(Attempt &); // the call's status; where the mistake cannot be made, what is expected
    zeta_status expected;
};

const Mistake kMistakes[] = {
    {"k of another dk",
     [](Attempt &a) {
         a.k.view()->shape[3] += 1;
         return zeta_cache_prefill(a.cache, &a.args);
     },
     ZETA_ERROR_SHAPE},
    {"no out",
     [](Attempt &a) {
         a.args.out = nullptr;
         return zeta_cache_prefill(a.cache, &a.args);
     },
     ZETA_ERROR_ARGUMENT},
    {"out for append", [](Attempt &a) { return zeta_cache_append(a.cache, &a.args); }, ZETA_ERROR_ARGUMENT},
    {"three positions for a step", [](Attempt &a) { return zeta_cache_step(a.cache, &a.args); }, ZETA_ERROR_SHAPE},
    {"a count beyond n",
     [](Attempt &a) {
         a.numbers.back() = a.n + 1;
         a.args.counts = a.numbers.data();
         return zeta_cache_prefill(a.cache, &a.args);
     },
     ZETA_ERROR_ARGUMENT},
    {"out over v",
     [](Attempt &a) {
         a.out.view()->data = a.v.view()->data;
         return zeta_cache_prefill(a.cache, &a.args);
     },
     ZETA_ERROR_OVERLAP},
    {"a length beyond the last sequence's",
     [](Attempt &a) {
         a.numbers.back() = a.histories.back().length + 1;
         for (size_t b = 0; b + 1 < a.numbers.size(); ++b) a.numbers[b] = a.histories[b].evicted;
         return zeta_cache_truncate(a.cache, a.numbers.data());
     },
     ZETA_ERROR_ARGUMENT},
    {"eviction beyond the last sequence's length",
     [](Attempt &a) {
         a.numbers.back() = a.histories.back().length + 1;
         for (size_t b = 0; b + 1 < a.numbers.size(); ++b) a.numbers[b] = a.histories[b].length;
         return zeta_cache_evict_before(a.cache, a.numbers.data());
     },
     ZETA_ERROR_ARGUMENT},
    {"a fork of a sequence that is not there",
     [](Attempt &a) {
         zeta_cache *fork = a.cache;
         a.numbers.back() = a.batches;
         const zeta_status status = zeta_cache_fork(a.cache, a.numbers.data(), a.batches, &fork);
         a.written = fork != nullptr;
         return status;
     },
     ZETA_ERROR_ARGUMENT},
    {"a saved cache cut short",
     [](Attempt &a) {
         std::vector<unsigned char> bytes = saved_bytes(a.cache);
         return zeta_cache_load_buffer(a.cache, bytes.data(), bytes.size() - 1 - bytes.size() / 3);
     },
     ZETA_ERROR_FORMAT},
    {"a saved cache with a bit changed",
     [](Attempt &a) {
         std::vector<unsigned char> bytes = saved_bytes(a.cache);
         bytes[bytes.size() / 2] ^= 16;
         return zeta_cache_load_buffer(a.cache, bytes.data(), bytes.size());
     },
     ZETA_ERROR_FORMAT},
    {"a buffer too small",
     [](Attempt &a) {
         std::vector<unsigned char> bytes = saved_bytes(a.cache);
         size_t size = bytes.size() - 1;
         return zeta_cache_save_buffer(a.cache, bytes.data(), &size);
     },
     ZETA_ERROR_SCRATCH},
};

// Those that depend on the cache.
zeta_status more_queries_than_positions(Attempt &a) {
    if (!a.setup.problem.options.causal || a.histories.back().length >= a.n) return ZETA_ERROR_SHAPE;
    return a.attend();
}

zeta_status a_query_before_the_evicted(Attempt &a) {
    const History &last = a.histories.back();
    if (!a.setup.problem.options.causal || last.length - a.n >= last.evicted) return ZETA_ERROR_SHAPE;
    return a.attend();
}

zeta_status a_length_before_the_evicted(Attempt &a) {
    if (a.histories.back().evicted == 0) return ZETA_ERROR_ARGUMENT;
    for (size_t b = 0; b < a.numbers.size(); ++b) a.numbers[b] = a.histories[b].evicted;
    a.numbers.back() -= 1;
    return zeta_cache_truncate(a.cache, a.numbers.data());
}

zeta_status a_value_that_is_not_finite(Attempt &a) {
    if (a.setup.value_type != ZETA_I8) return ZETA_ERROR_ARGUMENT;
    std::vector<float> values = a.v.floats();
    values.back() = std::nanf("");
    a.v.set(values);
    return zeta_cache_prefill(a.cache, &a.args);
}

const Mistake kOwnMistakes[] = {
    {"more queries than positions", more_queries_than_positions, ZETA_ERROR_SHAPE},
    {"a query before what was evicted", a_query_before_the_evicted, ZETA_ERROR_SHAPE},
    {"a length before what was evicted", a_length_before_the_evicted, ZETA_ERROR_ARGUMENT},
    {"a value that is not finite", a_value_that_is_not_finite, ZETA_ERROR_ARGUMENT},
};

} // namespace

std::string check_refused(zeta_cache *cache, const CacheSetup &setup, const std::vector<History> &histories,
                          Random &random) {
    const auto shared = static_cast<int64_t>(std::size(kMistakes)), own = static_cast<int64_t>(std::size(kOwnMistakes));
    const int64_t which = pick(random, 0, shared + own - 1);
    const Mistake &mistake = which < shared ? kMistakes[which] : kOwnMistakes[which - shared];
    const oracle::Shape &s = setup.problem.shape;
    const std::vector<float> zeros(static_cast<size_t>(static_cast<int64_t>(histories.size()) * s.heads * 3 * s.dk));
    Attempt attempt(cache, setup, histories, random, zeros);
    const std::vector<unsigned char> before = saved_bytes(cache);
    const zeta_status status = mistake.make(attempt);
    const std::string what = std::string(mistake.what) + ": ";
    if (status != mistake.expected)
        return what + zeta_status_name(status) + ", not " + zeta_status_name(mistake.expected);
    if (!attempt.untouched()) return what + "an output was written";
    return saved_bytes(cache) == before ? "" : what + "the cache is another";
}

} // namespace property
