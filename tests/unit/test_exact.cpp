// SPDX-License-Identifier: Apache-2.0
// lib/cpu/exact: against a brute-force search, bit for bit, on inputs chosen to hurt (ties, equal keys, NaN,
// infinities, drift), for every instruction set present, with and without hints, and for searches that share a work or
// start afresh.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "cpu/exact.hpp"
#include "distance.hpp"

using namespace zeta;
using namespace zeta::cpu;

namespace {

class Serial final : public Executor {
public:
    explicit Serial(const simd::Kernels &kernels) : kernels_(kernels) {}
    void parallel_for(size_t n, size_t grain, Body body) const override {
        for (size_t i = 0; i < n; i += grain) body(i, std::min(n, i + grain), 0);
    }
    int workers() const override { return 1; }
    const simd::Kernels &kernels() const override { return kernels_; }

private:
    const simd::Kernels &kernels_;
};

// Claims three threads, and runs pieces in an order no loop would choose.
class Backwards final : public Executor {
public:
    explicit Backwards(const simd::Kernels &kernels) : kernels_(kernels) {}
    void parallel_for(size_t n, size_t grain, Body body) const override {
        for (size_t piece = (n + grain - 1) / grain; piece-- > 0;)
            body(piece * grain, std::min(n, (piece + 1) * grain), int(piece % 3));
    }
    int workers() const override { return 3; }
    const simd::Kernels &kernels() const override { return kernels_; }

private:
    const simd::Kernels &kernels_;
};

enum Mode {
    gaussian,
    drift,
    equal_keys,
    few_distinct,
    ascending,
    descending,
    clusters,
    crowds,  // clusters that a grid over all of them does not resolve
    scales,  // the same, each ten times as narrow as the one before
    outlier, // one key so far away that all others are a crowd
    sphere,  // keys as far from all queries as each other, nearly
    copies,
    away,
    lattice,
    tiny,
    wild,
    modes
};

struct Case {
    uint32_t n, m, neighbours, first;
    int dk;
    bool causal;
    Mode mode;
};

struct Data {
    std::vector<float> q, k;
    std::vector<uint32_t> limits;
};

Data make(const Case &c, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float> &x, uint32_t n, bool keys) {
        x.resize(size_t(n) * c.dk);
        std::vector<float> walk(c.dk, 0.0f);
        for (uint32_t i = 0; i < n; ++i) {
            const float cluster = float(random() % 8);
            for (int e = 0; e < c.dk; ++e) {
                float &at = x[size_t(i) * c.dk + e];
                at = normal(random);
                if (c.mode == drift) at = 0.01f * at + (walk[e] += 0.05f * normal(random));
                if (c.mode == equal_keys && keys) at = 0.3f;
                if (c.mode == few_distinct) at = float(random() % 2);
                if (c.mode == ascending) at = float(i) / float(n);
                if (c.mode == descending) at = -float(i) / float(n);
                if (c.mode == clusters) at = 0.02f * at + std::sin(cluster * float(e + 1));
                if (c.mode == crowds) at = 1e-5f * at + std::sin(cluster * float(e + 1));
                if (c.mode == scales) at = std::pow(0.1f, cluster) * at + std::sin(cluster * float(e + 1));
                if (c.mode == outlier && keys && i == 0) at = 1e6f;
                if (c.mode == sphere && !keys) at *= 1e-3f;
                if (c.mode == copies && keys) at = std::sin(cluster * float(e + 1));
                if (c.mode == away && keys) at += 3.0f;
                if (c.mode == lattice) at = std::round(at * 4) / 4;
                if (c.mode == tiny) at *= 1e-22f;
                if (c.mode != wild) continue;
                const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f, 1e20f, -0.0f};
                if (random() % 16 == 0) at = odd[random() % 8];
            }
            if (c.mode != sphere || !keys) continue;
            float *row = &x[size_t(i) * c.dk], squares = 0;
            for (int e = 0; e < c.dk; ++e) squares += row[e] * row[e];
            for (int e = 0; e < c.dk; ++e) row[e] /= std::sqrt(squares);
        }
    };
    Data data;
    fill(data.q, c.n, false);
    fill(data.k, c.m, true);
    for (uint32_t i = 0; i < c.n; ++i) {
        if (!c.causal)
            data.limits.push_back(c.m);
        else
            data.limits.push_back(std::min(c.m, i + c.m - std::min(c.m, c.n))); // of the positions before the query
    }
    return data;
}

