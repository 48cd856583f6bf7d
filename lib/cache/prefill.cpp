// SPDX-License-Identifier: Apache-2.0
// Prefill: a prompt, or a long part of one, goes through the full-sequence engine, on the caller's tensors or on the
// rows brought into one place; a short part is answered query by query through the index. The bits are the same. The
// engine runs while the new rows are stored but not yet part of the sequence, so its failure leaves the cache as it
// was.
#include <algorithm>

#include "../cpu/rows.hpp"
#include "../engine.hpp"
#include "../scratch.hpp"
#include "cache.hpp"
#include "rollback.hpp"

namespace zeta::cache {
namespace {

constexpr int64_t kFewQueries = 32; // the engine's stages would cost more than as many queries alone
// A query through the index costs about as much as so many keys in the engine: measured at 16 K to 512 K keys, dv 64.
constexpr int64_t kEngineShare = 6, kEngineShareExact = 12;

// The view of sequence b alone.
View alone(View view, int64_t b) {
    if (view.present())
        view.data = static_cast<char *>(view.data) +
                    b * view.batch_stride * int64_t(view.dtype == ZETA_I32 ? 4 : cpu::float_size(view.dtype));
    return view;
}

} // namespace

// Whether the engine answers sequence b. It needs all rows that the mean is over.
bool Cache::engine_takes(const Call &call, int64_t b) const {
    const int64_t n = call.count(b), m = length(b) + n;
    const int64_t share = shape_->problem.exact ? kEngineShareExact : kEngineShare;
    return n >= kFewQueries && n * share >= m && (evicted(b) == 0 || !shape_->problem.mean);
}

// Whether the engine can read k and v of the call: the whole sequence is there, and v is what the cache will hold.
bool Cache::engine_reads(const Call &call, int64_t b) const {
    return length(b) == 0 && (shape_->value_type == ZETA_F32 || shape_->value_type == call.tensors.v.dtype);
}

// All sequences at once, if they are alike.
bool Cache::prefill_together(const Call &call) {
    for (int64_t b = 0; b < batches(); ++b)
        if (call.count(b) != call.n || !engine_takes(call, b) || !engine_reads(call, b)) return false;
    Problem p = shape_->problem;
    p.batches = batches();
    p.queries = p.keys = call.n;
    forward(*context_, p, call.tensors, nullptr, 0);
    return true;
}

// The rows of sequence b, old and new, as k and v of `t`.
void Cache::bring_together(const Problem &p, int64_t b, Scratch &scratch, Tensors &t) {
    const size_t m = size_t(p.keys), from = size_t(evicted(b)), dk = size_t(p.dk), dv = size_t(p.dv);
    const size_t heads = size_t(p.key_heads);
    float *keys = scratch.take<float>(heads * m * dk), *values = scratch.take<float>(heads * m * dv);
    const auto view = [&](float *data, size_t channels) {
        return View{data, ZETA_F32, 0, int64_t(m * channels), int64_t(channels), int64_t(channels)};
    };
    t.k = view(keys, dk);
    t.v = view(values, dv);
    if (scratch.measuring()) return;
    const auto rows_of = [&](size_t g, size_t begin, size_t end) {
        const Rows &rows = state_->head(b, int64_t(g)).rows;
        rows.copy_keys(uint32_t(begin), uint32_t(end - begin), keys + (g * m + begin) * dk);
        rows.copy_values(context_->kernels, uint32_t(begin), uint32_t(end - begin), {0, dv},
                         values + (g * m + begin) * dv);
    };
    for (size_t g = 0; g < heads; ++g) {
        std::fill_n(keys + g * m * dk, from * dk, 0.0f); // gone, and not searched
        context_->executor().parallel_for(m - from, kSpanRows,
                                          [&](size_t begin, size_t end, int) { rows_of(g, from + begin, from + end); });
    }
}

// While measuring: only takes memory.
void Cache::prefill_sequence(const Call &call, int64_t b, Scratch &scratch) {
    Problem p = shape_->problem;
    p.batches = 1;
    p.queries = call.count(b);
    p.keys = length(b) + p.queries;
    p.first = first(b);
    Tensors t = call.tensors;
    for (View *view : {&t.q, &t.k, &t.v, &t.out, &t.normaliser, &t.neighbours}) *view = alone(*view, b);
    if (!engine_reads(call, b)) bring_together(p, b, scratch, t);
    const size_t size = forward_scratch(*context_, p, t);
    char *block = scratch.take<char>(size);
    if (!scratch.measuring()) forward(*context_, p, t, block, size);
}

// The sequences that the engine takes, one after another in the same memory: it is there before the first is answered.
void Cache::prefill_apart(const Call &call) {
    size_t size = 0;
    for (int64_t b = 0; b < batches(); ++b) {
        if (!engine_takes(call, b)) continue;
        Scratch measure;
        prefill_sequence(call, b, measure);
        size = std::max(size, measure.needed());
    }
    const Allocation memory = context_->allocate(size);
    for (int64_t b = 0; b < batches(); ++b) {
        if (!engine_takes(call, b)) continue;
        Scratch scratch(memory.data(), size);
        prefill_sequence(call, b, scratch);
    }
}

void Cache::prefill(const Call &call) {
    check_finite(call);
    Rollback rollback(*this);
    decoder_.reserve(*context_, *shape_, *row_shape_);
    const auto next = [&](int64_t b) { return appended(call, b); };
    Update update(*context_, shape_->problem, *state_, next);
    reserve_rows(call);
    update.reserve();
    store_rows(call);

    Call rest = call; // what the engine does not answer
    Allocation memory;
    if (call.n >= kFewQueries) {
        memory = context_->allocate(size_t(batches()) * sizeof(int64_t));
        int64_t *counts = static_cast<int64_t *>(memory.data());
        rest.counts = counts;
        if (!prefill_together(call)) prefill_apart(call);
        for (int64_t b = 0; b < batches(); ++b) counts[b] = engine_takes(call, b) ? 0 : call.count(b);
    }
    add_rows(call, update);
    rollback.cancel();
    decoder_.run(*context_, *shape_, *state_, rest);
}

} // namespace zeta::cache
