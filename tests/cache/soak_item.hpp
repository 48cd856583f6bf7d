// SPDX-License-Identifier: Apache-2.0
// A cache of the soak program with a mirror of all that was ever appended to it, so that its answers can be compared
// with one zeta_forward over the whole sequence. Values are such that every type holds them exactly.
#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <vector>

#include "harness.hpp"

namespace cachetest {

using Chance = std::mt19937_64;

// A number in from .. to.
inline int64_t pick(Chance &chance, int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(chance);
}

// The memory of the soak program's caches: it may be refused, and is only used on threads that make calls.
struct Memory {
    static thread_local int64_t left; // requests before one is refused; -1: none is
    static thread_local bool caller;  // this thread makes calls
    static zeta::Context context(int threads);
};

class Item {
public:
    Item(const zeta::Context &context, const Setup &setup);

    static std::atomic<int64_t> refused; // calls that failed for memory

    // One call of a random kind with random numbers; throws std::runtime_error if what it gives is wrong. Sometimes
    // returns a fork.
    std::unique_ptr<Item> act(const zeta::Context &context, Chance &chance, const std::string &path);

private:
    struct Sequence {
        std::vector<std::vector<float>> k, v; // of each key head, all rows since position 0
        int64_t length = 0, first = 0, evicted = 0;
    };
    // Tensors of a call of n rows.
    struct Rows {
        int64_t n = 0;
        std::vector<int64_t> counts;
        std::vector<float> q, k, v, out, normaliser;
        std::vector<int32_t> neighbours;
    };

    Item(const Setup &setup, zeta::Cache cache, std::vector<Sequence> sequences);
    zeta::Cache make(const zeta::Context &context) const;
    void append(const zeta::Context &context, Chance &chance);
    void attend(const zeta::Context &context, Chance &chance);
    void truncate(Chance &chance);
    void evict(Chance &chance);
    void save_and_load(const zeta::Context &context, Chance &chance, const std::string &path);
    void refuse(Chance &chance);
    std::unique_ptr<Item> fork(Chance &chance);

    Rows rows_of(Chance &chance, int64_t n) const;
    zeta::CacheTensors tensors_of(Rows &rows, bool q, bool kv) const;
    void remember(const Rows &rows);
    void check(const zeta::Context &context, const Rows &rows) const;
    void check_sequence(const zeta::Context &context, const Rows &rows, int64_t b, int64_t count) const;
    void check_extents() const;
    bool served(Chance &chance, const std::function<void()> &call) const;

    const Setup &setup_;
    zeta::Cache cache_;
    std::vector<Sequence> sequences_;
};

// Throws what() with the setup's name.
[[noreturn]] void wrong(const Setup &setup, const std::string &what);

} // namespace cachetest
