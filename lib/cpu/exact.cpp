// SPDX-License-Identifier: Apache-2.0
// The search of exact selection for one tile. Bounds are guessed (from the tiles before, or given by the caller) and
// then verified by counting: K keys within a bound prove it. A query that finds fewer tries a larger one, then a bound
// from the keys of its place on the curve, which is sure; what lists cannot hold is searched alone (exact_alone.cpp).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "exact_search.hpp"

namespace zeta::cpu {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kSmallLevel = 256; // keys: searched whole
constexpr int kTries = 5;             // larger guesses before the sure bound
constexpr float kAim = 1.4f;          // a guess aims at this many times K keys: fewer misses, longer lists
constexpr float kLearn = 0.8f;        // weight of the last tile in the guess
constexpr uint32_t kBlocks = 512;     // and 2 K more that a tile may list; beyond, ties or geometry make lists useless
constexpr uint32_t kPatience = 2;     // cuts of one query's list before ties are suspected
constexpr uint32_t kRest = 8;         // tiles searched query by query after one whose lists overflowed

struct Tile {
    uint32_t count = 0;              // queries
    const uint32_t *query = nullptr; // [count] rows
    alignas(64) uint32_t limits[kTile];
    alignas(64) float bounds[kTile];
    alignas(64) float sure[kTile]; // bounds that hold K keys, or infinity
    uint32_t windowed = 0;         // queries whose sure bound is known
};

bool valid_hint(uint32_t bits) {
    return bits < 0x7f800000u;
}

class TileSearch : public ExactSearch {
public:
    TileSearch(const ExactKeys &keys, const ExactLevel &level, uint32_t neighbours, ExactWork &work, Lists &lists)
        : ExactSearch(keys, level, neighbours, work), lists_(lists) {}

    void run(Tile &tile, uint32_t active, const uint32_t *hints);
    void take_last(const Tile &tile, uint32_t i, uint32_t count, const float *q);

private:
    uint32_t attempt(const Tile &tile, uint32_t active, uint32_t *few);
    bool collect(const Tile &tile, uint32_t active, const uint32_t **blocks, uint32_t *n);
    void window(Tile &tile, uint32_t active);
    bool guess(Tile &tile, uint32_t active, const uint32_t *hints);
    void emit(uint32_t i, uint32_t found);
    void learn(const Tile &tile, uint32_t done);
    float share(const Tile &tile, uint32_t i) const {
        return float(tile.limits[i] - keys_.first()) / float(level_.count);
    }

