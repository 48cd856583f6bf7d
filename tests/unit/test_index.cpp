// SPDX-License-Identifier: Apache-2.0
// lib/cache/index: random programs of changes, forks and queries against a sorted array, on inputs chosen to hurt, for
// every instruction set present; its memory: bounded, counted, given back, refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "cache/index.hpp"
#include "status.hpp"

using namespace zeta;
using cache::Index;

namespace {

// An allocator that counts, and refuses when it is told to.
struct Memory {
    size_t held = 0, blocks = 0;
    long refuse = -1; // after so many more blocks; negative: never

    static void *allocate(void *user, size_t size, size_t alignment) {
        Memory &memory = *static_cast<Memory *>(user);
        if (memory.refuse == 0) return nullptr;
        if (memory.refuse > 0) --memory.refuse;
        memory.held += size;
        ++memory.blocks;
        return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    }
    static void release(void *user, void *block, size_t size) {
        static_cast<Memory *>(user)->held -= size;
        std::free(block);
    }
};

struct Fixture {
    Memory memory;
    std::unique_ptr<Context> context;

    Fixture() {
        zeta_context_params params;
        zeta_context_params_init(&params);
        params.threads = 1;
        params.allocator = {Memory::allocate, Memory::release, &memory};
        context = std::make_unique<Context>(params);
    }
    ~Fixture() { CHECK(memory.held == 0); }
};

std::vector<const simd::Kernels *> every_kernels() {
    std::vector<const simd::Kernels *> all;
    for (int i = 0; i < simd::kIsaCount; ++i)
        if (simd::isa_present(simd::Isa(i))) all.push_back(&simd::kernels(simd::Isa(i)));
    return all;
}

enum Mode { gaussian, equal, drift, ascending, descending, clusters, lattice, wild, modes };

// Keys by position, with their words, that a program goes through.
struct Keys {
    int dk;
    std::vector<float> rows;
    std::vector<uint64_t> words;

    Keys(int dk_, uint32_t n, Mode mode, unsigned seed) : dk(dk_), rows(size_t(n) * size_t(dk_)), words(n) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        std::vector<float> walk(size_t(dk), 0.0f);
        for (uint32_t i = 0; i < n; ++i) {
            const float cluster = float(random() % 8);
            for (int e = 0; e < dk; ++e) {
                float &at = rows[size_t(i) * size_t(dk) + size_t(e)];
                at = normal(random);
                if (mode == equal) at = 0.3f;
                if (mode == drift) at = 0.01f * at + (walk[size_t(e)] += 0.02f * normal(random));
                if (mode == ascending) at = float(i) / float(n);
                if (mode == descending) at = -float(i) / float(n);
                if (mode == clusters) at = 0.02f * at + std::sin(cluster * float(e + 1));
                if (mode == lattice) at = std::round(at);
                const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f, 1e20f, -0.0f, 0.0f};
                if (mode == wild && random() % 4 == 0) at = odd[random() % 9];
            }
        }
        for (uint32_t i = 0; i < n; ++i) words[i] = word(&rows[size_t(i) * size_t(dk)], i);
    }
    uint64_t word(const float *row, uint32_t position) const {
        const simd::Kernels &kernels = simd::kernels(simd::isa_best());
        const std::vector<simd::GridAxis> axes(size_t(dk), {1, 0, 0});
        const int bits = std::min(20, 40 / dk);
        std::vector<uint32_t> cells(size_t(dk) * 64);
        std::vector<uint64_t> out(64);
        kernels.codes_cells(row, dk, 1, dk, bits, false, axes.data(), cells.data(), 64);
        kernels.codes_interleave(cells.data(), 64, 1, dk, bits, position, out.data());
        return out[0];
    }
    const float *row(uint64_t word) const { return &rows[size_t(word & 0xffffff) * size_t(dk)]; }
};

float distance(const float *q, const float *k, int dk) {
    volatile float sum = 0; // no contraction
    for (int e = 0; e < dk; ++e) {
        volatile float gap = q[e] - k[e];
        volatile float square = gap * gap;
        sum = sum + square;
    }
    return sum;
}

struct Found {
    uint32_t position;
    float distance;
};

