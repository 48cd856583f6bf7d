// SPDX-License-Identifier: Apache-2.0
// Work is cut into pieces of one query head and the queries of one block of 512 positions, whose means follow from the
// sums noted at the block's start; a step has one query a head, whose mean the cache holds. All value rows that a query
// will read are asked for as soon as they are known: at a long context waiting for them is most of a step.
#include "decode.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "../cpu/history.hpp"
#include "../cpu/rows.hpp"
#include "../cpu/sort.hpp"
#include "../cpu/weigh.hpp"
#include "../cpu/wide_range.hpp"
#include "../cpu/wide_sum.hpp"
#include "cache.hpp"

namespace zeta::cache {

namespace {

constexpr uint32_t kPiece = kCheckpointRows; // queries of a piece
constexpr uint32_t kMeans = 16;              // queries whose means are made at a time
constexpr size_t kWidth = 512;               // channels of values gathered at a time
constexpr size_t kLeastWidth = 16; // at the end too, if there are more: a vector's, or the order of sums changes
constexpr size_t kAlone = 4;       // queries that are not worth waking threads for

// Where a query stands: what it may search, and its local positions.
struct Place {
    uint32_t limit, local_begin, local_end;
};

} // namespace

// On cache lines of its own.
struct alignas(Scratch::kAlignment) DecodeWork {
    cpu::WeighWork weigh;
    cpu::Lists lists;                                     // of one query; ids are 0, 1, ...
    uint32_t *positions = nullptr, *candidates = nullptr; // [K + pad] neighbours; [W + pad] before they are chosen
    float *candidate_distances = nullptr;
    float *keys = nullptr, *values = nullptr; // [K + kInlineLocal, dk] or a slice; [., min(dv, kWidth + kLeastWidth)]
    float *q = nullptr, *row = nullptr;       // [dk]; [dv]
    float *own = nullptr, *mixed = nullptr;   // [dv]
    float *mean_keys = nullptr, *mean_values = nullptr; // [kMeans, dk], [kMeans, dv]
    float *overall = nullptr, *room = nullptr;          // [dk + dv]; mean_room()
    cpu::WideSum wide;
    MeanSums sums;

    void take(Scratch &scratch, const Problem &p, const RowShape &rows);
};

void DecodeWork::take(Scratch &scratch, const Problem &p, const RowShape &rows) {
    const size_t dk = size_t(p.dk), dv = size_t(p.dv), neighbours = size_t(p.neighbours);
    weigh.take(scratch, p, 1);
    lists.queries = 1;
    lists.query[0] = 0;
    lists.stride = neighbours + cpu::kInlineLocal + 2 * simd::kListPad;
    lists.ids = scratch.take<uint32_t>(lists.stride);
    lists.distances = scratch.take<float>(lists.stride);
    for (size_t i = 0; !scratch.measuring() && !scratch.overrun() && i < lists.stride; ++i) lists.ids[i] = uint32_t(i);
    positions = scratch.take<uint32_t>(lists.stride);
    const size_t room_for = p.exact ? Index::exact_room(uint32_t(p.neighbours)) : size_t(p.window) + 2 * simd::kListPad;
    candidates = scratch.take<uint32_t>(room_for);
    candidate_distances = scratch.take<float>(room_for);
    const size_t gathered = std::max<size_t>(neighbours + cpu::kInlineLocal, cpu::kSlice);
    keys = scratch.take<float>(gathered * dk);
    values = scratch.take<float>(gathered * std::min(dv, kWidth + kLeastWidth));
    q = scratch.take<float>(dk);
    row = scratch.take<float>(dv);
    own = scratch.take<float>(dv);
    mixed = scratch.take<float>(dv);
    wide.take(scratch, p.local, std::min(dv, kWidth + kLeastWidth));
    const size_t means = rows.checkpoint_width == 0 ? 0 : kMeans;
    mean_keys = scratch.take<float>(means * dk);
    mean_values = scratch.take<float>(means * dv);
    overall = scratch.take<float>(rows.checkpoint_width);
    room = scratch.take<float>(mean_room(rows));
    sums.before = scratch.take<double>(rows.checkpoint_width);
    sums.running = scratch.take<double>(rows.checkpoint_width);
}

namespace {

// The queries of one head in one piece.
class Piece {
public:
    Piece(const Context &context, const Shape &shape, const State &state, const Call &call, int64_t b, int64_t h,
          DecodeWork &work)
        : kernels_(context.kernels), p_(shape.problem), t_(call.tensors), b_(b), h_(h),
          g_(h / shape.problem.heads_per_key()), sequence_(state.sequence(b)), head_(state.head(b, g_)),
          axes_(cpu::axes_of(p_.grid, g_, p_.dk)), gamma_(p_.gamma_of(h)), work_(work), fake_(p_) {
        fake_.causal = true;
        fake_.first = 0;
        unit_.n = 1;
    }

