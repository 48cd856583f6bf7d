// SPDX-License-Identifier: Apache-2.0
// Operations on a cache. Each reserves all memory it will need, then changes: rows past a sequence's length may be
// written at any time, since nobody sees them before the length says so.
#include "cache.hpp"

#include <algorithm>
#include <utility>

#include "../cpu/rows.hpp"
#include "../status.hpp"
#include "rollback.hpp"

namespace zeta::cache {
namespace {

constexpr size_t kStored = 256; // rows stored at a time
constexpr size_t kAlone = 16;   // rows that are not worth waking threads for

// Runs body(b, g, worker) for every head; rows: how many of each the call is about.
template <class Body> void each_head(const Context &context, const State &state, int64_t rows, Body body) {
    const size_t heads = size_t(state.batches() * state.key_heads());
    const auto some = [&](size_t begin, size_t end, int worker) {
        for (size_t i = begin; i < end; ++i)
            body(int64_t(i) / state.key_heads(), int64_t(i) % state.key_heads(), worker);
    };
    if (heads * size_t(rows) <= kAlone)
        some(0, heads, 0);
    else
        context.executor().parallel_for(heads, 1, some);
}

} // namespace

Cache::Cache(const Context &context, std::shared_ptr<const Shape> shape)
    : Cache(context, shape, shape->problem.batches) {}

Cache::Cache(const Context &context, std::shared_ptr<const Shape> shape, int64_t batches)
    : shape_(std::move(shape)), context_(Context::with_settings_of(context)) {
    const Problem &p = shape_->problem;
    row_shape_ = std::make_shared<const RowShape>(p.dk, p.dv, shape_->value_type, p.mean);
    room_ = context_->allocate(size_t(context_->executor().workers()) * mean_room(*row_shape_) * sizeof(float));
    state_ = empty_state(batches);
}

Cache::~Cache() = default;

std::unique_ptr<State> Cache::empty_state(int64_t batches) const {
    return std::make_unique<State>(*context_, *row_shape_, shape_->problem, batches);
}

const Shape &Cache::shape() const {
    return *shape_;
}

Context &Cache::context() {
    return *context_;
}

int64_t Cache::batches() const {
    return state_->batches();
}

int64_t Cache::length(int64_t sequence) const {
    return state_->sequence(sequence).length;
}

int64_t Cache::first(int64_t sequence) const {
    return state_->sequence(sequence).first;
}

int64_t Cache::evicted(int64_t sequence) const {
    return state_->sequence(sequence).evicted;
}

size_t Cache::bytes() const {
    return sizeof *this + state_->bytes() + decoder_.bytes() + room_.size();
}

// ---- append --------------------------------------------------------------------------------------------------------

// int8 rows have no place for infinity and NaN.
void Cache::check_finite(const Call &call) const {
    if (shape_->value_type != ZETA_I8) return;
    const View &v = call.tensors.v;
    for (int64_t b = 0; b < batches(); ++b)
        for (int64_t g = 0; g < state_->key_heads(); ++g)
            for (int64_t i = 0; i < call.count(b); ++i)
                if (any_not_finite(v.dtype, cpu::row_pointer(v, b, g, i), size_t(v.channels)))
                    fail(ZETA_ERROR_ARGUMENT, "v[%lld][%lld][%lld] has a value that is not finite: int8 cannot hold it",
                         static_cast<long long>(b), static_cast<long long>(g), static_cast<long long>(i));
}

Sequence Cache::appended(const Call &call, int64_t b) const {
    Sequence s = state_->sequence(b);
    s.length += call.count(b);
    return s;
}

void Cache::reserve_rows(const Call &call) {
    for (int64_t b = 0; b < batches(); ++b)
        for (int64_t g = 0; g < state_->key_heads(); ++g)
            state_->head(b, g).rows.reserve(*context_, uint32_t(length(b)), uint32_t(length(b) + call.count(b)));
}

// And, unless threads share the rows of one head, adds them to its mean while they are in the cache of the processor.
void Cache::store_rows(const Call &call) {
    const View &k = call.tensors.k, &v = call.tensors.v;
    const auto store = [&](int64_t b, int64_t g, int64_t begin, int64_t end) {
        Rows &rows = state_->head(b, g).rows;
        for (int64_t i = begin; i < end; ++i)
            rows.store(context_->kernels, uint32_t(length(b) + i), k.dtype, cpu::row_pointer(k, b, g, i), v.dtype,
                       cpu::row_pointer(v, b, g, i));
    };
    const bool shared =
        context_->threads_now() > 1 && batches() * state_->key_heads() == 1 && call.n > int64_t(kStored);
    each_head(*context_, *state_, call.n, [&](int64_t b, int64_t g, int worker) {
        const int64_t n = call.count(b);
        if (shared)
            return context_->executor().parallel_for(
                size_t(n), kStored, [&](size_t begin, size_t end, int) { store(b, g, int64_t(begin), int64_t(end)); });
        Head &head = state_->head(b, g);
        for (int64_t begin = 0; begin < n; begin += kStored) {
            const int64_t end = std::min(n, begin + int64_t(kStored));
            store(b, g, begin, end);
            head.mean.advance(context_->kernels, head.rows, uint32_t(length(b) + end), room(worker));
        }
    });
}

// Makes stored rows part of their sequences.
void Cache::add_rows(const Call &call, Update &update) {
    each_head(*context_, *state_, call.n, [&](int64_t b, int64_t g, int worker) {
        Head &head = state_->head(b, g);
        head.mean.advance(context_->kernels, head.rows, uint32_t(length(b) + call.count(b)), room(worker));
        update.apply(b, g, worker);
    });
    update.finish();
}

void Cache::append(const Call &call) {
    check_finite(call);
    Rollback rollback(*this);
    const auto next = [&](int64_t b) { return appended(call, b); };
    Update update(*context_, shape_->problem, *state_, next);
    reserve_rows(call);
    update.reserve();
    store_rows(call);
    add_rows(call, update);
    rollback.cancel();
}

// Rows before what was evicted and from the length on, also in the means, and spare memory of the indices.
void Cache::restore() noexcept {
    for (int64_t b = 0; b < batches(); ++b)
        for (int64_t g = 0; g < state_->key_heads(); ++g) {
            Head &head = state_->head(b, g);
            head.mean.rewind(context_->kernels, head.rows, uint32_t(length(b)), room(0));
            head.rows.keep(*context_, uint32_t(evicted(b)), uint32_t(length(b)));
            head.index.give_back(*context_, false);
        }
}

void Cache::attend(const Call &call) {
    decoder_.reserve(*context_, *shape_, *row_shape_);
    decoder_.run(*context_, *shape_, *state_, call);
}

// ---- the rest ------------------------------------------------------------------------------------------------------

void Cache::truncate(const int64_t *lengths) {
    Rollback rollback(*this);
    const auto next = [&](int64_t b) {
        Sequence s = state_->sequence(b);
        s.length = lengths[b];
        return s;
    };
    Update update(*context_, shape_->problem, *state_, next);
    update.reserve();
    int64_t most = 1;
    for (int64_t b = 0; b < batches(); ++b) most = std::max(most, length(b) - lengths[b]);
    each_head(*context_, *state_, most, [&](int64_t b, int64_t g, int worker) {
        Head &head = state_->head(b, g);
        update.apply(b, g, worker);
        head.mean.rewind(context_->kernels, head.rows, uint32_t(lengths[b]), room(worker));
    });
    update.finish();
    rollback.cancel();
    restore(); // rows past the new lengths go
}

void Cache::evict_before(const int64_t *positions) {
    Rollback rollback(*this);
    const auto next = [&](int64_t b) {
        Sequence s = state_->sequence(b);
        if (positions[b] > s.first) s.first = s.evicted = positions[b];
        return s;
    };
    Update update(*context_, shape_->problem, *state_, next);
    int64_t most = 1;
    for (int64_t b = 0; b < batches(); ++b) {
        most = std::max(most, next(b).first - first(b));
        for (int64_t g = 0; g < state_->key_heads(); ++g)
            state_->head(b, g).rows.reserve_keep(*context_, uint32_t(next(b).evicted));
    }
    update.reserve();
    each_head(*context_, *state_, most, [&](int64_t b, int64_t g, int worker) {
        Head &head = state_->head(b, g);
        update.apply(b, g, worker);
        if (next(b).evicted > evicted(b))
            head.mean.raise_anchor(context_->kernels, head.rows, uint32_t(next(b).evicted), room(worker));
    });
    update.finish();
    rollback.cancel();
    restore(); // rows before the new positions go
}

std::unique_ptr<Cache> Cache::fork(const int64_t *sequences, int64_t count) {
    std::unique_ptr<Cache> copy(new Cache(*context_, shape_, sequences == nullptr ? batches() : count));
    for (int64_t b = 0; b < copy->batches(); ++b) {
        const int64_t source = sequences == nullptr ? b : sequences[b];
        for (int64_t g = 0; g < state_->key_heads(); ++g) {
            const Head &from = state_->head(source, g);
            Head &to = copy->state_->head(b, g);
            to.rows.share(*copy->context_, from.rows);
            to.mean.copy(from.mean);
            to.index.share(from.index);
        }
        copy->state_->sequence(b) = state_->sequence(source);
    }
    return copy;
}

void Cache::reset() {
    state_->clear();
    for (int64_t b = 0; b < batches(); ++b) state_->sequence(b) = {0, shape_->problem.first, 0};
}

void Cache::complete(State &state) {
    const auto next = [&](int64_t b) { return state.sequence(b); };
    Update update(*context_, shape_->problem, state, next, true);
    update.reserve();
    each_head(*context_, state, int64_t(kAlone), [&](int64_t b, int64_t g, int worker) {
        Head &head = state.head(b, g);
        head.mean.advance(context_->kernels, head.rows, uint32_t(state.sequence(b).length), room(worker));
        update.apply(b, g, worker);
    });
    update.finish();
}

} // namespace zeta::cache
