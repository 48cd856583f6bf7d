// SPDX-License-Identifier: Apache-2.0
// The head of a saved cache, written and checked. Options are stored resolved (defaults filled in, one gamma per query
// head, one grid row per key head), so that two ways to say the same agree.
#include "file.hpp"

#include <cinttypes>
#include <cstring>

#include "../status.hpp"

namespace zeta::cache {
namespace {

constexpr char kMagic[8] = {'\x89', 'Z', 'E', 'T', 'A', '\r', '\n', '\x1a'};
constexpr uint64_t kChecksum = 8;

// A size that stays at the largest number once it is too large.
class Bytes {
public:
    explicit Bytes(uint64_t n) : n_(n) {}
    Bytes operator*(uint64_t by) const {
        uint64_t product = 0;
        return Bytes(__builtin_mul_overflow(n_, by, &product) ? UINT64_MAX : product);
    }
    Bytes operator+(Bytes other) const {
        uint64_t sum = 0;
        return Bytes(__builtin_add_overflow(n_, other.n_, &sum) ? UINT64_MAX : sum);
    }
    // Rounded up to a multiple of 8, and a checksum behind it.
    Bytes part() const { return Bytes(n_ > UINT64_MAX - 16 ? UINT64_MAX : padded(n_) + kChecksum); }
    uint64_t value() const { return n_; }

private:
    uint64_t n_;
};

bool has_range(const Problem &p) {
    return p.grid.kind == ZETA_GRID_RANGE;
}

Bytes array_bytes(const Problem &p) {
    return (Bytes(uint64_t(p.query_heads)) + Bytes(uint64_t(p.key_heads)) * uint64_t(p.dk) * (has_range(p) ? 2 : 1)) *
           sizeof(float);
}

uint64_t head_bytes(const Problem &p, int64_t count) {
    const Bytes arrays = array_bytes(p);
    if (arrays.value() > UINT64_MAX - 8) return UINT64_MAX;
    return (Bytes(sizeof(FileHead)) + Bytes(padded(arrays.value())) + Bytes(uint64_t(count)) * sizeof(FileSequence))
        .part()
        .value();
}

// The i-th number of the arrays: gamma [H]; scale [G, dk], or lo and then hi.
float array_value(const Problem &p, uint64_t i) {
    const uint64_t heads = uint64_t(p.query_heads), row = uint64_t(p.dk), grid = uint64_t(p.key_heads) * row;
    if (i < heads) return p.gamma_of(int64_t(i));
    const uint64_t entry = (i - heads) % grid, at = p.grid.heads > 0 ? entry : 0;
    if (!has_range(p)) return p.grid.scale == nullptr ? 1.0f : p.grid.scale[at];
    if (i - heads < grid) return p.grid.lo == nullptr ? 0.0f : p.grid.lo[at];
    return p.grid.hi == nullptr ? 1.0f : p.grid.hi[at];
}

// ---- reading

using Name = const char *;
constexpr const char *kTypes[] = {"float32", "bfloat16", "float16", "", "", "int8"};

Name type_name(uint64_t type) {
    return type < 6 && kTypes[type][0] != '\0' ? kTypes[type] : "unknown";
}

void check_start(Reader &reader, FileHead &head) {
    const Source &source = reader.source();
    const uint64_t size = source.size();
    const size_t start = offsetof(FileHead, file_bytes);
    if (size < start) {
        reader.get(&head, size_t(size));
        if (std::memcmp(head.magic, kMagic, size_t(size < 8 ? size : 8)) != 0)
            fail(ZETA_ERROR_FORMAT, "%s is not a zeta cache: it does not begin like one", source.name());
        fail(ZETA_ERROR_FORMAT, "%s is truncated: it has %" PRIu64 " bytes", source.name(), size);
    }
    reader.get(&head, start);
    if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0)
        fail(ZETA_ERROR_FORMAT, "%s is not a zeta cache: it does not begin like one", source.name());
    if (head.version > kFileVersion)
        fail(ZETA_ERROR_FORMAT, "%s has format version %u: this library reads up to version %u", source.name(),
             unsigned(head.version), unsigned(kFileVersion));
    if (head.version == 0) fail(ZETA_ERROR_FORMAT, "%s is corrupt: its format version is 0", source.name());
    if (size < sizeof head + kChecksum)
        fail(ZETA_ERROR_FORMAT, "%s is truncated: it has %" PRIu64 " bytes", source.name(), size);
    reader.get(reinterpret_cast<char *>(&head) + start, sizeof head - start);
    if (head.head_bytes > size)
        fail(ZETA_ERROR_FORMAT, "%s is truncated or corrupt: it has %" PRIu64 " bytes, its head alone %" PRIu64,
             source.name(), size, head.head_bytes);
    if (head.head_bytes % 8 != 0 || head.head_bytes < sizeof head + kChecksum)
        fail(ZETA_ERROR_FORMAT, "%s is corrupt: its head is said to have %" PRIu64 " bytes", source.name(),
             head.head_bytes);
}

struct Option {
    Name name;
    uint64_t file, cache;
};

void check_agreement(const Source &source, const FileHead &file, const FileHead &cache) {
    if (file.value_type != cache.value_type)
        fail(ZETA_ERROR_DTYPE, "%s keeps values of type %" PRIu32 " (%s), this cache of type %" PRIu32 " (%s)",
             source.name(), file.value_type, type_name(file.value_type), cache.value_type, type_name(cache.value_type));
    const Option shapes[] = {{"batches", file.batches, cache.batches},
                             {"query_heads", file.query_heads, cache.query_heads},
                             {"key_heads", file.key_heads, cache.key_heads},
                             {"dk", file.dk, cache.dk},
                             {"dv", file.dv, cache.dv}};
    for (const Option &o : shapes)
        if (o.file != o.cache)
            fail(ZETA_ERROR_SHAPE, "%s has %s %" PRIu64 ", this cache %" PRIu64, source.name(), o.name, o.file,
                 o.cache);
    const Option options[] = {{"neighbours", file.neighbours, cache.neighbours},
                              {"window", file.window, cache.window},
                              {"select", file.select, cache.select},
                              {"score", file.score, cache.score},
                              {"causal", file.causal, cache.causal},
                              {"mean", file.mean, cache.mean},
                              {"chunk", file.chunk, cache.chunk},
                              {"local", file.local, cache.local},
                              {"first", file.first, cache.first},
                              {"grid.kind", file.grid, cache.grid}};
    for (const Option &o : options)
        if (o.file != o.cache)
            fail(ZETA_ERROR_ARGUMENT, "%s was saved with %s %" PRIu64 ", this cache has %" PRIu64, source.name(),
                 o.name, o.file, o.cache);
}

// An entry of the arrays that differs, for a sentence.
struct Difference {
    bool found = false;
    uint64_t entry = 0;
    float file = 0;
};

Difference read_arrays(Reader &reader, const Problem &p) {
    Difference difference;
    const uint64_t count = array_bytes(p).value() / sizeof(float);
    for (uint64_t i = 0; i < count; ++i) {
        float value = 0;
        reader.get(&value, sizeof value);
        const float own = array_value(p, i);
        if (!difference.found && std::memcmp(&value, &own, sizeof own) != 0) difference = {true, i, value};
    }
    reader.skip(padded(count * sizeof(float)) - count * sizeof(float));
    return difference;
}

[[noreturn]] void refuse_array(const Source &source, const Problem &p, const Difference &d) {
    const uint64_t heads = uint64_t(p.query_heads), grid = uint64_t(p.key_heads) * uint64_t(p.dk);
    const bool gamma = d.entry < heads;
    const uint64_t entry = gamma ? d.entry : (d.entry - heads) % grid;
    fail(ZETA_ERROR_ARGUMENT, "%s was saved with %s[%" PRIu64 "] %.9g, this cache has %.9g", source.name(),
         gamma                    ? "gamma"
         : !has_range(p)          ? "grid.scale"
         : d.entry - heads < grid ? "grid.lo"
                                  : "grid.hi",
         entry, double(d.file), double(array_value(p, d.entry)));
}

void check_sequences(const Source &source, const FileSequence *sequences, const FileHead &head) {
    for (uint64_t b = 0; b < head.batches; ++b) {
        const FileSequence &s = sequences[b];
        if (s.length > ZETA_MAX_KEYS || s.evicted > s.length ||
            s.first != (s.evicted > head.first ? s.evicted : head.first))
            fail(ZETA_ERROR_FORMAT,
                 "%s is corrupt: sequence %" PRIu64 " has length %" PRIu64 ", first %" PRIu64 " and evicted %" PRIu64,
                 source.name(), b, s.length, s.first, s.evicted);
    }
}

} // namespace