using Found = std::vector<std::pair<uint32_t, float>>; // by position

Found brute(const Case &c, const Data &data, uint32_t i) {
    Found all;
    const float *q = data.q.data() + size_t(i) * c.dk;
    for (uint32_t j = c.first; j < data.limits[i]; ++j)
        all.push_back({j, distance(q, &data.k[size_t(j) * c.dk], c.dk)});
    const auto worth = [](float d) { return std::isnan(d) ? INFINITY : d; };
    const auto nearer = [&](const auto &a, const auto &b) {
        return worth(a.second) != worth(b.second) ? worth(a.second) < worth(b.second) : a.first > b.first;
    };
    const size_t keep = std::min<size_t>(c.neighbours, all.size());
    if (keep < all.size()) std::nth_element(all.begin(), all.begin() + long(keep), all.end(), nearer);
    all.resize(keep);
    std::sort(all.begin(), all.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    return all;
}

bool same(const Found &a, const Found &b) {
    const auto equal = [](const auto &x, const auto &y) {
        return x.first == y.first && (x.second == y.second || (std::isnan(x.second) && std::isnan(y.second)));
    };
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
}

struct Engine {
    std::vector<char> memory;
    ExactKeys keys;
    ExactQueries queries;
    ExactWork work;
    Lists lists;

    Engine(const Case &c, const Data &data, const Executor &executor) {
        Scratch measure;
        take(measure, c);
        memory.resize(measure.needed());
        Scratch scratch(memory.data(), memory.size());
        take(scratch, c);
        CHECK(!scratch.overrun());
        keys.build(executor, data.k.data());
        queries.build(executor, keys, data.q.data(), data.limits.data());
    }
    void take(Scratch &scratch, const Case &c) {
        keys.take(scratch, c.m, c.dk, c.first, c.causal);
        queries.take(scratch, c.n, c.dk);
        work.take(scratch, c.neighbours, c.dk);
        lists.take(scratch, c.neighbours);
    }
    // The neighbours of every query row; tiles from the last to the first when `backwards`. hints_out [n] gets hint_a.
    std::vector<Found> run(const Case &c, bool backwards, const uint32_t *hints, uint32_t *hints_out) {
        std::vector<Found> found(c.n);
        std::vector<int> seen(c.n, 0);
        for (size_t t = 0; t < queries.tiles(); ++t) {
            queries.select(keys, backwards ? queries.tiles() - 1 - t : t, c.neighbours, hints, work, lists);
            for (uint32_t i = 0; i < lists.queries; ++i) {
                const uint32_t row = lists.query[i];
                ++seen[row];
                if (hints_out != nullptr) hints_out[row] = lists.hint_a[i];
                for (uint32_t x = 0; x < lists.count[i]; ++x)
                    found[row].push_back({lists.ids_of(i)[x], lists.distances_of(i)[x]});
            }
        }
        CHECK(std::count(seen.begin(), seen.end(), 1) == long(c.n));
        return found;
    }
};

void check(const Case &c, const Executor &executor, uint32_t step) {
    const Data data = make(c, 7 + c.n + 31 * c.neighbours + 101 * unsigned(c.mode));
    Engine engine(c, data, executor);
    std::vector<uint32_t> hints(c.n + 1, 0), wrong(c.n + 1);
    const auto found = engine.run(c, false, nullptr, hints.data());
    for (uint32_t i = 0; i < c.n; ++i) wrong[i] = i % 3 == 0 ? ~0u : i % 3 == 1 ? hints[i] / 2 : 0x7f000000;
    uint32_t differ = 0;
    for (uint32_t i = 0; i < c.n; i += step) differ += !same(found[i], brute(c, data, i));
    const auto again = engine.run(c, true, nullptr, nullptr), hinted = engine.run(c, false, hints.data(), nullptr);
    const auto misled = engine.run(c, true, wrong.data(), nullptr);
    uint32_t unstable = 0;
    for (uint32_t i = 0; i < c.n; ++i)
        unstable += !same(found[i], again[i]) || !same(found[i], hinted[i]) || !same(found[i], misled[i]);
    CAPTURE(c.n);
    CAPTURE(c.m);
    CAPTURE(c.dk);
    CAPTURE(c.neighbours);
    CAPTURE(c.first);
    CAPTURE(c.causal);
    CAPTURE(int(c.mode));
    CHECK(differ == 0);
    CHECK(unstable == 0);
}

template <class F> void for_each_isa(F &&f) {
    for (int i = 0; i < simd::kIsaCount; ++i) {
        const auto isa = simd::Isa(i);
        if (!simd::isa_present(isa)) continue;
        CAPTURE(simd::isa_name(isa));
        f(Serial(simd::kernels(isa)));
    }
}

// What a search looks at: blocks of 16 keys, in how many calls, and groups and nodes of the tree. The kernels counted
// are those of `counted`.
struct Looked {
    uint64_t blocks = 0, calls = 0, nodes = 0;
} looked;
const simd::Kernels *counted = nullptr;

template <class A, class B, class C, class... Others> C third(A, B, C c, Others...) {
    return c;
}

simd::Kernels counting(const simd::Kernels &kernels) {
    counted = &kernels;
    simd::Kernels result = kernels;
    result.exact_scan = [](auto... arguments) {
        looked.blocks += third(arguments...);
        ++looked.calls;
        return counted->exact_scan(arguments...);
    };
    result.exact_open = [](auto... arguments) {
        looked.nodes += third(arguments...);
        return counted->exact_open(arguments...);
    };
    result.exact_prune = [](auto... arguments) {
        looked.nodes += third(arguments...);
        return counted->exact_prune(arguments...);
    };
    result.exact_near = [](auto... arguments) {
        ++looked.nodes;
        counted->exact_near(arguments...);
    };
    return result;
}

Looked look(const Case &c) {
    const simd::Kernels kernels = counting(simd::kernels(simd::isa_best()));
    const Serial executor(kernels);
    const Data data = make(c, 5);
    Engine engine(c, data, executor);
    looked = {};
    engine.run(c, false, nullptr, nullptr);
    return looked;
}

} // namespace