bool same(const std::vector<Found> &wanted, const uint32_t *ids, const float *distances, uint32_t n) {
    if (n != wanted.size()) return false;
    for (uint32_t i = 0; i < n; ++i) {
        if (ids[i] != wanted[i].position) return false;
        if (std::isnan(distances[i]) != std::isnan(wanted[i].distance)) return false;
        if (!std::isnan(distances[i]) && distances[i] != wanted[i].distance) return false;
    }
    return true;
}

// What an index should be: words in order.
struct Model {
    const Keys *keys;
    std::vector<uint64_t> words;

    std::vector<Found> searchable(uint32_t limit, const float *q) const {
        std::vector<Found> all;
        for (const uint64_t word : words)
            if ((word & 0xffffff) < limit)
                all.push_back({uint32_t(word & 0xffffff), distance(q, keys->row(word), keys->dk)});
        return all;
    }
    std::vector<Found> window(uint64_t code, uint32_t limit, uint32_t window, const float *q) const {
        std::vector<Found> all = searchable(limit, q);
        size_t p = 0;
        for (const uint64_t word : words) p += (word & 0xffffff) < limit && word >> 24 <= code;
        size_t below = std::min<size_t>(window / 2, p), above = std::min(window - below, all.size() - p);
        if (above < window - below) below = std::min(window - above, p);
        return {all.begin() + ptrdiff_t(p - below), all.begin() + ptrdiff_t(p + above)};
    }
    std::vector<Found> exact(uint32_t limit, uint32_t neighbours, const float *q) const {
        std::vector<Found> all = searchable(limit, q);
        const auto size = [](float x) { return std::isnan(x) ? INFINITY : x; };
        std::sort(all.begin(), all.end(), [&](const Found &a, const Found &b) {
            const float x = size(a.distance), y = size(b.distance);
            return x != y ? x < y : a.position > b.position;
        });
        if (all.size() > neighbours) all.resize(neighbours);
        std::sort(all.begin(), all.end(), [](const Found &a, const Found &b) { return a.position < b.position; });
        return all;
    }
};

void query(const Index &index, const Model &model, const simd::Kernels &kernels, std::mt19937 &random, uint32_t limit) {
    const Keys &keys = *model.keys;
    std::vector<float> q(size_t(keys.dk));
    std::normal_distribution<float> normal;
    const uint32_t total = uint32_t(keys.words.size());
    for (float &x : q) x = normal(random);
    if (random() % 2 == 0) std::copy_n(keys.row(keys.words[random() % total]), keys.dk, q.begin());
    const uint32_t sizes[] = {1, 2, 3, 32, 64, 65, 200, 1024};
    const uint32_t wanted = sizes[random() % 8];
    const uint64_t code = random() % 16 == 0 ? random() % 2 * ((uint64_t{1} << 40) - 1) : keys.word(q.data(), 0) >> 24;
    CAPTURE(wanted);
    CAPTURE(limit);
    CAPTURE(model.words.size());
    CAPTURE(q[0]);

    std::vector<uint32_t> ids(std::max<size_t>(wanted + simd::kListPad, Index::exact_room(wanted)) + 1, 77);
    std::vector<float> distances(ids.size(), 77);
    uint32_t n = index.window(kernels, code, limit, wanted, q.data(), ids.data(), distances.data());
    CHECK(same(model.window(code, limit, wanted, q.data()), ids.data(), distances.data(), n));
    CHECK(ids[wanted + simd::kListPad] == 77);
    n = index.exact(kernels, code, limit, wanted, q.data(), ids.data(), distances.data());
    CHECK(same(model.exact(limit, wanted, q.data()), ids.data(), distances.data(), n));
    CHECK(ids.back() == 77);
}

void query(const Index &index, const Model &model, const simd::Kernels &kernels, std::mt19937 &random) {
    const uint32_t total = uint32_t(model.keys->words.size());
    query(index, model, kernels, random, random() % 3 == 0 ? random() % total : total + random() % 2);
}

// One of the sequences of a program: positions [begin, end) are in it.
struct Sequence {
    Index index;
    Model model;
    uint32_t begin = 0, end = 0;