    void run(int64_t begin, int64_t end, int64_t n);

private:
    Place place(int64_t t) const;
    void query(int64_t i, const Place &place, const float *mean_key, const float *mean_value);
    uint32_t select(uint32_t limit);
    void fetch(uint32_t neighbours, const Place &place) const;
    void emit_neighbours(int64_t i, uint32_t neighbours) const;
    void gather_keys(uint32_t neighbours, const Place &place);
    const float *mix(const cpu::Weighed &w, const Place &place, const float *mean);
    void attend(int64_t i, const cpu::Weighed &w, const Place &place, const float *mean);

    const simd::Kernels &kernels_;
    const Problem &p_;
    const Tensors &t_;
    const int64_t b_, h_, g_;
    const Sequence &sequence_;
    const Head &head_;
    const cpu::Axes axes_;
    const float gamma_;
    DecodeWork &work_;
    Problem fake_;     // what the gathered rows look like: neighbours, then local positions, read by one query
    cpu::Unit unit_{}; // likewise
};

// Query rows [begin, end) of the n that stand at the last positions.
void Piece::run(int64_t begin, int64_t end, int64_t n) {
    const bool mean = p_.mean && sequence_.length > 0;
    const int64_t origin = sequence_.length - n;
    const size_t dk = size_t(p_.dk), dv = size_t(p_.dv);
    if (!mean || n == 1 || !p_.causal) { // one mean, or none
        const float *key = mean ? head_.mean.latest() : nullptr;
        if (mean && !p_.causal) {
            head_.mean.overall(work_.overall);
            key = work_.overall;
        }
        for (int64_t i = begin; i < end; ++i) query(i, place(origin + i), key, key == nullptr ? nullptr : key + dk);
        return;
    }
    MeanWalk walk(kernels_, head_.rows, work_.sums, work_.room);
    walk.seek(head_.mean, uint32_t(origin + begin));
    for (int64_t i = begin; i < end; i += kMeans) {
        const int64_t count = std::min<int64_t>(kMeans, end - i);
        walk.add(uint32_t(count), work_.mean_keys, work_.mean_values);
        for (int64_t j = 0; j < count; ++j)
            query(i + j, place(origin + i + j), work_.mean_keys + size_t(j) * dk, work_.mean_values + size_t(j) * dv);
    }
}

Place Piece::place(int64_t t) const {
    if (!p_.causal) return {uint32_t(sequence_.length), 0, 0};
    const int64_t chunk = p_.chunk == 1 ? t : t / p_.chunk * p_.chunk;
    const int64_t limit = std::max<int64_t>(0, std::min(chunk, t + 1 - p_.local));
    const int64_t local = std::min(std::max(sequence_.first, t + 1 - p_.local), t + 1);
    return {uint32_t(limit), uint32_t(local), uint32_t(t + 1)};
}

void Piece::query(int64_t i, const Place &place, const float *mean_key, const float *mean_value) {
    cpu::widen(kernels_, t_.q.dtype, cpu::row_pointer(t_.q, b_, h_, i), size_t(p_.dk), work_.q);
    const uint32_t neighbours = select(place.limit);
    fetch(neighbours, place);
    if (t_.neighbours.present()) emit_neighbours(i, neighbours);
    gather_keys(neighbours, place);
    const uint32_t local = place.local_end - place.local_begin;
    fake_.local = local;
    unit_.m = std::max(1u, neighbours + local);
    work_.lists.count[0] = neighbours;
    const auto slice_keys = [&](uint32_t begin, uint32_t n) -> const float * {
        head_.rows.copy_keys(place.local_begin + begin - neighbours, n, work_.keys);
        return work_.keys;
    };
    cpu::HeadKeys keys{&kernels_, &fake_, &unit_, work_.q, work_.keys, mean_key, gamma_};
    if (local > cpu::kInlineLocal) keys.slice_keys = slice_keys;
    cpu::Weighed weighed;
    cpu::weigh_tile(keys, work_.lists, &weighed, work_.weigh);
    attend(i, weighed, place, mean_value);
}

// Neighbours in the order of the full-sequence engine: positions, and distances in the list. Returns how many.
uint32_t Piece::select(uint32_t limit) {
    if (limit <= sequence_.first) return 0;
    uint32_t cells[ZETA_MAX_DK];
    uint64_t word;
    kernels_.codes_cells(work_.q, p_.dk, 1, p_.dk, axes_.bits, axes_.range, axes_.axis, cells, 1);
    kernels_.codes_interleave(cells, 1, 1, p_.dk, axes_.bits, 0, &word);
    const uint64_t code = word >> kPositionBits;
    const uint32_t keep = uint32_t(p_.neighbours);
    uint32_t *ids = work_.candidates;
    float *distances = work_.candidate_distances;
    uint32_t n;
    if (p_.exact) {
        n = head_.index.exact(kernels_, code, limit, keep, work_.q, ids, distances);
    } else {
        n = head_.index.window(kernels_, code, limit, uint32_t(p_.window), work_.q, ids, distances);
        float kth;
        if (p_.reranked()) n = kernels_.select_nearest(ids, distances, n, keep, &kth);
    }
    std::copy_n(ids, n, work_.positions);
    std::copy_n(distances, n, work_.lists.distances);
    return n;
}

void Piece::fetch(uint32_t neighbours, const Place &place) const {
    const uint32_t local = std::min(place.local_end - place.local_begin, cpu::kInlineLocal);
    for (uint32_t i = 0; i < neighbours; ++i) head_.rows.fetch_value(work_.positions[i]);
    for (uint32_t i = 0; i < local; ++i) head_.rows.fetch_value(place.local_begin + i);
}

void Piece::emit_neighbours(int64_t i, uint32_t neighbours) const {
    int32_t *out = t_.neighbours.row<int32_t>(b_, h_, i);
    for (uint32_t j = 0; j < neighbours; ++j) out[j] = int32_t(work_.positions[j]);
    std::sort(out, out + neighbours);
    std::fill(out + neighbours, out + p_.neighbours, -1);
}

void Piece::gather_keys(uint32_t neighbours, const Place &place) {
    if (p_.score == ZETA_SCORE_DOT) head_.rows.gather_keys(work_.positions, neighbours, work_.keys);
    const uint32_t local = place.local_end - place.local_begin;
    if (local <= cpu::kInlineLocal)
        head_.rows.copy_keys(place.local_begin, local, work_.keys + neighbours * size_t(p_.dk));
}

// The mean value with the query's own mixed in, where forward does that (HistoryMean), else NULL.
const float *Piece::mix(const cpu::Weighed &w, const Place &place, const float *mean) {
    if (!w.has_mean || !w.has_own || !cpu::mixes_own(p_)) return nullptr;
    float shares[2];
    kernels_.near_shares(p_.score, gamma_, w.distances + w.count - 1, 1, shares); // own, then the mean
    head_.rows.read_value(kernels_, place.local_end - 1, {0, size_t(p_.dv)}, work_.own);
    if (!kernels_.mean_mix(work_.own, mean, size_t(p_.dv), shares[0], shares[1], work_.mixed)) return nullptr;
    return work_.mixed;
}

// Values of the list and then of each slice of a wide local window, some channels at a time.
void Piece::attend(int64_t i, const cpu::Weighed &w, const Place &place, const float *mean) {
    uint32_t local = w.wide.begin == w.wide.end ? place.local_end - place.local_begin : 0;
    const uint32_t neighbours = w.count - local;
    const float *base = w.has_mean ? mean : nullptr, *mixed = mix(w, place, mean);
    float base_weight = w.mean_weight;
    if (mixed != nullptr) {
        base = mixed;
        base_weight = w.mixed_weight();
        local = 0;
    }
    const size_t dv = size_t(p_.dv);
    if (t_.normaliser.present()) *t_.normaliser.row<float>(b_, h_, i) = w.normaliser;
    void *out = cpu::row_pointer_out(t_.out, b_, h_, i);
    const bool in_place = t_.out.dtype == ZETA_F32;
    float *row = in_place ? static_cast<float *>(out) : work_.row;
    bool in_range = true;
    for (size_t begin = 0, width = 0; begin < dv; begin += width) {
        width = dv - begin < kWidth + kLeastWidth ? dv - begin : kWidth;
        const Rows::Channels c{begin, width};
        float *to = row + begin, *values = work_.values;
        head_.rows.gather_values(kernels_, work_.positions, neighbours, c, values);
        head_.rows.copy_values(kernels_, place.local_begin, local, c, values + neighbours * c.width);
        bool within = kernels_.attend_values_f32(w.ids, w.weights, neighbours + local, values, c.width, c.width,
                                                 base != nullptr ? base + begin : nullptr, base_weight, nullptr, to);
        if (w.wide.begin < w.wide.end) work_.wide.begin(to, width);
        for (uint32_t s = w.wide.begin; s < w.wide.end; s += cpu::kSlice) {
            const uint32_t n = w.slice(s, work_.weigh);
            head_.rows.copy_values(kernels_, place.local_begin + s - neighbours, n, c, values);
            kernels_.attend_values_f32(work_.weigh.slice_ids, work_.weigh.slice_weights, n, values, c.width, c.width,
                                       nullptr, 0, nullptr, work_.wide.part());
            work_.wide.add(width);
        }
        if (w.wide.begin < w.wide.end) within = work_.wide.finish(to, width);
        in_range &= within;
    }
    if (!w.empty && !in_range) {
        const auto read = [&](uint32_t id, size_t begin, size_t width, float *values) {
            const uint32_t position = id < neighbours ? work_.positions[id] : place.local_begin + id - neighbours;
            head_.rows.read_value(kernels_, position, {begin, width}, values);
        };
        cpu::attend_wide_range(w, read, mean, work_.weigh, dv, row);
    }
    if (!in_place) cpu::narrow(kernels_, t_.out.dtype, row, dv, out);
}

} // namespace

// ---- all queries ---------------------------------------------------------------------------------------------------

void Decoder::reserve(const Context &context, const Shape &shape, const RowShape &rows) {
    const int workers = context.executor().workers();
    if (workers_ >= workers) return;
    const auto lay_out = [&](Scratch scratch, DecodeWork *&work) {
        work = scratch.take<DecodeWork>(size_t(workers));
        for (int i = 0; i < workers; ++i) {
            DecodeWork stand_in;
            (scratch.measuring() ? stand_in : *new (work + i) DecodeWork()).take(scratch, shape.problem, rows);
        }
        return scratch.needed();
    };
    DecodeWork *work = nullptr;
    Allocation memory = context.allocate(lay_out(Scratch(), work));
    lay_out(Scratch(memory.data(), memory.size()), work);
    memory_ = std::move(memory);
    work_ = work;
    workers_ = workers;
}

void Decoder::run(const Context &context, const Shape &shape, const State &state, const Call &call) {
    const Problem &p = shape.problem;
    size_t queries = 0;
    int64_t pieces = 0; // of the sequence that has most
    // Cut where positions (not causal: rows) are multiples of kPiece.
    const auto lead = [&](int64_t b) { return p.causal ? (state.sequence(b).length - call.count(b)) % kPiece : 0; };
    for (int64_t b = 0; b < state.batches(); ++b) {
        queries += size_t(call.count(b));
        pieces = std::max(pieces, (lead(b) + call.count(b) + kPiece - 1) / kPiece);
    }
    const auto body = [&](size_t begin, size_t end, int worker) {
        for (size_t i = begin; i < end; ++i) {
            const int64_t piece = int64_t(i) % pieces, h = int64_t(i) / pieces % p.query_heads,
                          b = int64_t(i) / pieces / p.query_heads, n = call.count(b);
            const int64_t cut = piece * kPiece - lead(b);
            const int64_t first = std::max<int64_t>(0, cut), last = std::min<int64_t>(n, cut + kPiece);
            if (first < last) Piece(context, shape, state, call, b, h, work_[worker]).run(first, last, n);
        }
    };
    const size_t all = size_t(state.batches() * p.query_heads * pieces);
    if (queries * size_t(p.query_heads) <= kAlone)
        body(0, all, 0);
    else
        context.executor().parallel_for(all, 1, body);
}

} // namespace zeta::cache