TEST_CASE("exact: small cases of every kind") {
    const uint32_t sizes[] = {0, 1, 2, 17, 65, 300, 1000}, neighbours[] = {1, 7, 32, 130};
    const int dims[] = {1, 2, 3, 4, 5, 8, 32};
    for_each_isa([&](const Executor &executor) {
        for (int mode = 0; mode < modes; ++mode) {
            for (int dk : dims) {
                for (uint32_t n : sizes)
                    check({n, n, neighbours[(n + mode) % 4], 0, dk, true, Mode(mode)}, executor, 5);
            }
        }
    });
}

TEST_CASE("exact: not causal, other numbers of keys, a lower bound") {
    for_each_isa([&](const Executor &executor) {
        for (int mode = 0; mode < modes; ++mode) {
            check({200, 900, 16, 0, 3, false, Mode(mode)}, executor, 3);
            check({900, 40, 32, 0, 3, false, Mode(mode)}, executor, 3);
            check({300, 1500, 32, 700, 2, true, Mode(mode)}, executor, 3);
            check({500, 500, 8, 499, 3, true, Mode(mode)}, executor, 3);
            check({100, 100, 8, 200, 3, true, Mode(mode)}, executor, 3);
        }
    });
}

TEST_CASE("exact: larger, sampled") {
    const Serial executor(simd::kernels(simd::isa_best()));
    for (int mode = 0; mode < modes; ++mode) {
        check({20000, 20000, 32, 0, 3, true, Mode(mode)}, executor, 97);
        check({6000, 6000, 300, 0, 3, true, Mode(mode)}, executor, 97);
        check({6000, 6000, 32, 0, 8, true, Mode(mode)}, executor, 97);
        check({3000, 12000, 32, 0, 4, false, Mode(mode)}, executor, 97);
    }
}

TEST_CASE("exact: levels and tiles do not depend on the threads") {
    for_each_isa([&](const Executor &executor) {
        const Backwards cut(executor.kernels());
        for (const Mode mode : {gaussian, drift, descending, equal_keys, crowds, scales, outlier}) {
            const Case c = {50001, 50007, 5, mode == drift ? 12345u : 0u, 2, true, mode};
            const Data data = make(c, 3);
            Engine one(c, data, executor), many(c, data, cut);
            REQUIRE(one.keys.levels() == many.keys.levels());
            for (uint32_t i = 0; i < one.keys.levels(); ++i) {
                const ExactLevel &a = one.keys.level(i), &b = many.keys.level(i);
                const size_t bytes = size_t(a.blocks()) * size_t(c.dk + 1) * kExactWide * sizeof(float);
                CAPTURE(i);
                CHECK(a.count == b.count);
                CHECK(std::memcmp(a.keys, b.keys, bytes) == 0);
            }
            REQUIRE(one.queries.tiles() == many.queries.tiles());
            for (size_t t = 0; t < one.queries.tiles(); t += 37) {
                one.queries.select(one.keys, t, c.neighbours, nullptr, one.work, one.lists);
                many.queries.select(many.keys, t, c.neighbours, nullptr, many.work, many.lists);
                REQUIRE(one.lists.queries == many.lists.queries);
                CHECK(std::equal(one.lists.query, one.lists.query + one.lists.queries, many.lists.query));
            }
        }
    });
}

