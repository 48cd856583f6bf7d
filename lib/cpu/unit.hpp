// SPDX-License-Identifier: Apache-2.0
// A unit: one sequence and one key head of a problem, with the query heads that read it. Units are independent of each
// other; sort order, chunks, local windows and means restart in each (spec section 3).
#pragma once

#include <algorithm>
#include <cstdint>

#include "../../simd/kernels.hpp"
#include "../problem.hpp"
#include "executor.hpp"

namespace zeta::cpu {

struct Unit {
    int64_t batch, sequence, key_head; // packed: batch 0; else sequence 0
    int64_t q_start, k_start;          // first rows of the sequence
    int64_t n;                         // queries of it
    uint32_t m;                        // and keys
};

inline int64_t unit_count(const Problem &p) {
    if (p.queries == 0 && p.keys == 0) return 0;
    return (p.sequences > 0 ? p.sequences : p.batches) * p.key_heads;
}

// Units by ascending index: sequences that were passed are not walked over again.
class UnitWalk {
public:
    explicit UnitWalk(const Problem &p) : p_(p) {}

    Unit at(int64_t index) {
        Unit u{};
        u.key_head = index % p_.key_heads;
        const int64_t sequence = index / p_.key_heads;
        if (p_.sequences == 0) {
            u.batch = sequence;
            u.n = p_.queries;
            u.m = uint32_t(p_.keys);
            return u;
        }
        for (; sequence_ < sequence; ++sequence_) {
            q_start_ += p_.q_lengths[sequence_];
            k_start_ += p_.k_lengths[sequence_];
        }
        u.sequence = sequence;
        u.q_start = q_start_;
        u.k_start = k_start_;
        u.n = p_.q_lengths[sequence];
        u.m = uint32_t(p_.k_lengths[sequence]);
        return u;
    }

private:
    const Problem &p_;
    int64_t sequence_ = 0, q_start_ = 0, k_start_ = 0;
};

// The queries of a unit are selected for in parts, since a sort word holds 24 bits of position. Only a call that is not
// causal can have more than one part, and there a part's queries are a unit's like any others.
constexpr int64_t kPartQueries = int64_t{1} << kPositionBits;

// Calls visit(part) for each part, in order.
template <class Visit> void for_parts(const Unit &unit, Visit &&visit) {
    for (int64_t begin = 0; begin < unit.n; begin += kPartQueries) {
        Unit part = unit;
        part.q_start += begin;
        part.n = std::min(unit.n - begin, kPartQueries);
        visit(part);
    }
}

// A unit as large as any part in n and as any unit in m: what scratch is measured with.
inline Unit largest_unit(const Problem &p) {
    Unit u{};
    u.n = p.queries;
    u.m = uint32_t(p.keys);
    if (p.sequences > 0) {
        u.n = 0;
        u.m = 0;
        for (int64_t s = 0; s < p.sequences; ++s) {
            u.n = std::max(u.n, p.q_lengths[s]);
            u.m = std::max(u.m, uint32_t(p.k_lengths[s]));
        }
    }
    u.n = std::min(u.n, kPartQueries);
    return u;
}

// Position of query row i: t = i + (m - n) when causal.
inline int64_t position_of(const Unit &u, int64_t i) {
    return i + int64_t(u.m) - int64_t(u.n);
}

// Searchable keys are first <= j < limit (spec section 3).
inline uint32_t limit_of(const Problem &p, const Unit &u, int64_t i) {
    if (!p.causal) return u.m;
    const int64_t t = position_of(u, i);
    const int64_t chunk = p.chunk == 1 ? t : t / p.chunk * p.chunk; // a division is not free
    return uint32_t(std::max<int64_t>(0, std::min(chunk, t + 1 - p.local)));
}

// Local positions of query row i: [begin, end).
struct LocalRange {
    uint32_t begin, end;
};
inline LocalRange local_of(const Problem &p, const Unit &u, int64_t i) {
    if (!p.causal || p.local == 0) return {0, 0};
    const int64_t t = position_of(u, i);
    const int64_t begin = std::max(p.first, t + 1 - p.local);
    return begin > t ? LocalRange{0, 0} : LocalRange{uint32_t(begin), uint32_t(t + 1)};
}

} // namespace zeta::cpu
