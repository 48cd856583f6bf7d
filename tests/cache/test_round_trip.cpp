// SPDX-License-Identifier: Apache-2.0
// A loaded cache is the saved one: the same answers, bit by bit, now and after whatever follows, and the same bytes
// when it is saved again.
#include <doctest/doctest.h>

#include "harness.hpp"

using namespace cachetest;

namespace {

void check_same(zeta::Cache &a, zeta::Cache &b, const Setup &setup, uint64_t seed) {
    CHECK(extents(a) == extents(b));
    CHECK(ask(a, setup, seed) == ask(b, setup, seed));
    CHECK((a.save() == b.save()));
}

// Both go on in the same way.
void go_on(zeta::Cache &a, zeta::Cache &b, const Setup &setup) {
    std::vector<int64_t> lengths, positions;
    for (zeta::Cache *cache : {&a, &b}) append(*cache, setup, 77, 13);
    check_same(a, b, setup, 5);
    for (int64_t i = 0; i < a.batches(); ++i) {
        positions.push_back(a.length(i) / 2);
        lengths.push_back(a.length(i) - a.length(i) / 5);
    }
    for (zeta::Cache *cache : {&a, &b}) cache->evict_before(positions);
    check_same(a, b, setup, 6);
    for (zeta::Cache *cache : {&a, &b}) cache->truncate(lengths);
    check_same(a, b, setup, 7);
    for (zeta::Cache *cache : {&a, &b}) append(*cache, setup, 78, 5);
    check_same(a, b, setup, 8);
    zeta::Cache fork = a.fork();
    check_same(fork, b, setup, 9);
    for (zeta::Cache *cache : {&a, &b}) cache->reset();
    check_same(a, b, setup, 10);
}

} // namespace

TEST_CASE("every option and type: answers, bytes and all that follows are the same") {
    const zeta::Context context = make_context();
    for (const Setup &setup : all_setups()) {
        CAPTURE(setup.name);
        zeta::Cache saved = setup.make(context), loaded = setup.make(context);
        fill(saved, setup, 1, 40);
        append(loaded, setup, 99, 7); // is replaced
        const Bytes data = saved.save();
        REQUIRE(load(loaded, data).status == ZETA_OK);
        CHECK((loaded.save() == data));
        check_same(saved, loaded, setup, 4);
        go_on(saved, loaded, setup);
    }
}

TEST_CASE("a file has the bytes of the buffer") {
    const zeta::Context context = make_context();
    const Folder folder;
    const std::string path = folder.file("cache");
    for (const Setup &setup : all_setups()) {
        CAPTURE(setup.name);
        zeta::Cache saved = setup.make(context), loaded = setup.make(context);
        fill(saved, setup, 2, 30);
        saved.save(path);
        CHECK((read_file(path) == saved.save()));
        loaded.load(path);
        check_same(saved, loaded, setup, 4);
    }
    CHECK(folder.names() == std::vector<std::string>{"cache"});
}

TEST_CASE("empty caches, empty sequences and sequences with nothing kept") {
    const zeta::Context context = make_context();
    for (const Setup &setup : all_setups()) {
        CAPTURE(setup.name);
        zeta::Cache saved = setup.make(context), loaded = setup.make(context);
        append(loaded, setup, 99, 20);
        REQUIRE(load(loaded, saved.save()).status == ZETA_OK);
        check_same(saved, loaded, setup, 4);
        append(saved, setup, 3, 20);
        std::vector<int64_t> all(size_t(saved.batches()), 20);
        all[0] = 0;
        saved.evict_before(all);
        REQUIRE(load(loaded, saved.save()).status == ZETA_OK);
        check_same(saved, loaded, setup, 4);
        go_on(saved, loaded, setup);
    }
}

TEST_CASE("long sequences, with the mean's history at every place of a block") {
    const zeta::Context context = make_context(2);
    Setup setup;
    setup.batches = 1;
    for (const int32_t type : kWithAndWithoutScales) {
        setup.value_type = type;
        zeta::Cache saved = setup.make(context), loaded = setup.make(context);
        append(saved, setup, 4, 9000);
        for (const int64_t position : {1, 63, 64, 511, 512, 513, 1024, 4095, 4096, 4097, 5555, 8192, 8999}) {
            CAPTURE(position);
            saved.evict_before({position});
            REQUIRE(load(loaded, saved.save()).status == ZETA_OK);
            check_same(saved, loaded, setup, 4);
            zeta::Cache back = saved.fork();
            for (zeta::Cache *cache : {&back, &loaded}) {
                cache->truncate({position + (9000 - position) / 2});
                append(*cache, setup, 5, 700);
            }
            check_same(back, loaded, setup, 5);
        }
    }
}

