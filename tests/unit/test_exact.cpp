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

enum Mode {
    gaussian,
    drift,
    equal_keys,
    few_distinct,
    ascending,
    descending,
    clusters,
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
                if (c.mode == away && keys) at += 3.0f;
                if (c.mode == lattice) at = std::round(at * 4) / 4;
                if (c.mode == tiny) at *= 1e-22f;
                if (c.mode != wild) continue;
                const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f, 1e20f, -0.0f};
                if (random() % 16 == 0) at = odd[random() % 8];
            }
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

float distance(const float *q, const float *k, int dk) {
    volatile float sum = 0; // no contraction
    for (int e = 0; e < dk; ++e) {
        volatile float gap = q[e] - k[e];
        volatile float square = gap * gap;
        sum = sum + square;
    }
    return sum;
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
