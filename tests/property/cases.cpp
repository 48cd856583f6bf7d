// SPDX-License-Identifier: Apache-2.0
// See cases.hpp.
#include "cases.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <iterator>
#include <limits>
#include <sstream>

#include "halves.hpp"

namespace property {
namespace {

template <class T> T choose(Random &random, std::initializer_list<T> list) {
    return *(list.begin() + pick(random, 0, static_cast<int64_t>(list.size()) - 1));
}

bool chance(Random &random, int percent) {
    return pick(random, 0, 99) < percent;
}

float normal(Random &random) {
    return std::normal_distribution<float>()(random);
}

// NaN, infinities, the largest numbers, denormals and -0 at about one value in `spacing`.
void sprinkle(Random &random, std::vector<float> &x, int64_t spacing) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (float &value : x) {
        if (pick(random, 1, spacing) != 1) continue;
        value = choose(random, {nan, infinity, -infinity, FLT_MAX, -FLT_MAX, 1e-42f, -1e-42f, -0.0f, 1e20f, -3e15f});
    }
}

void sort_columns(std::vector<float> &x, int64_t rows, int64_t d) {
    for (int64_t e = 0; e < d; ++e) {
        std::vector<float> column;
        for (int64_t n = 0; n < rows; ++n) column.push_back(x[static_cast<size_t>(n * d + e)]);
        std::sort(column.begin(), column.end());
        for (int64_t n = 0; n < rows; ++n) x[static_cast<size_t>(n * d + e)] = column[static_cast<size_t>(n)];
    }
}

// Running sums, one per coordinate.
std::vector<float> walk(Random &random, int64_t rows, int64_t d) {
    std::vector<float> x(static_cast<size_t>(rows * d));
    for (size_t at = 0; at < x.size(); ++at) {
        const float before = at < static_cast<size_t>(d) ? 0 : x[at - static_cast<size_t>(d)];
        x[at] = before + 0.05f * normal(random);
    }
    return x;
}

} // namespace

std::vector<float> draw(Random &random, Data kind, int64_t rows, int64_t d) {
    if (kind == Data::drift) return walk(random, rows, d);
    std::vector<float> x(static_cast<size_t>(rows * d));
    const std::vector<float> centres =
        kind == Data::clustered ? draw(random, Data::gaussian, 8, d) : std::vector<float>();
    int64_t centre = 0;
    for (size_t at = 0; at < x.size(); ++at) {
        const int64_t e = static_cast<int64_t>(at) % d;
        if (e == 0) centre = pick(random, 0, 7);
        switch (kind) {
        case Data::equal:
            x[at] = 0.25f;
            break;
        case Data::few:
            x[at] = static_cast<float>(pick(random, -1, 1)) * 0.5f;
            break;
        case Data::clustered:
            x[at] = centres[static_cast<size_t>(centre * d + e)] + 0.05f * normal(random);
            break;
        case Data::tiny:
            x[at] = normal(random) * (pick(random, 0, 1) == 0 ? 1e-41f : 1e-21f);
            break;
        default:
            x[at] = normal(random);
            break;
        }
    }
    if (kind == Data::sorted) sort_columns(x, rows, d);
    if (kind == Data::wild) sprinkle(random, x, choose<int64_t>(random, {6, 60, 600}));
    return x;
}

std::vector<float> rounded(std::vector<float> x, int32_t dtype) {
    for (float &value : x) {
        if (dtype == ZETA_BF16) value = oracle::from_bfloat16(oracle::to_bfloat16(value));
        if (dtype == ZETA_F16) value = oracle::from_float16(oracle::to_float16(value));
    }
    return x;
}

