// SPDX-License-Identifier: Apache-2.0
// The cache behind zeta_cache: sequences of key heads, each with its rows (rows.hpp), the running history mean and the
// sorted index (index.hpp). The API layer (lib/api) hands it checked arguments; every operation either succeeds or
// throws Error and leaves the cache as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../context.hpp"
#include "../problem.hpp"
#include "decode.hpp"
#include "state.hpp"
#include "update.hpp"

namespace zeta::cache {

class Source; // file_stream.hpp

// What a cache was made for: `problem` has the shapes B, H, G, dk, dv and every option (queries and keys are 0); its
// pointers are to memory of the Shape's own. Copies of a cache share it.
struct Shape {
    Problem problem;
    int32_t value_type = ZETA_F32; // or ZETA_I8
    int64_t capacity = 0;
    std::vector<float> gamma, scale, lo, hi;
};

// Tensors of a call, checked: q, k, v, out, normaliser and neighbours of `tensors`; n rows of each sequence, of which
// counts[b] are used.
struct Call {
    Tensors tensors;
    int64_t n = 0;
    const int64_t *counts = nullptr; // [B] or NULL: all n

    int64_t count(int64_t b) const { return counts == nullptr ? n : counts[b]; }
};

class Cache {
public:
    Cache(const Context &context, std::shared_ptr<const Shape> shape);
    Cache(const Cache &) = delete;
    Cache &operator=(const Cache &) = delete;
    ~Cache();

    const Shape &shape() const;
    Context &context();
    int64_t batches() const; // a fork's may differ from the shape's
    int64_t length(int64_t sequence) const;
    int64_t first(int64_t sequence) const;
    int64_t evicted(int64_t sequence) const; // rows before this position are gone
    size_t bytes() const;

    void append(const Call &call);
    void attend(const Call &call);
    void prefill(const Call &call); // and step
    void truncate(const int64_t *lengths);
    void evict_before(const int64_t *positions);
    std::unique_ptr<Cache> fork(const int64_t *sequences, int64_t count);
    void reset();

    // Writes or replaces the whole content (file.cpp).
    size_t save_size();
    void save(void *data); // save_size() bytes
    void save(const char *path);
    void load(const void *data, size_t size);
    void load(const char *path);

private:
    // For load: a state is made with empty_state(); its sequences' numbers set; of every head rows.reserve(context(),
    // evicted, length), the key(), value() and scale() of rows evicted .. length - 1 written, and mean.load_anchor()
    // called if mean.on(); complete() does the rest (sums and index; it throws Error(ZETA_ERROR_MEMORY)); then state_
    // is swapped for it. To save: state_, of whose heads rows evicted .. length - 1 and mean.anchor() are needed.
    std::unique_ptr<State> empty_state(int64_t batches) const;
    void complete(State &state);
    void load(Source &source);

    class Rollback; // takes back what a call that fails has reserved

    Cache(const Context &context, std::shared_ptr<const Shape> shape, int64_t batches);

    // The new rows of a call: refused or not, given room, written past the length, and at last counted in.
    void check_finite(const Call &call) const;
    void reserve_rows(const Call &call);
    void store_rows(const Call &call);
    void add_rows(const Call &call, Update &update);
    Sequence appended(const Call &call, int64_t b) const;
    void restore() noexcept; // gives back all that no sequence holds

    // The part of the full-sequence engine in prefill().
    bool engine_takes(const Call &call, int64_t b) const;
    bool engine_reads(const Call &call, int64_t b) const;
    bool prefill_together(const Call &call);
    void prefill_apart(const Call &call);
    void prefill_sequence(const Call &call, int64_t b, Scratch &scratch);
    void bring_together(const Problem &p, int64_t b, Scratch &scratch, Tensors &t);

    float *room(int worker) const {
        return static_cast<float *>(room_.data()) + size_t(worker) * mean_room(*row_shape_);
    }

    std::shared_ptr<const Shape> shape_;
    std::unique_ptr<Context> context_;
    std::shared_ptr<const RowShape> row_shape_;
    Allocation room_;              // [workers, mean_room()]
    std::unique_ptr<State> state_; // never NULL
    Decoder decoder_;
};

} // namespace zeta::cache
