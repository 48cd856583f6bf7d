// SPDX-License-Identifier: Apache-2.0
// What is no sound cache file, or one of another cache, is refused with its status and a sentence, and the cache stays
// as it was.
#include <doctest/doctest.h>

#include <cstring>
#include <limits>

#include "harness.hpp"

using namespace cachetest;

namespace {

// A cache with content that refused loads must not touch.
struct Victim {
    explicit Victim(const Setup &s) : setup(s), cache(s.make(context)) {
        fill(cache, setup, 31, 25);
        answer = ask(cache, setup, 4);
        data = cache.save();
    }
    bool untouched() { return cache.save() == data && ask(cache, setup, 4) == answer; }

    zeta::Context context = make_context();
    Setup setup;
    zeta::Cache cache;
    Answer answer;
    Bytes data;
};

// A small file that differs from the victim's content.
Bytes small_file(const Victim &victim) {
    zeta::Cache cache = victim.setup.make(victim.context);
    fill(cache, victim.setup, 32, 6);
    return cache.save();
}

Setup small_setup(int32_t value_type) {
    Setup setup;
    setup.dk = 2;
    setup.dv = 3;
    setup.query_heads = 1;
    setup.value_type = value_type;
    return setup;
}

bool has(const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("a change of any bit is found") {
    for (const int32_t type : kWithAndWithoutScales) {
        Victim victim(small_setup(type));
        const Bytes data = small_file(victim);
        int accepted = 0, others = 0;
        for (size_t at = 0; at < data.size(); ++at) {
            for (int bit = 0; bit < 9; ++bit) { // and all bits at once
                Bytes changed = data;
                changed[at] ^= std::byte(bit == 8 ? 0xff : 1 << bit);
                const Outcome refused = load(victim.cache, changed);
                accepted += refused.status == ZETA_OK;
                others += refused.status != ZETA_ERROR_FORMAT;
            }
            if (at % 64 == 0) CHECK(victim.untouched());
        }
        CHECK(accepted == 0);
        CHECK(others == 0);
        CHECK(victim.untouched());
        CHECK(load(victim.cache, data).status == ZETA_OK);
    }
}

TEST_CASE("every shorter file is found, and every longer one") {
    for (const int32_t type : kWithAndWithoutScales) {
        Victim victim(small_setup(type));
        const Bytes data = small_file(victim);
        const Folder folder;
        int others = 0;
        for (size_t size = 0; size < data.size(); ++size) {
            const Bytes part(data.begin(), data.begin() + std::ptrdiff_t(size));
            const Outcome refused = load(victim.cache, part);
            others += refused.status != ZETA_ERROR_FORMAT || !has(refused.sentence, "truncated");
            if (size % 64 != 0) continue;
            write_file(folder.file("part"), part);
            const Outcome again = outcome([&] { victim.cache.load(folder.file("part")); });
            others += again.status != ZETA_ERROR_FORMAT || !has(again.sentence, "truncated");
            CHECK(victim.untouched());
        }
        CHECK(others == 0);
        for (const size_t more : {1, 7, 8, 4096}) {
            Bytes longer = data;
            longer.resize(data.size() + more);
            const Outcome refused = load(victim.cache, longer);
            CHECK(refused.status == ZETA_ERROR_FORMAT);
            CHECK(has(refused.sentence, "goes on after its end: it has " + std::to_string(longer.size())));
        }
        CHECK(victim.untouched());
    }
}

TEST_CASE("files of other kinds") {
    Victim victim{Setup()};
    Bytes text(1000, std::byte{'a'}), zeros(1000), ones(1000, std::byte{0xff}), picture(1000);
    std::memcpy(picture.data(), "\x89PNG\r\n\x1a\n", 8);
    Bytes as_text = small_file(victim); // through something that makes \r\n of text \n
    as_text.erase(as_text.begin() + 5);
    for (const Bytes &data : {text, zeros, ones, picture, as_text, Bytes(3, std::byte{'a'})}) {
        const Outcome refused = load(victim.cache, data);
        CHECK(refused.status == ZETA_ERROR_FORMAT);
        CHECK(refused.sentence == "the buffer is not a zeta cache: it does not begin like one");
    }
    const Outcome empty = load(victim.cache, {});
    CHECK(empty.status == ZETA_ERROR_FORMAT);
    CHECK(empty.sentence == "the buffer is truncated: it has 0 bytes");
    CHECK(victim.untouched());
}

TEST_CASE("a newer version") {
    Victim victim{Setup()};
    Bytes data = small_file(victim);
    for (const uint32_t version : {2u, 3u, 0xffffffffu}) {
        put_u32(data, 8, version);
        const std::string sentence =
            "the buffer has format version " + std::to_string(version) + ": this library reads up to version 1";
        for (const size_t size : {data.size(), size_t{200}, size_t{16}}) {
            const Outcome refused = load(victim.cache, Bytes(data.begin(), data.begin() + std::ptrdiff_t(size)));
            CHECK(refused.status == ZETA_ERROR_FORMAT);
            CHECK(refused.sentence == sentence);
        }
        reseal(data);
        CHECK(load(victim.cache, data).sentence == sentence);
    }
    put_u32(data, 8, 0);
    reseal(data);
    CHECK(load(victim.cache, data).status == ZETA_ERROR_FORMAT);
    CHECK(victim.untouched());
}

TEST_CASE("other shapes, types and options") {
    struct Other {
        zeta_status status;
        std::string sentence; // after "the buffer "
        std::function<void(Setup &)> change;
    };
    const Other others[] = {
        {ZETA_ERROR_SHAPE, "has batches 3, this cache 2", [](Setup &s) { s.batches = 3; }},
        {ZETA_ERROR_SHAPE, "has query_heads 4, this cache 2", [](Setup &s) { s.query_heads = 4; }},
        {ZETA_ERROR_SHAPE, "has key_heads 2, this cache 1", [](Setup &s) { s.key_heads = 2; }},
        {ZETA_ERROR_SHAPE, "has dk 4, this cache 3", [](Setup &s) { s.dk = 4; }},
        {ZETA_ERROR_SHAPE, "has dv 6, this cache 5", [](Setup &s) { s.dv = 6; }},
        {ZETA_ERROR_DTYPE, "keeps values of type 1 (bfloat16), this cache of type 0 (float32)",
         [](Setup &s) { s.value_type = ZETA_BF16; }},
        {ZETA_ERROR_DTYPE, "keeps values of type 5 (int8), this cache of type 0 (float32)",
         [](Setup &s) { s.value_type = ZETA_I8; }},
        {ZETA_ERROR_ARGUMENT, "was saved with neighbours 5, this cache has 4",
         [](Setup &s) { s.attention.neighbours = 5; }},
        {ZETA_ERROR_ARGUMENT, "was saved with window 9, this cache has 4", [](Setup &s) { s.attention.window = 9; }},
        {ZETA_ERROR_ARGUMENT, "was saved with select 1, this cache has 0",
         [](Setup &s) { s.attention.select = ZETA_SELECT_EXACT; }},
        {ZETA_ERROR_ARGUMENT, "was saved with score 4, this cache has 0",
         [](Setup &s) { s.attention.score = ZETA_SCORE_DOT; }},
        {ZETA_ERROR_ARGUMENT, "was saved with causal 0, this cache has 1",
         [](Setup &s) { s.attention.causal = 0, s.attention.mean = 1; }},
        {ZETA_ERROR_ARGUMENT, "was saved with mean 0, this cache has 1", [](Setup &s) { s.attention.mean = 0; }},
        {ZETA_ERROR_ARGUMENT, "was saved with chunk 2, this cache has 1", [](Setup &s) { s.attention.chunk = 2; }},
        {ZETA_ERROR_ARGUMENT, "was saved with local 3, this cache has 1", [](Setup &s) { s.attention.local = 3; }},
        {ZETA_ERROR_ARGUMENT, "was saved with first 1, this cache has 0", [](Setup &s) { s.attention.first = 1; }},
        {ZETA_ERROR_ARGUMENT, "was saved with gamma[1] 2, this cache has 1",
         [](Setup &s) {
             s.gamma = {1, 2};
         }},
        {ZETA_ERROR_ARGUMENT, "was saved with grid.scale[0] 3, this cache has 1", [](Setup &s) { s.scale = {3}; }},
        {ZETA_ERROR_ARGUMENT, "was saved with grid.kind 1, this cache has 0",
         [](Setup &s) { s.attention.grid.kind = ZETA_GRID_RANGE; }},
    };
    Victim victim{Setup()};
    for (const Other &other : others) {
        Setup setup;
        other.change(setup);
        zeta::Cache cache = setup.make(victim.context);
        fill(cache, setup, 1, 10);
        const Outcome refused = load(victim.cache, cache.save());
        CHECK(refused.status == other.status);
        CHECK(refused.sentence == "the buffer " + other.sentence);
        CHECK(victim.untouched());
    }
    Setup range;
    range.attention.grid.kind = ZETA_GRID_RANGE;
    Victim ranged(range);
    range.hi = {2.5f};
    zeta::Cache cache = range.make(ranged.context);
    CHECK(load(ranged.cache, cache.save()).sentence == "the buffer was saved with grid.hi[0] 2.5, this cache has 1");
}

TEST_CASE("parts may not be exchanged, nor come from another file") {
    Victim victim{Setup()};
    zeta::Cache cache = victim.setup.make(victim.context), other = victim.setup.make(victim.context);
    append(cache, victim.setup, 1, 10);
    append(other, victim.setup, 2, 10);
    const Bytes data = cache.save(), from = other.save();
    const size_t head = size_t(get_u64(data, 24)), part = (data.size() - head) / 2;
    Bytes exchanged = data, mixed = data;
    std::memcpy(exchanged.data() + head, data.data() + head + part, part);
    std::memcpy(exchanged.data() + head + part, data.data() + head, part);
    std::memcpy(mixed.data() + head + part, from.data() + head + part, part);
    CHECK(load(victim.cache, exchanged).sentence ==
          "the buffer is corrupt: sequence 0, key head 0: the checksum does not fit");
    CHECK(load(victim.cache, mixed).sentence ==
          "the buffer is corrupt: sequence 1, key head 0: the checksum does not fit");
    CHECK(victim.untouched());
}
