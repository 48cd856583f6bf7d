// SPDX-License-Identifier: Apache-2.0
// Helpers for the jobs that fly() runs: objects made in scratch, which own nothing, so that nothing is destroyed.
#pragma once

#include <new>

#include "flight.hpp"
#include "progress.hpp"

namespace zeta {

// n objects made in scratch and given their own memory by take(object); while measuring, one stands in for all.
template <class T, class Take> T *make_each(Scratch &scratch, size_t n, Take &&take) {
    T *objects = scratch.take<T>(n);
    for (size_t i = 0; i < n; ++i) {
        T stand_in;
        if (objects != nullptr && !scratch.overrun())
            take(*new (objects + i) T());
        else
            take(stand_in);
    }
    return objects;
}

inline uint64_t query_count(const Problem &p) {
    return uint64_t(p.batches) * uint64_t(p.query_heads) * uint64_t(p.queries);
}

// The units in flight of a job, one slot each.
template <class U, class Take>
U *make_units(Scratch &scratch, const cpu::Executor &executor, const Problem &p, Take &&take) {
    return make_each<U>(scratch, size_t(slots_of(executor, cpu::unit_count(p))), take);
}

} // namespace zeta