void fill(Case &problem, Random &random, Data kind) {
    const oracle::Shape &s = problem.shape;
    problem.q.clear();
    problem.k.clear();
    for (int64_t b = 0; b < s.batches * s.key_heads; ++b) {
        const std::vector<float> keys = draw(random, kind, s.keys, s.dk);
        problem.k.insert(problem.k.end(), keys.begin(), keys.end());
    }
    for (int64_t row = 0; row < s.batches * s.heads; ++row) {
        std::vector<float> queries = draw(random, kind, s.queries, s.dk);
        if (kind == Data::drift) {
            const int64_t group = row / s.heads * s.key_heads + s.key_head(row % s.heads);
            for (size_t at = 0; at < queries.size() && at < static_cast<size_t>(s.keys * s.dk); ++at)
                queries[at] = problem.k[static_cast<size_t>(group * s.keys * s.dk) + at] + 0.01f * normal(random);
        }
        problem.q.insert(problem.q.end(), queries.begin(), queries.end());
    }
    const Data values = kind == Data::wild || kind == Data::tiny ? kind : Data::gaussian;
    problem.v = draw(random, values, s.batches * s.key_heads * s.keys, s.dv);
    problem.grad_out = draw(random, Data::gaussian, s.rows(), s.dv);
    problem.q = rounded(std::move(problem.q), problem.qk_type);
    problem.k = rounded(std::move(problem.k), problem.qk_type);
    problem.v = rounded(std::move(problem.v), problem.v_type);
    problem.grad_out = rounded(std::move(problem.grad_out), problem.v_type);
    problem.tame = kind != Data::wild && kind != Data::tiny;
}

namespace {

void draw_shape(Random &random, Case &problem, bool small) {
    oracle::Shape &s = problem.shape;
    s.dk = chance(random, 70) ? choose<int64_t>(random, {1, 2, 3, 3, 3, 4, 8}) : pick(random, 1, 32);
    s.dv = chance(random, 50) ? choose<int64_t>(random, {1, 3, 8, 16, 17, 64, 65}) : pick(random, 1, 100);
    if (!small) {
        s.keys = pick(random, 500, 2000);
        s.queries =
            problem.options.causal ? s.keys - (chance(random, 50) ? 0 : pick(random, 0, 400)) : pick(random, 1, 500);
        return;
    }
    s.batches = chance(random, 60) ? 1 : pick(random, 1, 3);
    s.key_heads = chance(random, 60) ? 1 : pick(random, 1, 3);
    s.heads = s.key_heads * (chance(random, 60) ? 1 : pick(random, 1, 3));
    const int64_t most = std::max<int64_t>(1, 300 / (s.batches * s.heads));
    s.queries = chance(random, 5) ? 0 : pick(random, 1, most);
    s.keys =
        problem.options.causal ? s.queries + (chance(random, 50) ? 0 : pick(random, 0, 200)) : pick(random, 0, 300);
    if (chance(random, 2)) s.batches = 0;
    if (chance(random, 2)) s.heads = s.key_heads;
}

// Splits N and M into sequences.
void draw_sequences(Random &random, Case &problem) {
    oracle::Shape &s = problem.shape;
    oracle::Options &o = problem.options;
    s.batches = 1;
    s.queries = s.keys = 0;
    const int64_t count = pick(random, 1, 6);
    const bool same = chance(random, 40);
    for (int64_t n = 0; n < count; ++n) {
        const int64_t q = chance(random, 20) ? 0 : pick(random, 1, 60);
        const int64_t k = same ? q : o.causal ? q + pick(random, 0, 40) : chance(random, 20) ? 0 : pick(random, 1, 90);
        o.q_lengths.push_back(q);
        if (!same) o.k_lengths.push_back(k);
        s.queries += q;
        s.keys += k;
    }
}

void draw_gamma(Random &random, Case &problem) {
    const auto one = [&] {
        if (chance(random, 6)) return std::ldexp(1.0f, choose(random, {-30, -20, 20, 30}));
        return std::exp(0.7f * normal(random));
    };
    const int64_t count = choose<int64_t>(random, {0, 1, problem.shape.heads});
    for (int64_t n = 0; n < count; ++n) problem.options.gamma.push_back(one());
}

void draw_grid(Random &random, Case &problem) {
    oracle::Grid &grid = problem.options.grid;
    if (chance(random, 40)) return;
    grid.range = chance(random, 50);
    grid.per_head = chance(random, 50);
    const auto count = static_cast<size_t>(grid.per_head ? problem.shape.key_heads * problem.shape.dk : 1);
    grid.scale.resize(count);
    grid.lo.resize(count);
    grid.hi.resize(count);
    for (size_t n = 0; n < count; ++n) {
        grid.scale[n] = std::exp(normal(random));
        if (chance(random, 3)) grid.scale[n] = choose(random, {FLT_MIN, FLT_MAX, 1e-42f});
        grid.lo[n] = normal(random) - 2;
        grid.hi[n] = grid.lo[n] + 0.1f + std::fabs(3 * normal(random));
    }
}

void draw_search(Random &random, Case &problem) {
    oracle::Options &o = problem.options;
    const int64_t keys = problem.shape.keys;
    o.neighbours = choose<int64_t>(random, {1, 2, 3, 5, 8, 16, 31, 32, 32, 33, 64, 100, 257, 1024});
    if (chance(random, 35)) {
        o.window = o.neighbours * choose<int64_t>(random, {1, 2, 4, 4, 8}) + choose<int64_t>(random, {0, 0, 1, 7});
        if (chance(random, 5)) o.window = 65536;
    }
    o.exact = chance(random, 30);
    if (chance(random, 25)) o.first = pick(random, 0, keys + 3);
    o.chunk = chance(random, 60) ? 1 : choose<int64_t>(random, {2, 7, 16, 64, 1000});
    o.local = 0;
    if (o.causal) o.local = chance(random, 50) ? 1 : choose<int64_t>(random, {0, 2, 5, 16, 33, 100, 300, 1 << 24});
    o.mean = chance(random, 60);
    o.score = static_cast<oracle::Score>(pick(random, 0, 4));
}

} // namespace