    Lists &lists_;
};

// Blocks within the bounds of the active queries, one height of the tree after the other; masks say whose. False: too
// many.
bool TileSearch::collect(const Tile &tile, uint32_t active, const uint32_t **blocks, uint32_t *n) {
    float box[2 * kExactMaxDk], radius = 0;
    uint32_t limit = 0;
    for (int e = 0; e < dk_; ++e) box[e] = kInfinity, box[dk_ + e] = -kInfinity;
    for (uint32_t i = 0; i < kTile; ++i) {
        if ((active >> i & 1) == 0) continue;
        radius = std::max(radius, tile.bounds[i]);
        limit = std::max(limit, tile.limits[i]);
        for (int e = 0; e < dk_; ++e) {
            box[e] = std::min(box[e], work_.tile[e * kTile + i]);
            box[dk_ + e] = std::max(box[dk_ + e], work_.tile[e * kTile + i]);
        }
    }
    const uint32_t most = std::min(kBlocks + 2 * neighbours_, 2 * ExactWork::kGroups);
    uint32_t *from = work_.nodes[0], *to = work_.nodes[1], count = 1;
    from[0] = 0;
    for (int h = level_.heights - 1; h >= 0; --h) {
        if (count > most / 2) return false;
        count = kernels_.exact_open(level_.boxes[h], from, count, dk_, box, radius, limit, to);
        if (count > 4 * most) return false;
        count = kernels_.exact_prune(level_.boxes[h], to, count, dk_, work_.tile, tile.bounds, tile.limits, active,
                                     work_.masks);
        std::swap(from, to);
    }
    if (count > most) return false;
    *blocks = from;
    *n = count;
    return true;
}

// Searches the active queries within their bounds. Those that find enough are emitted; *few are those that do not.
// Returns the queries whose lists overflowed.
uint32_t TileSearch::attempt(const Tile &tile, uint32_t active, uint32_t *few) {
    const uint32_t *blocks;
    uint32_t n;
    if (!collect(tile, active, &blocks, &n)) {
        if (dk_ > kTreeDk || work_.crowded > 0 || (active & (active - 1)) == 0) return active;
        uint32_t half = 0, left = active; // the first half of the active queries
        for (int take = __builtin_popcount(active) / 2; take > 0; --take) {
            half |= left & (0u - left);
            left &= left - 1;
        }
        const uint32_t first = attempt(tile, half, few);
        return first | attempt(tile, active & ~half, few);
    }
    uint32_t over = 0;
    for (uint32_t i = 0; i < kTile; ++i) {
        if ((active >> i & 1) == 0) continue;
        uint32_t picked = 0;
        for (uint32_t b = 0; b < n; ++b) {
            work_.picked[picked] = blocks[b];
            picked += work_.masks[b] >> i & 1;
        }
        start(query(i), tile.limits[i], tile.bounds[i]);
        if (!scan(work_.picked, picked, kPatience)) {
            over |= 1u << i;
        } else if (found() < neighbours_) {
            *few |= 1u << i;
            lists_.count[i] = found();
        } else {
            emit(i, finish());
        }
    }
    return over;
}

// Sure bounds: the K-th distance among the keys around the tile's place.
void TileSearch::window(Tile &tile, uint32_t active) {
    active &= ~tile.windowed;
    if (active == 0) return;
    tile.windowed |= active;
    const uint32_t keys = std::max(128u, 4 * neighbours_), wanted = std::min(level_.blocks(), (keys + 15) / 16);
    uint32_t rest = active; // the middle query stands for the tile
    for (int skip = __builtin_popcount(active) / 2; skip > 0; --skip) rest &= rest - 1;
    const uint32_t middle = uint32_t(__builtin_ctz(rest)), near = nearest_block(query(middle), tile.limits[middle]);
    const uint32_t begin = std::min(near > wanted / 2 ? near - wanted / 2 : 0, level_.blocks() - wanted);
    for (uint32_t b = 0; b < wanted; ++b) work_.picked[b] = begin + b;
    for (uint32_t i = 0; i < kTile; ++i) {
        if ((active >> i & 1) == 0) continue;
        start(query(i), tile.limits[i], kInfinity);
        scan(work_.picked, wanted);
        tile.sure[i] = kInfinity;
        if (found() < neighbours_) continue;
        const uint32_t n = finish();
        tile.sure[i] = *std::max_element(work_.distances, work_.distances + n);
    }
}

// First bounds. Returns whether they are sure.
bool TileSearch::guess(Tile &tile, uint32_t active, const uint32_t *hints) {
    if (level_.count <= kSmallLevel) {
        std::fill_n(tile.bounds, kTile, kInfinity);
        return true;
    }
    const bool learnt = work_.level == &level_ && work_.scale > 0;
    uint32_t missing = active;
    if (hints != nullptr) {
        for (uint32_t i = 0; i < tile.count; ++i) {
            if ((active >> i & 1) == 0 || !valid_hint(hints[tile.query[i]])) continue;
            memcpy(&tile.bounds[i], &hints[tile.query[i]], sizeof(float));
            missing &= ~(1u << i);
        }
    }
    if (missing == 0) return false;
    const float scale = learnt ? work_.scale * std::pow(kAim, 2.0f / float(dk_)) : 0;
    if (!learnt) window(tile, active);
    for (uint32_t i = 0; i < tile.count; ++i) {
        if (missing >> i & 1) tile.bounds[i] = learnt ? scale * keys_.spread(share(tile, i)) : tile.sure[i];
    }
    return !learnt && hints == nullptr;
}

void TileSearch::run(Tile &tile, uint32_t active, const uint32_t *hints) {
    uint32_t waiting = active, alone = 0;
    if (work_.level != &level_) work_.crowded = 0;
    const bool tried = work_.crowded == 0 || work_.crowded++ % kRest == 0;
    if (!tried) std::swap(waiting, alone);
    bool sure = tried && guess(tile, active, hints);
    for (int round = 0; waiting != 0; ++round) {
        if (sure && level_.count > kSmallLevel) { // without a bound there is nothing to list
            for (uint32_t i = 0; i < tile.count; ++i) {
                if ((waiting >> i & 1) && tile.sure[i] == kInfinity) alone |= 1u << i;
            }
            waiting &= ~alone;
            if (waiting == 0) break;
        }
        uint32_t few = 0;
        alone |= attempt(tile, waiting, &few);
        waiting = few;
        if (waiting == 0) break;
        if (round + 1 < kTries) {
            for (uint32_t i = 0; i < tile.count; ++i) {
                if ((waiting >> i & 1) == 0) continue;
                const float more = 1.5f * float(neighbours_) / float(lists_.count[i] + 1);
                tile.bounds[i] *= std::pow(std::min(more, 16.0f), 2.0f / float(dk_));
            }
            continue;
        }
        window(tile, waiting);
        memcpy(tile.bounds, tile.sure, sizeof tile.bounds);
        sure = true;
    }
    if (tried) work_.crowded = 2 * __builtin_popcount(alone) > int(tile.count) ? 1 : 0;
    window(tile, alone);
    for (uint32_t i = 0; i < tile.count; ++i) {
        if (alone >> i & 1) {
            start(query(i), tile.limits[i], tile.sure[i]);
            search_alone();
            emit(i, finish());
        }
    }
    learn(tile, active & ~alone);
}

// The keys kept, by ascending position.
void TileSearch::emit(uint32_t i, uint32_t found) {
    uint32_t *ids = lists_.ids_of(i);
    float *distances = lists_.distances_of(i);
    float most = 0;
    for (uint32_t n = 0; n < found; ++n) most = std::max(most, work_.distances[n]);
    if (found <= 64) {
        kernels_.exact_order(work_.ids, work_.distances, found, ids, distances);
    } else {
        for (uint32_t n = 0; n < found; ++n) {
            uint32_t bits;
            memcpy(&bits, &work_.distances[n], sizeof bits);
            work_.words[n] = uint64_t(work_.ids[n]) << 32 | bits;
        }
        kernels_.sort_words(work_.words, found);
        for (uint32_t n = 0; n < found; ++n) {
            const uint32_t bits = uint32_t(work_.words[n]);
            ids[n] = uint32_t(work_.words[n] >> 32);
            memcpy(&distances[n], &bits, sizeof bits);
        }
    }
    // Keys with a NaN were searched as infinite; their own distance is the one handed on.
    if (most == kInfinity) kernels_.attend_distances(query(i), keys_.rows(), dk_, ids, found, distances);
    lists_.count[i] = found;
    memcpy(&lists_.hint_a[i], &most, sizeof most);
}

// All searchable keys, or the newest K for a query that is infinitely far from all.
void TileSearch::take_last(const Tile &tile, uint32_t i, uint32_t count, const float *q) {
    uint32_t *ids = lists_.ids_of(i);
    float *distances = lists_.distances_of(i), most = 0;
    for (uint32_t n = 0; n < count; ++n) ids[n] = tile.limits[i] - count + n;
    if (count > 0) kernels_.attend_distances(q, keys_.rows(), dk_, ids, count, distances);
    for (uint32_t n = 0; n < count; ++n)
        most = distances[n] <= most ? most : distances[n] > most ? distances[n] : kInfinity;
    lists_.count[i] = count;
    memcpy(&lists_.hint_a[i], &most, sizeof most);
    if (count == 0) lists_.hint_a[i] = ~0u;
}

void TileSearch::learn(const Tile &tile, uint32_t done) {
    if (work_.level != &level_) work_.scale = 0;
    work_.level = &level_;
    if (level_.count <= kSmallLevel) return;
    int64_t sum = 0, count = 0; // the mean of the bits of floats is about their logarithmic mean
    for (uint32_t i = 0; i < tile.count; ++i) {
        if ((done >> i & 1) == 0) continue;
        float kth;
        memcpy(&kth, &lists_.hint_a[i], sizeof kth);
        kth /= keys_.spread(share(tile, i));
        if (!(kth > 1e-30f && kth < 1e30f)) continue;
        int32_t bits;
        memcpy(&bits, &kth, sizeof bits);
        sum += bits;
        ++count;
    }
    if (count == 0) return;
    const int32_t bits = int32_t(sum / count);
    float mean;
    memcpy(&mean, &bits, sizeof mean);
    work_.scale = work_.scale > 0 ? work_.scale + kLearn * (mean - work_.scale) : mean;
}

} // namespace

