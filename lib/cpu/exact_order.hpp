// SPDX-License-Identifier: Apache-2.0
// The order in which exact selection lays out keys and takes queries: along a Hilbert curve of a grid fitted to the
// keys. It costs or saves time; the set chosen does not depend on it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "executor.hpp"

namespace zeta::cpu {

constexpr uint32_t kExactMaxDk = 32;

// Cells of squash((x - centre) * inverse).
struct ExactGrid {
    float centre[kExactMaxDk], inverse[kExactMaxDk];
};

class ExactOrder {
public:
    ExactOrder(const Executor &executor, const float *rows, int dk) : executor_(executor), rows_(rows), dk_(dk) {}

    // Fits a grid to the rows with positions first <= i < end.
    ExactGrid fit(size_t first, size_t end) const;
    // words[i]: position first + i in the low 24 bits, and above them the order. They are left sorted, and rows
    // [position, dk] with neighbouring words are near each other, at whatever scale they are crowded. temporary has n
    // words too.
    void sort(const ExactGrid &grid, size_t first, size_t n, uint64_t *words, uint64_t *temporary) const;

private:
    void place(const ExactGrid &grid, uint64_t *words, size_t n) const;
    bool place_run(uint64_t *words, size_t n, uint64_t *temporary) const;
    void refine(uint64_t *words, size_t n, int depth) const;
    void refine_pieces(uint64_t *words, size_t n, int depth) const;
    void refine_together(uint64_t *words, size_t n, uint64_t *temporary, int depth) const;

    const Executor &executor_;
    const float *rows_; // [position, dk]
    const int dk_;
};

} // namespace zeta::cpu