Case random_case(Random &random, bool small) {
    Case problem;
    problem.options.causal = chance(random, 70);
    draw_shape(random, problem, small);
    if (small && chance(random, 20)) draw_sequences(random, problem);
    draw_search(random, problem);
    draw_gamma(random, problem);
    draw_grid(random, problem);
    problem.qk_type = choose<int32_t>(random, {ZETA_F32, ZETA_F32, ZETA_BF16, ZETA_F16});
    problem.v_type = choose<int32_t>(random, {ZETA_F32, ZETA_F32, ZETA_BF16, ZETA_F16});
    const Data kind = choose(random, {Data::gaussian, Data::gaussian, Data::clustered, Data::equal, Data::few,
                                      Data::drift, Data::sorted, Data::tiny, Data::wild, Data::wild});
    fill(problem, random, kind);
    static const char *const names[] = {"gaussian", "clustered", "equal", "few", "drift", "sorted", "tiny", "wild"};
    problem.what = names[static_cast<size_t>(kind)];
    // Equal heads or batches: the buffers may then use zero strides.
    if (chance(random, 10) && problem.shape.batches * problem.shape.key_heads > 1) {
        const auto head = static_cast<size_t>(problem.shape.keys * problem.shape.dk);
        for (size_t at = head; at < problem.k.size(); ++at) problem.k[at] = problem.k[at - head];
    }
    return problem;
}

std::string describe(const Case &problem) {
    const oracle::Shape &s = problem.shape;
    const oracle::Options &o = problem.options;
    std::ostringstream text;
    text << problem.what << " B=" << s.batches << " H=" << s.heads << " G=" << s.key_heads << " N=" << s.queries
         << " M=" << s.keys << " dk=" << s.dk << " dv=" << s.dv << " K=" << o.neighbours << " W=" << o.window
         << (o.exact ? " exact" : " window") << " score=" << static_cast<int>(o.score)
         << (o.causal ? " causal" : " full") << " mean=" << o.mean << " C=" << o.chunk << " w=" << o.local
         << " first=" << o.first << " gamma=[";
    for (const float g : o.gamma) text << g << ' ';
    text << "] grid=" << (o.grid.range ? "range" : "squash") << (o.grid.per_head ? "/head" : "")
         << " qk_type=" << problem.qk_type << " v_type=" << problem.v_type << " q_lengths=[";
    for (const int64_t n : o.q_lengths) text << n << ' ';
    text << "] k_lengths=[";
    for (const int64_t n : o.k_lengths) text << n << ' ';
    text << ']';
    return text.str();
}

Case plain_case(int64_t batches, int64_t heads, int64_t length, int64_t dk, int64_t dv, uint64_t seed) {
    Case problem;
    problem.shape = {batches, heads, heads, length, length, dk, dv};
    Random random(seed);
    fill(problem, random, Data::gaussian);
    problem.what = "gaussian";
    return problem;
}

} // namespace property
