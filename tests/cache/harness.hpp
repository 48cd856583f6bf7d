// SPDX-License-Identifier: Apache-2.0
// Caches of every kind for the tests of saving and loading, filled with numbers that depend on a seed alone, and what
// they answer, to be compared bit by bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "zeta/zeta.hpp"

namespace cachetest {

using Bytes = std::vector<std::byte>;

// Types of values that are kept in two ways.
constexpr int32_t kWithAndWithoutScales[] = {ZETA_F32, ZETA_I8};

// What a cache is made for.
struct Setup {
    std::string name;
    int64_t batches = 2, query_heads = 2, key_heads = 1, dk = 3, dv = 5;
    int32_t value_type = ZETA_F32;
    zeta::Params attention;
    std::vector<float> gamma, scale, lo, hi; // used where not empty; grids of one number or [G, dk]

    Setup() { attention.neighbours = 4; }
    zeta::Cache make(const zeta::Context &context) const;
};

// Every option and every type of values.
std::vector<Setup> all_setups();

zeta::Context make_context(int threads = 1);

// A number in (-1, 1) that depends on its arguments.
float noise(uint64_t seed, uint64_t i);

// Appends counts[b] (NULL: n) rows to each sequence.
void append(zeta::Cache &cache, const Setup &setup, uint64_t seed, int64_t n,
            const std::vector<int64_t> *counts = nullptr);

// What the last n queries of each sequence (fewer where it is shorter) are answered.
struct Answer {
    std::vector<float> out, normaliser;
    std::vector<int32_t> neighbours;
};
bool operator==(const Answer &a, const Answer &b); // the same bits
Answer ask(zeta::Cache &cache, const Setup &setup, uint64_t seed, int64_t n = 3);

// Lengths and firsts of all sequences.
std::vector<int64_t> extents(const zeta::Cache &cache);

// Sequences of different lengths, one of them with rows evicted.
void fill(zeta::Cache &cache, const Setup &setup, uint64_t seed, int64_t n);

// The status of a call that throws zeta::Error, and its sentence; ZETA_OK if it does not.
struct Outcome {
    zeta_status status = ZETA_OK;
    std::string sentence;
};
Outcome outcome(const std::function<void()> &call);
Outcome load(zeta::Cache &cache, const Bytes &data); // from memory of exactly that size

// Numbers inside a file (docs/cache-format.md).
uint64_t get_u64(const Bytes &data, size_t at);
void put_u64(Bytes &data, size_t at, uint64_t value);
void put_u32(Bytes &data, size_t at, uint32_t value);
size_t table_offset(const Bytes &data); // of the first sequence's length
// Makes all checksums fit again. What the head says of sizes is not believed where it leaves the file.
void reseal(Bytes &data);

Bytes read_file(const std::string &path);
void write_file(const std::string &path, const Bytes &data);

// A folder of its own, removed at the end with the files in it.
class Folder {
public:
    Folder();
    ~Folder();
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;
    std::string file(const std::string &name) const { return path_ + "/" + name; }
    const std::string &path() const { return path_; }
    std::vector<std::string> names() const; // sorted

private:
    std::string path_;
};

} // namespace cachetest