TEST_CASE("exact: boxes of infinities alone") {
    for_each_isa([&](const Executor &executor) {
        const float infinity = std::numeric_limits<float>::infinity(), worst[] = {infinity, -infinity, 1.0f};
        std::vector<float> keys(3 * 2 * kExactWide), boxes(4 * kExactWide);
        for (uint32_t b = 0; b < 3; ++b) {
            for (uint32_t j = 0; j < kExactWide; ++j) {
                const uint32_t position = 100 * b + j;
                keys[b * 2 * kExactWide + j] = worst[b];
                std::memcpy(&keys[(b * 2 + 1) * kExactWide + j], &position, sizeof position);
            }
        }
        executor.kernels().exact_boxes(keys.data(), 3, 1, true, boxes.data());
        for (uint32_t b = 0; b < 3; ++b) {
            uint32_t first, last;
            std::memcpy(&first, &boxes[2 * kExactWide + b], sizeof first);
            std::memcpy(&last, &boxes[3 * kExactWide + b], sizeof last);
            CAPTURE(b);
            CHECK(boxes[b] == worst[b]);
            CHECK(boxes[kExactWide + b] == worst[b]);
            CHECK(first == 100 * b);
            CHECK(last == 100 * b + 15);
        }
    });
}

// Promise 8 without a clock: what is looked at, of the inputs that it names.
TEST_CASE("exact: few coordinates look at O(log N) blocks and nodes for a query") {
    const auto check_look = [](uint32_t n, int dk, Mode mode) {
        const Looked total = look({n, n, 32, 0, dk, true, mode});
        CAPTURE(n);
        CAPTURE(dk);
        CAPTURE(int(mode));
        CHECK(double(total.blocks + total.nodes) <= 16.0 * n * std::log2(n)); // at most 9 of the 16 are needed
    };
    for (const Mode mode : {gaussian, drift, equal_keys, ascending, descending, clusters, crowds, scales, outlier}) {
        for (const int dk : {1, 2, 3, 4}) check_look(16384, dk, mode);
        check_look(65536, 3, mode);
    }
}

TEST_CASE("exact: many coordinates, and keys as far as each other, look at no more than two scans do") {
    const uint32_t n = 16384;
    for (const int dk : {2, 3, 4, 8, 32}) {
        for (const Mode mode : {gaussian, few_distinct, tiny, sphere}) {
            if (dk <= kTreeDk && mode != sphere) continue;
            const Looked total = look({n, n, 32, 0, dk, true, mode});
            CAPTURE(dk);
            CAPTURE(int(mode));
            CHECK(total.blocks + total.nodes <= 2 * (uint64_t{n} * n / 2 / kExactWide));
            if (mode == sphere) CHECK(4 * total.calls <= total.blocks); // one by one they cost three times as much
        }
    }
}

TEST_CASE("exact: a guess learned from one head does not slow the next") {
    const Case c = {16384, 16384, 32, 0, 3, false, gaussian};
    const simd::Kernels kernels = counting(simd::kernels(simd::isa_best()));
    const Serial executor(kernels);
    const Data wide = make(c, 5);
    Data narrow = make(c, 6);
    for (auto *x : {&narrow.q, &narrow.k})
        for (float &at : *x) at *= 1e-6f;
    Engine fresh(c, narrow, executor), used(c, wide, executor);
    const auto count = [&](Engine &engine) {
        looked = {};
        engine.run(c, false, nullptr, nullptr);
        return double(looked.blocks + looked.nodes);
    };
    const double alone = count(fresh);
    count(used);
    used.keys.build(executor, narrow.k.data());
    used.queries.build(executor, used.keys, narrow.q.data(), narrow.limits.data());
    CHECK(count(used) <= 1.1 * alone);
}