    void insert(uint32_t position) {
        const uint64_t word = model.keys->words[position];
        index.insert(word, model.keys->row(word));
        model.words.insert(std::lower_bound(model.words.begin(), model.words.end(), word), word);
    }
    void erase(uint32_t position) {
        const uint64_t word = model.keys->words[position];
        index.erase(word);
        model.words.erase(std::lower_bound(model.words.begin(), model.words.end(), word));
    }
    void grow(const Context &context, uint32_t n) {
        index.reserve(context, n);
        for (uint32_t i = 0; i < n; ++i) insert(end++);
    }
    void evict(const Context &context, uint32_t n) {
        index.reserve(context, 0, n);
        for (uint32_t i = 0; i < n; ++i) erase(begin++);
    }
    void truncate(const Context &context, uint32_t n) {
        index.reserve(context, 0, n);
        for (uint32_t i = 0; i < n; ++i) erase(--end);
    }
    void build(const Context &context, uint32_t from, uint32_t to) {
        begin = from, end = to;
        model.words.assign(model.keys->words.begin() + from, model.keys->words.begin() + to);
        std::sort(model.words.begin(), model.words.end());
        index.reserve_build(context, model.words.size());
        index.build(model.words.data(), model.words.size(), model.keys->rows.data());
    }
};

void program(int dk, Mode mode, uint32_t total, int steps, unsigned seed) {
    CAPTURE(dk);
    CAPTURE(int(mode));
    CAPTURE(seed);
    Fixture fixture;
    const Context &context = *fixture.context;
    const std::vector<const simd::Kernels *> kernels = every_kernels();
    const Keys keys(dk, total, mode, seed);
    std::mt19937 random(seed);
    std::vector<Sequence> sequences;
    sequences.reserve(4);
    sequences.push_back({Index(dk), {&keys, {}}});
    for (int step = 0; step < steps; ++step) {
        const size_t which = random() % sequences.size();
        Sequence &s = sequences[which];
        const uint32_t n = 1 + random() % (random() % 4 == 0 ? 300 : 20);
        const uint32_t room = total - s.end, held = s.end - s.begin;
        switch (random() % 12) {
        case 0:
            s.truncate(context, std::min(held, n));
            break;
        case 1:
            s.evict(context, std::min(held, n));
            break;
        case 2:
            if (random() % 8 == 0) s.build(context, random() % (total / 4), total / 4 + random() % (total / 2));
            break;
        case 3: {
            if (sequences.size() == 4) break;
            Sequence fork{Index(dk), s.model, s.begin, s.end};
            fork.index.share(s.index);
            sequences.push_back(std::move(fork));
            break;
        }
        case 4:
            if (random() % 4 != 0 || sequences.size() == 1) break;
            s.index.give_back(context, true);
            CHECK(s.index.count() == 0);
            sequences.erase(sequences.begin() + ptrdiff_t(which));
            continue;
        case 5:
            s.index.give_back(context, false);
            break;
        default:
            s.grow(context, std::min(room, n));
        }
        CHECK(s.index.count() == s.model.words.size());
        for (const Sequence &each : sequences)
            query(each.index, each.model, *kernels[random() % kernels.size()], random);
    }
    for (Sequence &s : sequences) s.index.give_back(context, true);
}

uint64_t word_of(uint64_t code, uint32_t position) {
    return code << 24 | position;
}

} // namespace

TEST_CASE("index: random programs") {
    unsigned seed = 1;
    for (const int dk : {1, 2, 3, 4, 8, 32})
        for (int mode = 0; mode < modes; ++mode) program(dk, Mode(mode), 4000, 120, seed++);
    program(3, gaussian, 20000, 400, seed++);
    program(3, wild, 20000, 400, seed++);
}

// Each limit is once the newest position of a leaf, and of a node above.
TEST_CASE("index: every limit") {
    Fixture fixture;
    const std::vector<const simd::Kernels *> kernels = every_kernels();
    std::mt19937 random(8);
    const uint32_t n = 1500;
    for (const Mode mode : {gaussian, equal, drift}) {
        CAPTURE(int(mode));
        const Keys keys(2, n, mode, 17);
        Sequence s{Index(2), {&keys, {}}};
        s.grow(*fixture.context, n);
        for (uint32_t limit = 0; limit <= n + 1; ++limit)
            query(s.index, s.model, *kernels[limit % kernels.size()], random, limit);
        s.index.give_back(*fixture.context, true);
    }
}