uint64_t part_bytes(const Shape &shape, uint64_t rows) {
    const Problem &p = shape.problem;
    const uint64_t dk = uint64_t(p.dk), dv = uint64_t(p.dv);
    const bool int8 = shape.value_type == ZETA_I8;
    const uint64_t element = int8 ? 1 : zeta_dtype_size(shape.value_type);
    const Bytes mean = Bytes(p.mean ? dk + dv : 0) * (2 * sizeof(double));
    return (mean + Bytes(rows) * (dk * sizeof(float) + (int8 ? sizeof(float) : 0)) + Bytes(rows) * dv * element)
        .part()
        .value();
}

FileHead make_head(const Shape &shape, const FileSequence *sequences, int64_t count) {
    const Problem &p = shape.problem;
    FileHead head{};
    std::memcpy(head.magic, kMagic, sizeof kMagic);
    head.version = kFileVersion;
    head.value_type = uint32_t(shape.value_type);
    head.head_bytes = head_bytes(p, count);
    Bytes file(head.head_bytes);
    for (int64_t b = 0; b < count; ++b)
        file = file + Bytes(part_bytes(shape, sequences[b].length - sequences[b].evicted)) * uint64_t(p.key_heads);
    head.file_bytes = file.value();
    head.batches = uint64_t(count);
    head.query_heads = uint64_t(p.query_heads);
    head.key_heads = uint64_t(p.key_heads);
    head.dk = uint64_t(p.dk);
    head.dv = uint64_t(p.dv);
    head.neighbours = uint64_t(p.neighbours);
    head.window = uint64_t(p.window);
    head.select = p.exact ? ZETA_SELECT_EXACT : ZETA_SELECT_WINDOW;
    head.score = uint64_t(p.score);
    head.causal = p.causal;
    head.mean = p.mean;
    head.chunk = uint64_t(p.chunk);
    head.local = uint64_t(p.local);
    head.first = uint64_t(p.first);
    head.grid = uint64_t(p.grid.kind);
    return head;
}

