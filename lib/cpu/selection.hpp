// SPDX-License-Identifier: Apache-2.0
// Where neighbours come from, behind one face: a window on the curve, exact search, or a tensor of the caller's.
// Queries come in tiles, in the order that suits the source.
#pragma once

#include "../context.hpp"
#include "exact.hpp"
#include "rows.hpp"
#include "window.hpp"

namespace zeta::cpu {

enum class Source { window, exact, given };

inline Source source_of(const Problem &p, const View &given) {
    return given.present() ? Source::given : p.exact ? Source::exact : Source::window;
}

// Entries of a list of neighbours with inline local positions and the mean (weigh.hpp) behind them.
inline uint32_t list_room(const Problem &p) {
    return uint32_t(p.neighbours) + 64;
}

// Per thread, on cache lines of its own.
struct alignas(Scratch::kAlignment) SelectWork {
    Lists lists;
    WindowWork window;
    ExactWork exact;

    void take(Scratch &scratch, const Problem &p, Source source);
};

// The neighbours of one unit's queries, a query head at a time.
class Selection {
public:
    void take(Scratch &scratch, const Problem &p, const Unit &unit, Source source);
    // The unit to work on: not larger than the one that take() was given.
    void begin(const Unit &unit);
    void build_keys(const Executor &executor, Context &context, const float *k);
    // part: of the unit's queries (unit.hpp); q are its rows.
    void build_queries(const Executor &executor, Context &context, const Unit &part, const float *q);
    // Entries of the caller's neighbours for query head `head`.
    void use_given(const View &given, int64_t head) {
        given_ = given;
        given_head_ = head;
    }
    size_t tiles() const;
    // hints_a, hints_b: NULL, or what forward saved for each query row.
    void select(const simd::Kernels &kernels, size_t tile, const uint32_t *hints_a, const uint32_t *hints_b,
                SelectWork &work) const;
    // What tile `tile` will read, as far as its place on the curve tells (windows): its query rows and the keys around
    // them.
    struct Ahead {
        const uint32_t *queries = nullptr, *keys = nullptr;
        uint32_t query_count = 0, key_count = 0;
    };
    Ahead ahead(size_t tile) const;
    // The same of one query of a tile that was selected.
    static Ahead ahead(const Lists &lists, uint32_t slot) {
        if (slot >= lists.queries) return {};
        return {lists.query + slot, lists.ids_of(slot), 1, lists.count[slot]};
    }
    // Whether the keys are not known, so that the tile had better be selected early.
    bool needs_early() const { return source_ != Source::window; }

private:
    void lay_out(Scratch &scratch, const Unit &unit);

    Scratch block_;
    const Problem *problem_ = nullptr;
    Unit unit_{};
    Source source_ = Source::window;
    Axes axes_{};
    const float *k_ = nullptr, *q_ = nullptr;
    Levels levels_;
    WindowQueries window_;
    ExactKeys exact_keys_;
    ExactQueries exact_queries_;
    uint32_t *limits_ = nullptr; // [n], exact only
    View given_;
    int64_t given_head_ = 0;
};

} // namespace zeta::cpu
