// SPDX-License-Identifier: Apache-2.0
// The search of exact selection for one tile. Bounds are guessed (exact_guess.cpp) and then verified by counting: K
// keys within a bound prove it. A query that finds fewer tries a larger one, then a bound from the keys of its place on
// the curve, which is sure; what lists cannot hold is searched alone (exact_alone.cpp).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "exact_tile.hpp"

namespace zeta::cpu {
namespace {

constexpr int kTries = 5;         // larger guesses before the sure bound
constexpr uint32_t kPatience = 2; // cuts of one query's list before ties are suspected
constexpr uint32_t kClimb = 8;    // of so many blocks one may be climbed to, one by one, before all are scanned
constexpr uint32_t kRest = 8;     // tiles searched query by query after one whose lists overflowed

} // namespace

// Blocks within reach of the active queries, one height of the tree after the other. False: too many.
bool TileSearch::collect(const Tile &tile, uint32_t active, const uint32_t **blocks, uint32_t *n) {
    alignas(64) float reach[kTile];
    float box[2 * kExactMaxDk], radius = 0;
    uint32_t limit = 0;
    for (int e = 0; e < dk_; ++e) box[e] = kInfinity, box[dk_ + e] = -kInfinity;
    for (uint32_t i = 0; i < kTile; ++i) {
        reach[i] = -1;
        if ((active >> i & 1) == 0) continue;
        reach[i] = tile.reach[i];
        radius = std::max(radius, reach[i]);
        limit = std::max(limit, tile.limits[i]);
        for (int e = 0; e < dk_; ++e) {
            box[e] = std::min(box[e], work_.tile[e * kTile + i]);
            box[dk_ + e] = std::max(box[dk_ + e], work_.tile[e * kTile + i]);
        }
    }
    const uint32_t most = work_.listed;
    uint32_t *from = work_.nodes[0], *to = work_.nodes[1], count = 1;
    from[0] = 0;
    for (int h = level_.heights - 1; h >= 0; --h) {
        if (count > most / 2) return false;
        count = kernels_.exact_open(level_.boxes[h], from, count, dk_, box, radius, limit, to);
        if (count > 4 * most) return false;
        count = kernels_.exact_prune(level_.boxes[h], to, count, dk_, work_.tile, reach, tile.limits, most, work_.gaps);
        std::swap(from, to);
    }
    if (count > most) return false;
    *blocks = from;
    *n = count;
    return true;
}

// Searches the active queries within their bounds. Those that find enough are emitted; *few are those that do not.
// Returns the queries whose lists overflowed.
uint32_t TileSearch::attempt(Tile &tile, uint32_t active, bool refining, uint32_t *few) {
    const uint32_t *blocks;
    uint32_t n;
    if (!collect(tile, active, &blocks, &n)) {
        if (dk_ > kTreeDk || work_.crowded > 0 || (active & (active - 1)) == 0) return active;
        uint32_t half = 0, left = active; // the first half of the active queries
        for (int take = __builtin_popcount(active) / 2; take > 0; --take) {
            half |= left & (0u - left);
            left &= left - 1;
        }
        const uint32_t first = attempt(tile, half, refining, few);
        return first | attempt(tile, active & ~half, refining, few);
    }
    if (refining) refine(tile, active, n);
    uint32_t waiting = 0, over = search(tile, active, blocks, n, &waiting);
    while (refining && waiting != 0) { // those whose larger guess is still within reach
        const uint32_t more = grow(tile, waiting), failed = waiting & ~more;
        *few |= failed;
        waiting = 0;
        if (more != 0) over |= search(tile, more, blocks, n, &waiting);
    }
    *few |= waiting;
    return over;
}

// Searches the blocks listed for the active queries.
uint32_t TileSearch::search(const Tile &tile, uint32_t active, const uint32_t *blocks, uint32_t n, uint32_t *few) {
    uint32_t over = 0;
    kernels_.exact_masks(work_.gaps, n, tile.bounds, work_.masks);
    for (uint32_t i = 0; i < kTile; ++i) {
        if ((active >> i & 1) == 0) continue;
        const uint32_t picked = kernels_.exact_pick(blocks, work_.masks, n, i, work_.picked);
        start(query(i), tile.limits[i], tile.bounds[i]);
        if (!scan(work_.picked, picked, kPatience)) {
            over |= 1u << i;
        } else if (found() < neighbours_) {
            *few |= 1u << i;
            lists_.count[i] = found();
        } else {
            emit(i);
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
        finish(&tile.sure[i]);
    }
}

void TileSearch::run(Tile &tile, uint32_t active, const uint32_t *hints) {
    uint32_t waiting = active, alone = 0;
    if (work_.level != &level_) work_.crowded = 0;
    const bool tried = work_.crowded == 0 || work_.crowded++ % kRest == 0;
    if (!tried) std::swap(waiting, alone);
    const First first = tried ? guess(tile, active, hints) : First::guessed;
    bool sure = first == First::sure, refining = first == First::refinable;
    const float more = refining ? std::pow(kReach, 2.0f / float(dk_)) : 0;
    for (uint32_t i = 0; i < kTile; ++i) tile.reach[i] = refining ? more * tile.mean[i] : tile.bounds[i];
    for (int round = 0; waiting != 0; ++round) {
        if (sure && level_.count > kSmallLevel) { // without a bound there is nothing to list
            for (uint32_t i = 0; i < tile.count; ++i) {
                if ((waiting >> i & 1) && tile.sure[i] == kInfinity) alone |= 1u << i;
            }
            waiting &= ~alone;
            if (waiting == 0) break;
        }
        uint32_t few = 0;
        alone |= attempt(tile, waiting, refining, &few);
        waiting = few;
        if (waiting == 0) break;
        if (round + 1 < kTries) {
            if (!refining) grow(tile, waiting);
            refining = false;
            continue;
        }
        window(tile, waiting);
        memcpy(tile.bounds, tile.sure, sizeof tile.bounds);
        memcpy(tile.reach, tile.sure, sizeof tile.reach);
        sure = true;
    }
    if (tried) work_.crowded = 2 * __builtin_popcount(alone) > int(tile.count) ? 1 : 0;
    if (alone != 0) finish_alone(tile, alone);
    // Those searched alone may be rare, and far from everything; but a guess that serves nobody is not kept.
    learn(tile, alone == active ? active : active & ~alone);
}

// Queries that lists did not serve.
void TileSearch::finish_alone(Tile &tile, uint32_t alone) {
    window(tile, alone);
    ExactProgress searches[kTile];
    uint32_t who[kTile], count = 0;
    bool climbs = dk_ <= kTreeDk; // until one of the tile finds that boxes tell nothing apart
    for (uint32_t i = 0; i < tile.count; ++i) {
        if ((alone >> i & 1) == 0) continue;
        start(query(i), tile.limits[i], tile.sure[i], count);
        if (climbs && climb(level_.blocks() / kClimb)) {
            emit(i);
            continue;
        }
        if (climbs) start(query(i), tile.limits[i], at_.bound, count); // again, with the bound it found
        climbs = false;
        who[count] = i;
        searches[count++] = at_;
    }
    if (count > 0) scan_all(searches, count);
    for (uint32_t s = 0; s < count; ++s) {
        at_ = searches[s];
        emit(who[s]);
    }
}

// The K nearest found, by ascending position.
void TileSearch::emit(uint32_t i) {
    uint32_t *ids = lists_.ids_of(i);
    float *distances = lists_.distances_of(i), most = 0;
    const uint32_t found = finish(&most);
    if (found <= 64) {
        kernels_.exact_order(at_.ids, at_.distances, found, ids, distances);
    } else {
        for (uint32_t n = 0; n < found; ++n) {
            uint32_t bits;
            memcpy(&bits, &at_.distances[n], sizeof bits);
            work_.words[n] = uint64_t(at_.ids[n]) << 32 | bits;
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
    for (size_t i = begin + kTile; i < std::min<size_t>(begin + 2 * kTile, n_); ++i) // rows of the next tile
        __builtin_prefetch(rows_ + size_t(order_[i]) * dk);
    uint32_t active = 0;
    std::fill_n(work.tile, size_t(dk) * kTile, 0.0f);
    std::fill_n(tile.bounds, kTile, 0.0f);
    std::fill_n(tile.sure, kTile, kInfinity);
    std::fill_n(tile.mean, kTile, -1.0f);
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