void ExactQueries::select(const ExactKeys &keys, size_t tile_index, uint32_t neighbours, const uint32_t *hints,
                          ExactWork &work, Lists &lists) const {
    uint32_t at = 0;
    while (first_tile_[at + 1] <= tile_index) ++at;
    const size_t begin = begin_[at] + (tile_index - first_tile_[at]) * kTile;
    Tile tile;
    tile.count = uint32_t(std::min<size_t>(kTile, begin_[at + 1] - begin));
    tile.query = order_ + begin;
    const int dk = keys.dk();
    TileSearch search(keys, keys.level(at), neighbours, work, lists);
    lists.queries = tile.count;
    uint32_t active = 0;
    std::fill_n(work.tile, size_t(dk) * kTile, 0.0f);
    std::fill_n(tile.bounds, kTile, 0.0f);
    std::fill_n(tile.sure, kTile, kInfinity);
    std::fill_n(tile.limits, kTile, 0u);
    for (uint32_t i = 0; i < tile.count; ++i) {
        const float *q = rows_ + size_t(tile.query[i]) * dk;
        float zero = 0;
        for (int e = 0; e < dk; ++e) zero += q[e] * 0.0f;
        lists.query[i] = tile.query[i];
        lists.hint_b[i] = 0;
        tile.limits[i] = limit_[begin + i];
        const uint32_t searchable = tile.limits[i] > keys.first() ? tile.limits[i] - keys.first() : 0;
        if (searchable <= neighbours || !(zero == 0)) {
            search.take_last(tile, i, std::min(searchable, neighbours), q);
            continue;
        }
        active |= 1u << i;
        for (int e = 0; e < dk; ++e) work.tile[e * kTile + i] = work.query[i * dk + e] = q[e];
    }
    if (active != 0) search.run(tile, active, hints);
}

} // namespace zeta::cpu