TEST_CASE("index: a tall tree grows and shrinks") {
    Fixture fixture;
    const Context &context = *fixture.context;
    const uint32_t n = 220000;
    const Keys keys(1, n, gaussian, 21);
    std::vector<uint64_t> order = keys.words, sorted;
    std::mt19937 random(21);
    std::vector<uint32_t> ids(n + simd::kListPad);
    std::vector<float> distances(n + simd::kListPad);
    const float zero = 0;
    const auto check = [&](const Index &index, size_t begin, size_t end) { // a window of everything
        sorted.assign(order.begin() + ptrdiff_t(begin), order.begin() + ptrdiff_t(end));
        std::sort(sorted.begin(), sorted.end());
        CHECK(index.count() == end - begin);
        const uint64_t code = random() % 2 == 0 ? 0 : keys.words[0] >> 24;
        const uint32_t found =
            index.window(simd::kernels(simd::isa_best()), code, n, n, &zero, ids.data(), distances.data());
        REQUIRE(found == end - begin);
        size_t wrong = 0;
        for (size_t i = 0; i < found; ++i) wrong += ids[i] != (sorted[i] & 0xffffff);
        CHECK(wrong == 0);
    };
    Index index(1), fork(1);
    for (const uint64_t word : order) {
        index.reserve(context, 1);
        index.insert(word, keys.row(word));
    }
    check(index, 0, n);
    fork.share(index);
    for (int round = 0; round < 2; ++round) { // the second in the order of the curve
        size_t begin = 0;
        for (const size_t left : {n / 2, n / 50, 1000u, 1u, 0u}) {
            for (; n - begin > left; ++begin) {
                index.reserve(context, 1);
                index.erase(order[begin]);
            }
            check(index, begin, n);
            CHECK(index.bytes() <= left * 64 + 65536 * 3);
        }
        index.give_back(context, true);
        index.share(fork);
        std::sort(order.begin(), order.end());
    }
    check(fork, 0, n);
    index.give_back(context, true);
    fork.give_back(context, true);
}

TEST_CASE("index: memory of what is inserted one by one, and of what slides") {
    Fixture fixture;
    const Context &context = *fixture.context;
    for (const int mode : {0, 1, 2, 3, 4}) {
        CAPTURE(mode);
        const uint32_t n = 40000;
        const Keys keys(3, n, Mode(mode), 5);
        Index index(3);
        for (uint32_t i = 0; i < n; ++i) {
            index.reserve(context, 1);
            index.insert(keys.words[i], keys.row(keys.words[i]));
        }
        CHECK(index.bytes() <= size_t(n) * 45);
        CHECK(index.bytes() == fixture.memory.held);
        for (uint32_t i = 0; i < n / 2; ++i) {
            index.reserve(context, 1);
            index.erase(keys.words[i]);
        }
        CHECK(index.bytes() <= size_t(n) / 2 * 60);
        for (uint32_t i = 0; i < n / 2; ++i) { // the same keys at later positions
            index.reserve(context, 2);
            const uint64_t word = keys.words[i];
            index.insert(word_of(word >> 24, n + i), keys.row(word));
            index.erase(keys.words[i + n / 2]);
        }
        CHECK(index.count() == n / 2);
        CHECK(index.bytes() <= size_t(n) / 2 * 60);
        CHECK(index.bytes() == fixture.memory.held);
        index.give_back(context, true);
        CHECK(index.bytes() == 0);
    }
}

TEST_CASE("index: what is built takes little memory, and forks share it") {
    Fixture fixture;
    const Context &context = *fixture.context;
    const uint32_t n = 40000;
    const Keys keys(3, n, gaussian, 5);
    std::vector<uint64_t> words = keys.words;
    std::sort(words.begin(), words.end());
    Index index(3);
    index.reserve_build(context, n);
    index.build(words.data(), n, keys.rows.data());
    CHECK(index.bytes() <= size_t(n) * 31);
    const size_t held = fixture.memory.held;
    std::vector<Index> forks;
    for (int i = 0; i < 8; ++i) forks.emplace_back(3);
    for (Index &fork : forks) {
        fork.share(index);
        CHECK(fork.bytes() == index.bytes());
    }
    CHECK(fixture.memory.held == held);
    for (Index &fork : forks) {
        fork.reserve(context, 1);
        fork.erase(words[n / 2]);
        CHECK(fork.count() == n - 1);
    }
    CHECK(fixture.memory.held <= held + 8 * 65536);
    index.give_back(context, true);
    for (Index &fork : forks) fork.give_back(context, true);
}

