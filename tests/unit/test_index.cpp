// SPDX-License-Identifier: Apache-2.0
// lib/cache/index: random programs of changes, forks and queries against a sorted array, for every instruction set
// present.
#include <thread>

#include "index_model.hpp"

using namespace zeta;
using namespace zeta::index_model;
using cache::Index;

namespace {

std::vector<const simd::Kernels *> every_kernels() {
    std::vector<const simd::Kernels *> all;
    for (int i = 0; i < simd::kIsaCount; ++i)
        if (simd::isa_present(simd::Isa(i))) all.push_back(&simd::kernels(simd::Isa(i)));
    return all;
}

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
