// SPDX-License-Identifier: Apache-2.0
// Backward of one unit, told in data order. gather and scatter are in backward_pairs.cpp, wide local windows in
// backward_wide.cpp, the mean in backward_mean.cpp.
#include "backward.hpp"

#include "backward_call.hpp"
#include "fetch.hpp"

namespace zeta::cpu {
namespace {

constexpr size_t kSliceChannels = 32;  // 128 bytes a key: the sums of 16-bit value gradients stay within promise 7
constexpr size_t kItemPairs = 1 << 13; // of an item of the pipeline: about 100 KB, which stay in a core's cache

// From this many pairs a key on dL/dv is summed in float64, if that takes no more than kSumBytes a position: terms of
// one sign, added one by one in float32, come near promise 4 at 4,096.
constexpr double kManyPairs = 1000;
constexpr size_t kSumBytes = 64;

size_t sum_channels(const Problem &p, const Tensors &t) {
    if (!t.grad_v.present() || p.keys == 0) return 0;
    const size_t dv = size_t(p.dv), width = t.grad_v.dtype == ZETA_F32 ? dv : std::min(dv, kSliceChannels);
    const double list = double(std::min<int64_t>(p.neighbours, p.keys) + p.local);
    const bool many = list * double(p.queries) > kManyPairs * double(p.keys);
    const bool fits = double(p.keys) * double(width * sizeof(double)) <= double(kSumBytes) * double(p.keys + p.queries);
    return many && fits ? width : 0;
}

// Keys that one query's list may hold.
size_t list_size(const Problem &p) {
    return size_t(p.neighbours) + size_t(std::min<int64_t>(p.local, kInlineLocal));
}

} // namespace

void BackwardWork::take(Scratch &scratch, const Problem &p, Source source) {
    const size_t list =
        std::max<size_t>(list_size(p) + 1, p.local > int64_t(kInlineLocal) ? kSlice : 0) + simd::kListPad;
    select.take(scratch, p, source);
    current.take(scratch, list_room(p));
    weigh.take(scratch, p, kTile);
    g = scratch.take<float>(size_t(p.dv));
    reference = scratch.take<float>(size_t(p.dv));
    products = scratch.take<float>(list);
    coefficients = scratch.take<float>(kTile * list);
    stride = list;
    own_ids = scratch.take<uint32_t>(list);
    own_values = scratch.take<float>(list);
    running = scratch.take<double>(size_t(p.dv));
    if (double(p.local) > kManyPairs) block = scratch.take<float>(kSlice * size_t(p.dv));
}

void BackwardUnit::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t,
                        const Unit &unit, int threads) {
    const size_t n = size_t(unit.n), m = unit.m, dk = size_t(p.dk), dv = size_t(p.dv);
    k_.take(scratch, t.k, m);
    q_.take(scratch, t.q, n);
    selection_.take(scratch, p, unit, source_of(p, t.given));
    history_.take(scratch, executor, p, t, unit, HistoryMean::Values::none);
    if (p.mean) mean_.take(scratch, n, p.dk);
    if (p.local > int64_t(kInlineLocal)) wide_ = scratch.take<WidePairs>(n);
    gamma_ = scratch.take<double>(n / kTile + Levels::kMaxLevels + 1); // levels may end with a tile that is not full
    keys_ = scratch.take<float>(m * simd::slope_stride(dk));
    key_grad_ = scratch.take<double>(m * simd::slope_stride(dk));
    suffix_ = scratch.take<double>((n / mean_block(dv) + 3) * std::max(dv, dk));
    if (t.grad_v.present() && t.grad_v.dtype != ZETA_F32)
        slice_ = scratch.take<float>(m * std::min(dv, kSliceChannels));
    sums_ = scratch.take<double>(m * sum_channels(p, t));
    if (threads == 1) return;
    const size_t list = list_size(p) + 1; // and the mean
    const size_t tiles = n / kTile + Levels::kMaxLevels + 1;
    item_tiles_ =
        std::clamp<size_t>(tiles / (8 * size_t(threads)), 1, std::max<size_t>(1, kItemPairs / (kTile * list)));
    items_ = std::min(2 * size_t(threads), (tiles + item_tiles_ - 1) / item_tiles_);
    const size_t slots = items_ * item_tiles_ * kTile;
    pairs_ = scratch.take<Pairs>(slots);
    uint32_t *ids = scratch.take<uint32_t>(slots * list);
    float *weights = scratch.take<float>(slots * list), *coefficients = scratch.take<float>(slots * list);
    if (scratch.measuring() || scratch.overrun()) return;
    for (size_t i = 0; i < slots; ++i) pairs_[i] = {0, 0, ids + i * list, weights + i * list, coefficients + i * list};
}

