// SPDX-License-Identifier: Apache-2.0
// Shared vectors: inputs and what the oracle makes of them, one text file each under data/, for every instruction set
// and any other implementation to reproduce. A file is a sequence of lines, a key and its numbers:
//   shape B H G N M dk dv; types of q and k, of v (0 float32, 1 bfloat16, 2 float16)
//   grid squash|range, 1 or 0 for values per key head, then scale, or lo and hi, as bits of float32
//   q, k, v, grad_out: a count and the bits of the elements, or `drawn SEED BITS`: see draw()
//   q_codes, k_codes, k_order (positions of each key head's keys by code and position): hashes, see Hash
//   selection K W exact score causal mean C w first gamma, and below it
//   neighbours (empty: -1), distances (bits; NaN: 7fc00000; empty: +infinity): hashes in C order, as zeta_select gives
//   them out, normaliser, grad_q, grad_k, grad_v, grad_gamma, where kept: a count and value~tolerance, nan, inf, -inf
//   or any
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "oracle.hpp"

namespace vectors {

// FNV-1a of 64 bits, over each number as eight bytes, lowest first.
struct Hash {
    uint64_t value = 14695981039346656037u;
    void add(uint64_t number);
};
template <class T> uint64_t hash_of(const std::vector<T> &numbers) {
    Hash hash;
    for (const T number : numbers) hash.add(static_cast<uint64_t>(number)); // negative ones wrap
    return hash.value;
}

// What a number must be: within `tolerance` of `value`; NaN; an infinity; or anything, if the tolerance is negative.
struct Expected {
    double value = 0, tolerance = 0;
    bool allows(double got) const;
};
using Values = std::map<std::string, std::vector<Expected>>; // by key: "out", ...

struct Selection {
    oracle::Options options; // of which the grid is the vector's
    uint64_t neighbours = 0, distances = 0;
    Values values;
};

// A tensor of inputs. Seed 0: whole; else drawn.
struct Input {
    uint64_t seed = 0;
    int bits = 24;
    std::vector<uint32_t> words; // bits of the elements, in their type

    std::vector<float> floats(int type) const;
};

struct Vector {
    std::string name;
    oracle::Shape shape;
    int qk_type = 0, v_type = 0;
    oracle::Grid grid;
    Input q, k, v, grad_out;
    uint64_t q_codes = 0, k_codes = 0, k_order = 0;
    std::vector<Selection> selections;
};

uint32_t bits_of(float x);
float float_of(uint32_t bits);
uint32_t word_of(float x, int type);

// Numbers of a generator, splitmix64: of any two machines the same.
uint64_t next(uint64_t &state);
// n float32: the upper `bits` bits of each number u of next(seed), made (u - 2^(bits-1)) 2^(2-bits), exactly: in [-2,
// 2).
Input draw(uint64_t seed, int bits, int64_t n);

// Throw std::runtime_error.
Vector read(const std::string &path);
void write(const std::string &path, const Vector &vector);

std::vector<Vector> inputs();                                          // everything but what the oracle makes of them
void complete(Vector &vector);                                         // the rest
std::string check(const Vector &vector, const char *isa, int threads); // "" or what differs

} // namespace vectors
