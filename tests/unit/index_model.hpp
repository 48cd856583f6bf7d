// SPDX-License-Identifier: Apache-2.0
// What tests of lib/cache/index compare with: a sorted array, on inputs chosen to hurt, and an allocator that counts.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "cache/index.hpp"
#include "status.hpp"

namespace zeta::index_model {

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

enum Mode { gaussian, equal, drift, ascending, descending, clusters, lattice, wild, modes };

// Keys by position, with their words, that a program goes through.
struct Keys {
    int dk;
    std::vector<float> rows;
    std::vector<uint64_t> words;

    Keys(int dk, uint32_t n, Mode mode, unsigned seed);
    uint64_t word(const float *row, uint32_t position) const;
    const float *row(uint64_t word) const { return &rows[size_t(word & 0xffffff) * size_t(dk)]; }
};

struct Found {
    uint32_t position;
    float distance;
};

// What an index should be: words in order.
struct Model {
    const Keys *keys;
    std::vector<uint64_t> words;

    std::vector<Found> searchable(uint32_t limit, const float *q) const;
    std::vector<Found> window(uint64_t code, uint32_t limit, uint32_t window, const float *q) const;
    std::vector<Found> exact(uint32_t limit, uint32_t neighbours, const float *q) const;
};

// Checks a random query, also with a random limit.
void query(const cache::Index &index, const Model &model, const simd::Kernels &kernels, std::mt19937 &random,
           uint32_t limit);
void query(const cache::Index &index, const Model &model, const simd::Kernels &kernels, std::mt19937 &random);

// One of the sequences of a program: positions [begin, end) are in it.
struct Sequence {
    cache::Index index;
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

} // namespace zeta::index_model