void BackwardUnit::run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p,
                       const Tensors &t, const Unit &unit, const Saved &saved, BackwardWork *work, int threads,
                       int worker, double *grad_gamma) {
    const Call c{executor, context, progress, p, t, unit, saved, work, threads, worker, grad_gamma};
    k_.load(executor, t.k, unit.batch, unit.key_head, unit.k_start, unit.m);
    selection_.begin(unit);
    selection_.build_keys(executor, context, k_.data());
    history_.build_keys(executor, context, p, t, unit);
    const size_t dv = size_t(p.dv);
    const bool direct = t.grad_v.present() && t.grad_v.dtype == ZETA_F32, sliced = t.grad_v.present() && !direct;
    const size_t step = sliced ? std::min(dv, kSliceChannels) : dv;
    for (size_t begin = 0; begin < dv; begin += step) {
        Channels channels{begin, t.grad_v.present() ? std::min(dv, begin + step) : begin, slice_, step, begin == 0};
        if (direct && unit.m > 0) {
            channels.rows = t.grad_v.row<float>(unit.batch, unit.key_head, unit.k_start);
            channels.stride = size_t(t.grad_v.row_stride);
        }
        if (sum_channels(p, t) > 0) {
            channels.sums = sums_;
            channels.sum_stride = step;
        }
        clear(c, channels);
        for (int64_t i = 0; i < p.heads_per_key(); ++i) {
            if (channels.first && grad_gamma != nullptr) grad_gamma[i] = 0;
            for_parts(unit, [&](const Unit &part) {
                Call of_part = c;
                of_part.unit = part;
                head(of_part, unit.key_head * p.heads_per_key() + i, channels);
            });
        }
        if (channels.sums != nullptr) add_sums(c, channels);
        if (!sliced) break;
        c.each(unit.m, 1024, [&](size_t first, size_t last, int) {
            for (size_t j = first; j < last; ++j)
                narrow(executor.kernels(), t.grad_v.dtype, slice_ + j * step, channels.end - channels.begin,
                       static_cast<uint16_t *>(
                           row_pointer_out(t.grad_v, unit.batch, unit.key_head, unit.k_start + int64_t(j))) +
                           begin);
        });
    }
    finish_keys(c);
}

void BackwardUnit::clear(const Call &c, const Channels &channels) {
    const size_t dk = size_t(c.p.dk), stride = simd::slope_stride(dk), width = channels.end - channels.begin;
    c.each(c.unit.m, 1024, [&](size_t begin, size_t end, int) {
        if (channels.first) {
            std::fill(key_grad_ + begin * stride, key_grad_ + end * stride, 0.0);
            std::fill(keys_ + begin * stride, keys_ + end * stride, 0.0f);
            for (size_t j = begin; j < end; ++j)
                for (size_t e = 0; e < dk; ++e) keys_[j * stride + e] = k_.data()[j * dk + e];
        }
        if (width == 0) return;
        if (channels.sums != nullptr)
            std::fill(channels.sums + begin * channels.sum_stride, channels.sums + end * channels.sum_stride, 0.0);
        if (width == channels.stride) { // one run of memory: memset is several times faster than row by row
            std::fill(channels.rows + begin * width, channels.rows + end * width, 0.0f);
            return;
        }
        for (size_t j = begin; j < end; ++j) std::fill_n(channels.rows + j * channels.stride, width, 0.0f);
    });
}

void BackwardUnit::fetch_ahead(const Call &c, const HeadKeys &keys, int64_t head, const Selection::Ahead &ahead) {
    const size_t dk = size_t(c.p.dk), point = dk * sizeof(float), stride = simd::slope_stride(dk);
    const auto fetch_key = [&](size_t key) {
        fetch(keys_ + key * stride, stride * sizeof(float));
        fetch_row(c.t.v, c.unit.batch, c.unit.key_head, c.unit.k_start + int64_t(key));
    };
    for (uint32_t i = 0; i < ahead.query_count; ++i) {
        const uint32_t query = ahead.queries[i];
        fetch(keys.q + query * dk, point);
        fetch_row(c.t.grad_out, c.unit.batch, head, c.unit.q_start + query);
        if (c.t.grad_q.present()) fetch_row(c.t.grad_q, c.unit.batch, head, c.unit.q_start + query);
        if (c.p.mean) fetch(mean_.key(query) - 2, mean_.bytes());
        if (!c.p.causal) continue;
        if (keys.mean_key != nullptr) fetch(keys.mean_key + query * dk, point);
        if (c.p.local == 0) continue;
        const size_t position = size_t(position_of(c.unit, query));
        fetch(keys.k + position * dk, point);
        fetch_key(position);
    }
    for (uint32_t i = 0; i < ahead.key_count; ++i) fetch_key(ahead.keys[i]);
}

