// SPDX-License-Identifier: Apache-2.0
// See cache_call.hpp.
#include "cache_call.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compare.hpp"
#include "halves.hpp"

namespace property {
namespace {

int32_t any_type(Random &random) {
    const int32_t types[] = {ZETA_F32, ZETA_F32, ZETA_BF16, ZETA_F16};
    return types[pick(random, 0, 3)];
}

// What an element holds that nobody has written.
float canary(int32_t type) {
    float value = 0;
    const uint32_t bits = 0xa5a5a5a5;
    std::memcpy(&value, &bits, sizeof value);
    if (type == ZETA_BF16) return oracle::from_bfloat16(0xa5a5);
    return type == ZETA_F16 ? oracle::from_float16(0xa5a5) : value;
}

} // namespace

KeySource::KeySource(const CacheSetup &setup, Random &random)
    : heads_(setup.problem.shape.key_heads), dk_(setup.problem.shape.dk) {
    for (int64_t g = 0; g < heads_; ++g) {
        const std::vector<float> keys = draw(random, setup.data, kRows, dk_);
        keys_.insert(keys_.end(), keys.begin(), keys.end());
    }
}

std::vector<float> KeySource::next(int64_t batches, int64_t n) {
    std::vector<float> result;
    for (int64_t b = 0; b < batches; ++b)
        for (int64_t g = 0; g < heads_; ++g)
            for (int64_t i = 0; i < n; ++i) {
                const auto key = keys_.begin() + (g * kRows + (at_ + i + 997 * b) % kRows) * dk_;
                result.insert(result.end(), key, key + dk_);
            }
    at_ += n;
    return result;
}

const char *name_of(CacheUse use) {
    static const char *const names[] = {"append", "attend", "step", "prefill"};
    return names[static_cast<int>(use)];
}

CacheCall::CacheCall(const CacheSetup &setup, int64_t given_batches, int64_t given_n, KeySource &source, Random &random)
    : batches(given_batches), n(given_n), counts(static_cast<size_t>(given_batches), given_n), counted(false),
      qk_type(any_type(random)), v_type(any_type(random)), out_type(any_type(random)) {
    const oracle::Shape &s = setup.problem.shape;
    k = rounded(source.next(batches, n), qk_type);
    const Data values = setup.data == Data::wild || setup.data == Data::tiny ? setup.data : Data::gaussian;
    v = rounded(draw(random, values, batches * s.key_heads * n, s.dv), v_type);
    if (setup.value_type == ZETA_I8)
        for (float &x : v) x = std::isfinite(x) ? x : 1.0f;
    q = draw(random, setup.data, batches * s.heads * n, s.dk);
    for (size_t at = 0; at < q.size(); ++at) // half of the coordinates are those of keys
        if (!k.empty() && pick(random, 0, 1) == 0) q[at] = k[at % k.size()];
    q = rounded(std::move(q), qk_type);
}

namespace {

struct Outputs {
    std::vector<float> out, normaliser;
    std::vector<int32_t> neighbours;
};

zeta_status run_call(CacheUse use, zeta_cache *cache, const zeta_cache_args &args) {
    switch (use) {
    case CacheUse::append:
        return zeta_cache_append(cache, &args);
    case CacheUse::attend:
        return zeta_cache_attend(cache, &args);
    case CacheUse::step:
        return zeta_cache_step(cache, &args);
    default:
        return zeta_cache_prefill(cache, &args);
    }
}

// Makes the call in scattered memory.
std::string run(zeta_cache *cache, const CacheSetup &setup, const CacheCall &call, CacheUse use, Random &random,
                Outputs &outputs) {
    const oracle::Shape &s = setup.problem.shape;
    const int64_t b = call.batches, n = call.n;
    const Place place = pick(random, 0, 3) == 0 ? Place::plain : Place::scattered;
    const Buffer q(call.qk_type, {b, s.heads, n, s.dk}, place, random, &call.q);
    const Buffer k(call.qk_type, {b, s.key_heads, n, s.dk}, place, random, &call.k);
    const Buffer v(call.v_type, {b, s.key_heads, n, s.dv}, place, random, &call.v);
    const Buffer out(call.out_type, {b, s.heads, n, s.dv}, place, random);
    const Buffer normaliser(ZETA_F32, {b, s.heads, n}, place, random);
    const Buffer neighbours(ZETA_I32, {b, s.heads, n, setup.problem.options.neighbours}, place, random);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    if (use != CacheUse::append) {
        args.q = q.view();
        args.out = out.view();
        args.normaliser = pick(random, 0, 3) == 0 ? nullptr : normaliser.view();
        args.neighbours = pick(random, 0, 3) == 0 ? nullptr : neighbours.view();
    }
    if (use != CacheUse::attend) {
        args.k = k.view();
        args.v = v.view();
    }
    if (call.counted) args.counts = call.counts.data();
    const zeta_status status = run_call(use, cache, args);
    if (status != ZETA_OK) return std::string(zeta_status_name(status)) + ": " + zeta_last_error();
    if (!q.unchanged() || !k.unchanged() || !v.unchanged()) return "an input was changed";
    if (!out.gaps_intact() || !normaliser.gaps_intact() || !neighbours.gaps_intact()) return "a gap was written";
    if (args.out != nullptr) outputs.out = out.floats();
    if (args.normaliser != nullptr) outputs.normaliser = normaliser.floats();
    if (args.neighbours != nullptr) outputs.neighbours = neighbours.integers();
    return "";
}

void add_rows(const CacheSetup &setup, std::vector<History> &histories, const CacheCall &call) {
    const oracle::Shape &s = setup.problem.shape;
    const std::vector<float> values = kept(call.v, setup);
    for (int64_t b = 0; b < call.batches; ++b) {
        History &history = histories[static_cast<size_t>(b)];
        const int64_t count = call.counts[static_cast<size_t>(b)];
        for (int64_t i = 0; i < count; ++i)
            for (int64_t g = 0; g < s.key_heads; ++g) {
                const int64_t row = (b * s.key_heads + g) * call.n + i;
                history.k.insert(history.k.end(), call.k.begin() + row * s.dk, call.k.begin() + (row + 1) * s.dk);
                history.v.insert(history.v.end(), values.begin() + row * s.dv, values.begin() + (row + 1) * s.dv);
            }
        history.length += count;
    }
}

// Row i of head h of a sequence: `got` is the row of the call, `expected` that of the reference.
std::string compare_one(const CacheSetup &setup, const CacheCall &call, const Outputs &outputs, const Result &expected,
                        int64_t got, int64_t row) {
    const int64_t dv = setup.problem.shape.dv, slots = setup.problem.options.neighbours;
    const std::vector<float> wanted =
        rounded({expected.out.begin() + row * dv, expected.out.begin() + (row + 1) * dv}, call.out_type);
    if (!outputs.neighbours.empty() &&
        !std::equal(outputs.neighbours.begin() + got * slots, outputs.neighbours.begin() + (got + 1) * slots,
                    expected.neighbours.begin() + row * slots))
        return "other neighbours";
    if (!outputs.normaliser.empty() &&
        !same_numbers(&outputs.normaliser[static_cast<size_t>(got)], &expected.normaliser[static_cast<size_t>(row)], 1))
        return "normaliser " + std::to_string(outputs.normaliser[static_cast<size_t>(got)]) + ", not " +
               std::to_string(expected.normaliser[static_cast<size_t>(row)]);
    if (same_numbers(&outputs.out[static_cast<size_t>(got * dv)], wanted.data(), dv)) return "";
    return "other output bits: first channel " + std::to_string(outputs.out[static_cast<size_t>(got * dv)]) + ", not " +
           std::to_string(wanted[0]);
}

bool untouched(const CacheSetup &setup, const CacheCall &call, const Outputs &outputs, int64_t row) {
    const int64_t dv = setup.problem.shape.dv, slots = setup.problem.options.neighbours;
    const float unwritten = canary(call.out_type), no_normaliser = canary(ZETA_F32);
    bool result = true;
    for (int64_t c = row * dv; c < (row + 1) * dv; ++c)
        result = result && same_bits(&outputs.out[static_cast<size_t>(c)], &unwritten, 1);
    if (!outputs.normaliser.empty())
        result = result && same_bits(&outputs.normaliser[static_cast<size_t>(row)], &no_normaliser, 1);
    for (int64_t n = row * slots; n < (row + 1) * slots && !outputs.neighbours.empty(); ++n)
        result = result && outputs.neighbours[static_cast<size_t>(n)] == static_cast<int32_t>(0xa5a5a5a5);
    return result;
}

std::string compare_sequence(zeta_context *context, const CacheSetup &setup, const History &history,
                             const CacheCall &call, const Outputs &outputs, int64_t b, bool oracle) {
    const oracle::Shape &s = setup.problem.shape;
    const int64_t count = call.counts[static_cast<size_t>(b)];
    std::vector<float> q;
    for (int64_t h = 0; h < s.heads; ++h) {
        const auto rows = call.q.begin() + (b * s.heads + h) * call.n * s.dk;
        q.insert(q.end(), rows, rows + count * s.dk);
    }
    const Case problem = case_of(setup, history, std::move(q), count);
    Run how;
    how.backward = false;
    const Result expected = property::run(context, problem, how);
    if (expected.status != ZETA_OK) return "the reference: " + expected.error;
    std::string message = oracle ? compare(problem, expected, false) : "";
    if (!message.empty()) return "the reference against the oracle: " + message;
    for (int64_t h = 0; h < s.heads; ++h)
        for (int64_t i = 0; i < call.n && message.empty(); ++i) {
            const int64_t row = (b * s.heads + h) * call.n + i;
            if (i < count)
                message = compare_one(setup, call, outputs, expected, row, h * count + i);
            else if (!untouched(setup, call, outputs, row))
                message = "written, though not counted";
            if (!message.empty())
                message = "sequence " + std::to_string(b) + " of length " + std::to_string(history.length) + " head " +
                          std::to_string(h) + " row " + std::to_string(i) + " of " + std::to_string(count) + ": " +
                          message;
        }
    return message;
}

} // namespace

std::string check_call(zeta_context *context, zeta_cache *cache, const CacheSetup &setup,
                       std::vector<History> &histories, const CacheCall &call, CacheUse use, bool oracle,
                       Random &random) {
    Outputs outputs;
    std::string message = run(cache, setup, call, use, random, outputs);
    if (message.empty() && use != CacheUse::attend) add_rows(setup, histories, call);
    for (int64_t b = 0; b < call.batches && message.empty() && use != CacheUse::append; ++b)
        message = compare_sequence(context, setup, histories[static_cast<size_t>(b)], call, outputs, b, oracle);
    return message;
}

std::string check_end(zeta_context *context, zeta_cache *cache, const CacheSetup &setup,
                      std::vector<History> &histories, int64_t n, KeySource &source, Random &random) {
    const auto batches = static_cast<int64_t>(histories.size());
    if (zeta_cache_batches(cache) != batches) return "another number of sequences";
    CacheCall call(setup, batches, n, source, random);
    call.counted = true;
    for (int64_t b = 0; b < batches; ++b) {
        const History &history = histories[static_cast<size_t>(b)];
        if (zeta_cache_length(cache, b) != history.length) return "another length of sequence " + std::to_string(b);
        if (zeta_cache_first(cache, b) != history.first) return "another first of sequence " + std::to_string(b);
        if (setup.problem.options.causal)
            call.counts[static_cast<size_t>(b)] = std::min(n, history.length - history.evicted);
    }
    return check_call(context, cache, setup, histories, call, CacheUse::attend, false, random);
}

} // namespace property