TEST_CASE("index: memory refused") {
    Fixture fixture;
    const Context &context = *fixture.context;
    const Keys keys(3, 3000, gaussian, 9);
    Sequence s{Index(3), {&keys, {}}};
    std::mt19937 random(4);
    s.grow(context, 1000);
    Index fork(3);
    fork.share(s.index);
    for (long refuse = 0;; ++refuse) {
        const size_t held = fixture.memory.held, bytes = s.index.bytes();
        fixture.memory.refuse = refuse;
        try {
            s.index.reserve(context, 2000);
            fixture.memory.refuse = -1;
            break;
        } catch (const Error &error) {
            CHECK(error.status() == ZETA_ERROR_MEMORY);
        }
        fixture.memory.refuse = 0;
        CHECK_THROWS_AS(s.index.reserve_build(context, 100000), Error);
        fixture.memory.refuse = -1;
        CHECK(fixture.memory.held == held);
        CHECK(s.index.bytes() == bytes);
    }
    s.grow(context, 2000);
    query(s.index, s.model, simd::kernels(simd::isa_best()), random);
    s.index.give_back(context, true);
    fork.give_back(context, true);
}

TEST_CASE("index: reserved changes ask for no memory") {
    Fixture fixture;
    const Context &context = *fixture.context;
    const uint32_t n = 6000;
    for (const int mode : {0, 2, 3, 4}) {
        const Keys keys(2, n, Mode(mode), 11);
        Sequence s{Index(2), {&keys, {}}};
        s.index.reserve(context, 2 * n);
        const size_t blocks = fixture.memory.blocks;
        for (uint32_t i = 0; i < n; ++i) s.insert(i);
        for (uint32_t i = 0; i < n; ++i) s.erase(i % 2 == 0 ? i : n - i);
        CHECK(fixture.memory.blocks == blocks);
        CHECK(s.index.count() == 0);
        s.index.reserve(context, 1); // and keeps little of it
        CHECK(s.index.bytes() <= 256 * 1024);
        s.index.give_back(context, false);
        CHECK(s.index.bytes() <= 16 * 1024);
        s.index.give_back(context, true);
    }
}

TEST_CASE("index: removals ask for no memory, or for copies of what is shared") {
    Fixture fixture;
    const Context &context = *fixture.context;
    const uint32_t n = 20000;
    for (const int mode : {0, 2, 3}) {
        const Keys keys(3, n, Mode(mode), 13);
        Sequence s{Index(3), {&keys, {}}};
        s.build(context, 0, n);
        const size_t held = fixture.memory.held;
        s.index.reserve(context, 0, n / 2);
        CHECK(fixture.memory.held == held);
        for (uint32_t i = 0; i < n / 2; ++i) s.erase(i * 7 % (n / 2));
        Index fork(3);
        fork.share(s.index);
        s.index.reserve(context, 0, n / 2);
        const size_t blocks = fixture.memory.blocks;
        CHECK(fixture.memory.held <= 2 * held + 65536);
        for (uint32_t i = n / 2; i < n; ++i) s.erase(i);
        CHECK(fixture.memory.blocks == blocks);
        CHECK(s.index.count() == 0);
        CHECK(fork.count() == n / 2);
        s.index.give_back(context, true);
        fork.give_back(context, true);
        CHECK(fixture.memory.held == 0);
    }
}

TEST_CASE("index: forks change on threads of their own") {
    Fixture fixture;
    const Context &context = *fixture.context;
    const Keys keys(3, 9000, gaussian, 3);
    std::vector<Sequence> sequences;
    sequences.push_back({Index(3), {&keys, {}}});
    sequences[0].build(context, 0, 3000);
    for (int i = 1; i < 4; ++i) {
        sequences.push_back({Index(3), sequences[0].model, 0, 3000});
        sequences.back().index.share(sequences[0].index);
    }
    for (Sequence &s : sequences) s.index.reserve(context, 3000);
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
            for (uint32_t j = 0; j < 1500; ++j) {
                sequences[i].insert(3000 + 1500 * i + j);
                sequences[i].erase((j * 7 + i) % 3000);
            }
        });
    for (std::thread &thread : threads) thread.join();
    std::mt19937 random(4);
    for (Sequence &s : sequences)
        for (int i = 0; i < 20; ++i) query(s.index, s.model, simd::kernels(simd::isa_best()), random);
    for (Sequence &s : sequences) s.index.give_back(context, true);
}