void write_head(Writer &writer, const Shape &shape, const FileHead &head, const FileSequence *sequences) {
    const Problem &p = shape.problem;
    writer.put(&head, sizeof head);
    const uint64_t count = array_bytes(p).value() / sizeof(float);
    for (uint64_t i = 0; i < count; ++i) {
        const float value = array_value(p, i);
        writer.put(&value, sizeof value);
    }
    constexpr char zeros[8] = {};
    writer.put(zeros, size_t(padded(count * sizeof(float)) - count * sizeof(float)));
    writer.put(sequences, size_t(head.batches) * sizeof(FileSequence));
    writer.end_part();
}

void read_head(Reader &reader, const Shape &shape, FileSequence *sequences, int64_t count) {
    const Source &source = reader.source();
    FileHead file{};
    check_start(reader, file);
    for (int64_t b = 0; b < count; ++b) sequences[b] = {};
    const FileHead cache = make_head(shape, sequences, count);
    // A head of another shape is only run through, for its checksum.
    const bool fits = file.head_bytes == cache.head_bytes && file.batches == cache.batches &&
                      file.query_heads == cache.query_heads && file.key_heads == cache.key_heads &&
                      file.dk == cache.dk && file.grid == cache.grid;
    Difference difference;
    if (fits) {
        difference = read_arrays(reader, shape.problem);
        reader.get(sequences, size_t(count) * sizeof(FileSequence));
    } else {
        reader.skip(file.head_bytes - reader.position() - kChecksum);
    }
    if (!reader.end_part())
        fail(ZETA_ERROR_FORMAT, "%s is corrupt: the checksum of its head does not fit", source.name());
    check_agreement(source, file, cache);
    if (!fits)
        fail(ZETA_ERROR_FORMAT, "%s is corrupt: its head is said to have %" PRIu64 " bytes, not %" PRIu64,
             source.name(), file.head_bytes, cache.head_bytes);
    if (difference.found) refuse_array(source, shape.problem, difference);
    check_sequences(source, sequences, file);
    const uint64_t expected = make_head(shape, sequences, count).file_bytes;
    if (file.file_bytes != expected)
        fail(ZETA_ERROR_FORMAT, "%s is corrupt: it is said to have %" PRIu64 " bytes, its sequences take %" PRIu64,
             source.name(), file.file_bytes, expected);
    if (source.size() != expected)
        fail(ZETA_ERROR_FORMAT, "%s %s: it has %" PRIu64 " bytes instead of %" PRIu64, source.name(),
             source.size() < expected ? "is truncated" : "goes on after its end", source.size(), expected);
}

} // namespace zeta::cache