// The rows that a tile's pairs are added to, as far as `channels` reach.
void BackwardUnit::fetch_gradients(const Call &c, const Selection::Ahead &ahead, const Channels &channels) {
    const size_t stride = simd::slope_stride(size_t(c.p.dk));
    const size_t bytes = std::min<size_t>((channels.end - channels.begin) * sizeof(float), 1024);
    const auto fetch_key = [&](size_t key) {
        if (bytes > 0) fetch(channels.rows + key * channels.stride, bytes);
        if (channels.first) fetch(key_grad_ + key * stride, stride * sizeof(double));
    };
    for (uint32_t i = 0; i < ahead.query_count && c.p.causal && c.p.local > 0; ++i)
        fetch_key(size_t(position_of(c.unit, ahead.queries[i])));
    for (uint32_t i = 0; i < ahead.key_count; ++i) fetch_key(ahead.keys[i]);
}

// The same neighbours as forward's, into work.select.lists.
void BackwardUnit::select(const Call &c, int64_t head, size_t tile, BackwardWork &work) {
    const uint32_t *a = c.saved.row(c.saved.a, c.p, c.unit.batch, head, c.unit.q_start);
    const uint32_t *b = c.saved.row(c.saved.b, c.p, c.unit.batch, head, c.unit.q_start);
    selection_.select(c.executor.kernels(), tile, a, b, work.select);
}

// Weights, gradients of the tile's own and pairs: use(slot, pairs), with the coefficients at room(slot). `more`: the
// next tile follows on this thread, and what it reads is fetched meanwhile.
template <class Room, class Use>
void BackwardUnit::gather_tile(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, size_t tile,
                               bool more, BackwardWork &work, Room room, Use use) {
    const bool early = selection_.needs_early();
    if (early) std::swap(work.select.lists, work.current);
    if (!early || more) select(c, head, early ? tile + 1 : tile, work);
    if (!early) std::swap(work.select.lists, work.current);
    if (!early && more) fetch_ahead(c, keys, head, selection_.ahead(tile + 1));
    weigh_tile(keys, work.current, work.weighed, work.weigh);
    double gamma = 0;
    for (uint32_t s = 0; s < kTile; ++s) {
        if (early && more) fetch_ahead(c, keys, head, Selection::ahead(work.select.lists, s));
        if (s < work.current.queries) use(s, gather(c, keys, head, s, channels, work, room(s), gamma));
    }
    if (channels.first) gamma_[tile] = gamma;
}

// A tile's values first, then its gradients, since the rows of both together leave L1.
void BackwardUnit::add_tile(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels, size_t tile,
                            bool more, BackwardWork &work, const Pairs *pairs) {
    const bool early = selection_.needs_early();
    if (!early) fetch_gradients(c, selection_.ahead(tile + 1), channels);
    for (uint32_t s = 0; s < kTile; ++s) {
        if (early && more) fetch_gradients(c, Selection::ahead(work.select.lists, s), channels);
        if (s >= work.current.queries) continue;
        const float *g = gradient_row(*keys.kernels, c.t, c.unit, head, pairs[s].query, size_t(c.p.dv), work.g);
        scatter_values(keys, channels, g, pairs[s]);
        if (channels.first && !adds_keys_at_once(c)) scatter_keys(c, keys, pairs[s]);
    }
}

// One thread alone.
void BackwardUnit::add_tiles(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels) {
    BackwardWork &work = c.work[c.worker];
    const size_t tiles = selection_.tiles();
    if (selection_.needs_early() && tiles > 0) select(c, head, 0, work);
    for (size_t tile = 0; tile < tiles; ++tile) {
        Pairs pairs[kTile];
        const bool more = tile + 1 < tiles;
        gather_tile(
            c, keys, head, channels, tile, more, work, [&](uint32_t s) { return work.coefficients + s * work.stride; },
            [&](uint32_t s, const Pairs &from) { pairs[s] = from; });
        add_tile(c, keys, head, channels, tile, more, work, pairs);
        if (channels.first) c.progress.advance(kTile);
    }
}