TEST_CASE("more than 4096 channels: the mean's blocks are longer") {
    const zeta::Context context = make_context();
    Setup setup;
    setup.batches = 1;
    setup.dv = 4100;
    setup.value_type = ZETA_I8;
    zeta::Cache saved = setup.make(context), loaded = setup.make(context);
    append(saved, setup, 4, 1100);
    saved.evict_before({600});
    REQUIRE(load(loaded, saved.save()).status == ZETA_OK);
    check_same(saved, loaded, setup, 4);
    for (zeta::Cache *cache : {&saved, &loaded}) {
        cache->truncate({700});
        append(*cache, setup, 5, 50);
    }
    check_same(saved, loaded, setup, 5);
}

TEST_CASE("as many channels as there may be") {
    const zeta::Context context = make_context();
    Setup setup;
    setup.dv = INT32_MAX;
    setup.attention.mean = 0;
    for (const int32_t type : kWithAndWithoutScales) {
        setup.value_type = type;
        zeta::Cache saved = setup.make(context), loaded = setup.make(context);
        CHECK(load(loaded, saved.save()).sentence == "");
        CHECK((loaded.save() == saved.save()));
    }
}

TEST_CASE("a fork is saved as what it holds") {
    const zeta::Context context = make_context();
    Setup setup;
    zeta::Cache root = setup.make(context);
    fill(root, setup, 5, 50);
    zeta::Cache fork = root.fork({1, 0, 1});
    append(fork, setup, 6, 3);
    Setup three = setup;
    three.batches = 3;
    zeta::Cache loaded = three.make(context);
    REQUIRE(load(loaded, fork.save()).status == ZETA_OK);
    check_same(fork, loaded, three, 4);
    const Outcome refused = load(root, fork.save());
    CHECK(refused.status == ZETA_ERROR_SHAPE);
    CHECK(refused.sentence == "the buffer has batches 3, this cache 2");
}

TEST_CASE("a loaded fork shares nothing with the others") {
    const zeta::Context context = make_context();
    Setup setup;
    zeta::Cache root = setup.make(context);
    fill(root, setup, 5, 50);
    zeta::Cache fork = root.fork();
    const Bytes before = root.save();
    append(fork, setup, 6, 30);
    REQUIRE(load(fork, before).status == ZETA_OK);
    append(fork, setup, 7, 3);
    CHECK((root.save() == before));
}

TEST_CASE("options said in another way agree") {
    const zeta::Context context = make_context();
    Setup plain;
    plain.key_heads = 2;
    zeta::Cache saved = plain.make(context);
    fill(saved, plain, 5, 20);
    Setup full = plain;
    full.attention.window = 4;
    full.attention.local = 1;
    full.attention.mean = 1;
    full.gamma = {1.0f, 1.0f};
    full.scale = std::vector<float>(6, 1.0f);
    zeta::Cache loaded = full.make(context);
    REQUIRE(load(loaded, saved.save()).status == ZETA_OK);
    CHECK((loaded.save() == saved.save()));
}

TEST_CASE("the sizes of buffers") {
    const zeta::Context context = make_context();
    Setup setup;
    zeta::Cache cache = setup.make(context);
    fill(cache, setup, 5, 20);
    size_t size = 0;
    REQUIRE(zeta_cache_save_buffer(cache.get(), nullptr, &size) == ZETA_OK);
    const size_t needed = size;
    Bytes data(needed + 8, std::byte{0x5a});
    size = needed - 1;
    CHECK(zeta_cache_save_buffer(cache.get(), data.data(), &size) == ZETA_ERROR_SCRATCH);
    CHECK(data == Bytes(needed + 8, std::byte{0x5a}));
    size = data.size();
    REQUIRE(zeta_cache_save_buffer(cache.get(), data.data(), &size) == ZETA_OK);
    CHECK(size == needed);
    CHECK(get_u64(data, needed) == 0x5a5a5a5a5a5a5a5au);
}
