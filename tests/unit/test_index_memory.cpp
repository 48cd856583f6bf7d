// SPDX-License-Identifier: Apache-2.0
// The memory of lib/cache/index: bounded, counted, given back, refused.
#include "index_model.hpp"

using namespace zeta;
using namespace zeta::index_model;
using cache::Index;

namespace {

uint64_t word_of(uint64_t code, uint32_t position) {
    return code << 24 | position;
}

} // namespace

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