// Several threads: the pairs of tiles start, start + 1, ... are kept in pairs.
void BackwardUnit::gather_item(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels,
                               size_t start, size_t count, Pairs *pairs, BackwardWork &work) {
    if (selection_.needs_early()) select(c, head, start, work);
    for (size_t i = 0; i < count; ++i) {
        Pairs *tile = pairs + i * kTile;
        for (uint32_t s = 0; s < kTile; ++s) tile[s].count = 0;
        gather_tile(
            c, keys, head, channels, start + i, i + 1 < count, work, [&](uint32_t s) { return tile[s].coefficients; },
            [&](uint32_t s, const Pairs &from) {
                tile[s].query = from.query;
                tile[s].count = from.count;
                std::copy_n(from.ids, from.count, tile[s].ids);
                std::copy_n(from.weights, from.count, tile[s].weights);
            });
    }
}

// All threads gather, and add what is next in order: that takes about a quarter of the time, so that shards for a third
// of the threads keep pace.
void BackwardUnit::share_tiles(const Call &c, const HeadKeys &keys, int64_t head, const Channels &channels) {
    const size_t tiles = selection_.tiles(), shards = (size_t(c.threads) + 2) / 3;
    const auto begin = [&](size_t item) { return item * item_tiles_; };
    const auto count = [&](size_t item) { return std::min(item_tiles_, tiles - begin(item)); };
    const auto pairs = [&](size_t slot) { return pairs_ + slot * item_tiles_ * kTile; };
    c.executor.pipeline((tiles + item_tiles_ - 1) / item_tiles_, items_, shards,
                        [&](size_t item, size_t slot, int worker) {
                            gather_item(c, keys, head, channels, begin(item), count(item), pairs(slot), c.work[worker]);
                        },
                        [&](size_t item, size_t slot, size_t shard, int worker) {
                            scatter_item(c, keys, head, channels, begin(item), count(item), pairs(slot),
                                         {uint32_t(shard), uint32_t(shards)}, c.work[worker]);
                            if (channels.first && shard + 1 == shards) c.progress.advance(count(item) * kTile);
                        });
}

void BackwardUnit::head(const Call &c, int64_t head, const Channels &channels) {
    q_.load(c.executor, c.t.q, c.unit.batch, head, c.unit.q_start, c.unit.n);
    selection_.build_queries(c.executor, c.context, c.unit, q_.data());
    selection_.use_given(c.t.given, head);
    if (c.p.mean && channels.first) {
        StageTimer timer(c.context, Stage::mean);
        prepare_mean_products(c, head);
    }
    HeadKeys keys{&c.executor.kernels(), &c.p, &c.unit, q_.data(), k_.data(), history_.key(), c.p.gamma_of(head)};
    keys.heaviest = true;
    const size_t tiles = selection_.tiles();
    StageTimer timer(c.context, Stage::attend);
    if (c.threads > 1) {
        share_tiles(c, keys, head, channels);
    } else {
        add_tiles(c, keys, head, channels);
    }
    if (wide_ != nullptr) wide_keys(c, keys, head, channels);
    if (c.p.mean) {
        mean_values(c, head, channels);
        if (channels.first) mean_key_rows(c);
    }
    if (!channels.first || c.grad_gamma == nullptr) return;
    double sum = 0;
    for (size_t tile = 0; tile < tiles; ++tile) sum += gamma_[tile];
    c.grad_gamma[head - c.unit.key_head * c.p.heads_per_key()] += sum;
}

void BackwardUnit::add_sums(const Call &c, const Channels &channels) {
    c.each(c.unit.m, 1024, [&](size_t begin, size_t end, int) {
        for (size_t j = begin; j < end; ++j) {
            float *row = channels.rows + j * channels.stride;
            const double *sums = channels.sums + j * channels.sum_stride;
            for (size_t d = 0; d < channels.end - channels.begin; ++d) row[d] = float(double(row[d]) + sums[d]);
        }
    });
}

void BackwardUnit::finish_keys(const Call &c) {
    if (!c.t.grad_k.present()) return;
    const size_t dk = size_t(c.p.dk), stride = simd::slope_stride(dk);
    c.each(c.unit.m, 4096, [&](size_t begin, size_t end, int) {
        float row[ZETA_MAX_DK];
        for (size_t j = begin; j < end; ++j) {
            for (size_t e = 0; e < dk; ++e) row[e] = rounded(key_grad_[j * stride + e]);
            narrow(c.executor.kernels(), c.t.grad_k.dtype, row, dk,
                   row_pointer_out(c.t.grad_k, c.unit.batch, c.unit.key_head, c.unit.k_start + int64_t(j)));
        }
    });
}

} // namespace zeta::cpu
