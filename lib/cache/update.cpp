// SPDX-License-Identifier: Apache-2.0
// Index changes of one call.
#include "update.hpp"

#include "../cpu/sort.hpp"
#include "../scratch.hpp"

namespace zeta::cache {
namespace {

constexpr uint32_t kOneByOne = 64; // changes that are never worth building anew
constexpr uint32_t kWorth = 8;     // a key that enters or leaves costs about as much as so many in a build

struct BuildWork {
    uint64_t *words, *temporary;
    float *keys;

    BuildWork(Scratch &scratch, size_t n, size_t dk)
        : words(scratch.take<uint64_t>(n)), temporary(scratch.take<uint64_t>(n)), keys(scratch.take<float>(n * dk)) {}
};

// visit(word, key) for the rows of a range.
template <class Visit>
void each_word(const simd::Kernels &kernels, const cpu::Axes &axes, const Rows &rows, Range range, Visit visit) {
    const int dk = rows.shape().dk;
    for (uint32_t row = range.begin; row < range.end;) {
        uint32_t cells[ZETA_MAX_DK * kMaxPageRows];
        uint64_t words[kMaxPageRows];
        const uint32_t n = rows.run(row, range.end - row);
        kernels.codes_cells(rows.key(row), dk, n, dk, axes.bits, axes.range, axes.axis, cells, kMaxPageRows);
        kernels.codes_interleave(cells, kMaxPageRows, n, dk, axes.bits, row, words);
        for (uint32_t i = 0; i < n; ++i) visit(words[i], rows.key(row + i));
        row += n;
    }
}

} // namespace

Update::Update(const Context &context, const Problem &problem, State &state, Next next, bool fresh)
    : context_(context), p_(problem), state_(state), next_(next), fresh_(fresh) {}

Update::Change Update::change(int64_t b) const {
    Change c{indexed(p_, state_.sequence(b)), indexed(p_, next_(b)), 0, 0, false};
    if (fresh_) c.from = {c.to.begin, c.to.begin};
    const uint32_t begin = std::max(c.from.begin, c.to.begin), end = std::min(c.from.end, c.to.end);
    const uint32_t kept = begin < end ? end - begin : 0;
    c.leave = c.from.size() - kept;
    c.enter = c.to.size() - kept;
    c.build = c.to.size() > 0 && c.changes() > kOneByOne && c.changes() > c.to.size() / kWorth;
    return c;
}

void Update::reserve() {
    for (int64_t b = 0; b < state_.batches(); ++b) {
        const Change c = change(b);
        if (c.changes() == 0 || c.to.size() == 0) continue;
        for (int64_t g = 0; g < state_.key_heads(); ++g) {
            if (c.build)
                state_.head(b, g).index.reserve_build(context_, c.to.size());
            else
                state_.head(b, g).index.reserve(context_, c.enter, c.leave);
        }
        if (c.build) built_ = std::max(built_, c.to.size());
    }
    if (built_ == 0) return;
    Scratch scratch;
    BuildWork(scratch, built_, size_t(p_.dk));
    slot_ = scratch.needed();
    memory_ = context_.allocate(slot_ * size_t(context_.executor().workers()));
}

void Update::build(Head &head, int64_t g, Range range, int worker) {
    Scratch scratch(static_cast<char *>(memory_.data()) + size_t(worker) * slot_, slot_);
    const BuildWork work(scratch, range.size(), size_t(p_.dk));
    const cpu::Executor &executor = context_.executor();
    head.rows.copy_keys(range.begin, range.size(), work.keys);
    cpu::encode(executor, cpu::axes_of(p_.grid, g, p_.dk), work.keys, range.size(), p_.dk, range.begin, work.words);
    cpu::sort(executor, work.words, work.temporary, range.size());
    // Keys are found by position: where position 0 would be.
    const uintptr_t origin = reinterpret_cast<uintptr_t>(work.keys) - range.begin * size_t(p_.dk) * sizeof(float);
    head.index.build(work.words, range.size(), reinterpret_cast<const float *>(origin));
}

void Update::apply(int64_t b, int64_t g, int worker) {
    const Change c = change(b);
    if (c.changes() == 0 || c.to.size() == 0) return; // an index without keys is emptied by finish()
    Head &head = state_.head(b, g);
    if (c.build) return build(head, g, c.to, worker);
    const cpu::Axes axes = cpu::axes_of(p_.grid, g, p_.dk);
    const auto erase = [&](uint32_t begin, uint32_t end) {
        each_word(context_.kernels, axes, head.rows, {begin, std::max(begin, end)},
                  [&](uint64_t word, const float *) { head.index.erase(word); });
    };
    const auto insert = [&](uint32_t begin, uint32_t end) {
        each_word(context_.kernels, axes, head.rows, {begin, std::max(begin, end)},
                  [&](uint64_t word, const float *key) { head.index.insert(word, key); });
    };
    erase(c.from.begin, std::min(c.from.end, c.to.begin));
    erase(std::max(c.from.begin, c.to.end), c.from.end);
    insert(std::max(c.from.end, c.to.begin), c.to.end);
}

void Update::finish() {
    for (int64_t b = 0; b < state_.batches(); ++b) {
        const Change c = change(b);
        const bool all = c.changes() > 0 && c.to.size() == 0;
        for (int64_t g = 0; g < state_.key_heads() && (all || c.changes() > kOneByOne); ++g)
            state_.head(b, g).index.give_back(context_, all);
    }
    for (int64_t b = 0; b < state_.batches(); ++b) state_.sequence(b) = next_(b);
}

} // namespace zeta::cache
