// SPDX-License-Identifier: Apache-2.0
// A cache written to memory or a file and read back (docs/cache-format.md). Rows go page by page, as they are kept.
// Loading fills a state beside the present one and swaps the two at the end; the index is built anew from the keys.
#include "file.hpp"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <utility>
#include <vector>

#include "../status.hpp"
#include "file_disk.hpp"

namespace zeta::cache {
namespace {

std::vector<FileSequence> sequences_of(const State &state) {
    std::vector<FileSequence> sequences;
    sequences.reserve(size_t(state.batches()));
    for (int64_t b = 0; b < state.batches(); ++b) {
        const Sequence &s = state.sequence(b);
        sequences.push_back({uint64_t(s.length), uint64_t(s.first), uint64_t(s.evicted)});
    }
    return sequences;
}

FileHead checked_head(const Shape &shape, const State &state, const std::vector<FileSequence> &sequences) {
    const FileHead head = make_head(shape, sequences.data(), state.batches());
    if (head.file_bytes > uint64_t(INT64_MAX)) fail(ZETA_ERROR_MEMORY, "the cache is too large to be saved");
    return head;
}

// Rows [begin, end) in pieces that lie behind each other: piece(row, count).
template <class Piece> void each_run(const Rows &rows, uint32_t begin, uint32_t end, Piece piece) {
    for (uint32_t row = begin; row < end;) {
        const uint32_t count = rows.run(row, end - row);
        piece(row, count);
        row += count;
    }
}

void write_part(Writer &writer, const Head &head, const Sequence &sequence) {
    const RowShape &shape = head.rows.shape();
    const uint32_t begin = uint32_t(sequence.evicted), end = uint32_t(sequence.length);
    const size_t key_bytes = size_t(shape.dk) * sizeof(float);
    if (head.mean.on()) {
        const size_t bytes = shape.checkpoint_width * sizeof(double);
        writer.put(head.mean.anchor().before, bytes);
        writer.put(head.mean.anchor().running, bytes);
    }
    const Rows &rows = head.rows;
    each_run(rows, begin, end, [&](uint32_t row, size_t n) { writer.put(rows.key(row), n * key_bytes); });
    if (shape.value_type == ZETA_I8)
        each_run(rows, begin, end, [&](uint32_t row, size_t n) { writer.put(rows.scale(row), n * sizeof(float)); });
    each_run(rows, begin, end, [&](uint32_t row, size_t n) { writer.put(rows.value(row), n * shape.value_bytes); });
    writer.end_part();
}

void write_all(Sink &sink, const Shape &shape, const State &state) {
    const std::vector<FileSequence> sequences = sequences_of(state);
    Writer writer(sink);
    write_head(writer, shape, checked_head(shape, state, sequences), sequences.data());
    for (int64_t b = 0; b < state.batches(); ++b)
        for (int64_t g = 0; g < state.key_heads(); ++g) write_part(writer, state.head(b, g), state.sequence(b));
}

// Which part is read, for sentences.
struct Part {
    int64_t sequence, key_head;
};

[[noreturn]] void corrupt(const Reader &reader, Part part, const char *what) {
    fail(ZETA_ERROR_FORMAT, "%s is corrupt: sequence %" PRId64 ", key head %" PRId64 ": %s", reader.source().name(),
         part.sequence, part.key_head, what);
}

// As zeta writes them: no -0.
bool zeros(const double *numbers, size_t n) {
    return std::all_of(numbers, numbers + n, [](double x) { return x == 0.0 && !std::signbit(x); });
}

// sums: [2, dk + dv] with the mean, working memory.
void read_part(Reader &reader, Part part, Head &head, const Sequence &sequence, double *sums) {
    const RowShape &shape = head.rows.shape();
    const uint32_t begin = uint32_t(sequence.evicted), end = uint32_t(sequence.length);
    const size_t key_bytes = size_t(shape.dk) * sizeof(float), channels = shape.checkpoint_width;
    if (head.mean.on()) {
        reader.get(sums, 2 * channels * sizeof(double));
        head.mean.load_anchor(sums, sums + channels, begin);
    }
    Rows &rows = head.rows;
    each_run(rows, begin, end, [&](uint32_t row, size_t n) { reader.get(rows.key(row), n * key_bytes); });
    bool scales = true;
    if (shape.value_type == ZETA_I8)
        each_run(rows, begin, end, [&](uint32_t row, size_t n) {
            float *scale = rows.scale(row);
            reader.get(scale, n * sizeof(float));
            for (size_t i = 0; i < n; ++i) scales = scales && scale[i] >= 0.0f && std::isfinite(scale[i]);
        });
    each_run(rows, begin, end, [&](uint32_t row, size_t n) { reader.get(rows.value(row), n * shape.value_bytes); });
    if (!reader.end_part()) corrupt(reader, part, "the checksum does not fit");
    if (!scales) corrupt(reader, part, "a scale is negative or not finite");
    if (head.mean.on() && begin == 0 && !zeros(sums, 2 * channels))
        corrupt(reader, part, "sums of evicted rows, but none is evicted");
}

} // namespace

size_t Cache::save_size() {
    return size_t(checked_head(*shape_, *state_, sequences_of(*state_)).file_bytes);
}

void Cache::save(void *data) {
    MemorySink sink(data);
    write_all(sink, *shape_, *state_);
}

void Cache::save(const char *path) {
    DiskSink sink(*context_, path);
    write_all(sink, *shape_, *state_);
    sink.commit();
}

void Cache::load(const void *data, size_t size) {
    MemorySource source(data, size);
    load(source);
}

void Cache::load(const char *path) {
    DiskSource source(*context_, path);
    load(source);
}

void Cache::load(Source &source) {
    Reader reader(source);
    std::vector<FileSequence> sequences(static_cast<size_t>(batches()));
    read_head(reader, *shape_, sequences.data(), batches());
    std::unique_ptr<State> state = empty_state(batches());
    const Allocation sums = context_->allocate(2 * row_shape_->checkpoint_width * sizeof(double));
    for (int64_t b = 0; b < batches(); ++b) {
        const FileSequence &from = sequences[size_t(b)];
        Sequence &sequence = state->sequence(b);
        sequence.length = int64_t(from.length);
        sequence.first = int64_t(from.first);
        sequence.evicted = int64_t(from.evicted);
        for (int64_t g = 0; g < state->key_heads(); ++g) {
            Head &head = state->head(b, g);
            head.rows.reserve(*context_, uint32_t(from.evicted), uint32_t(from.length));
            read_part(reader, {b, g}, head, sequence, static_cast<double *>(sums.data()));
        }
    }
    complete(*state);
    std::swap(state_, state);
}

} // namespace zeta::cache
