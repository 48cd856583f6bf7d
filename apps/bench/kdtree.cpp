// SPDX-License-Identifier: Apache-2.0
// Nearest neighbours by nanoflann, plain and as a user of a k-d tree would have to find those of causal attention. Two
// ways, since neither is always the better:
// - filter: one tree over all keys; the result set refuses keys after the query, so the search goes on until enough
// earlier
//   ones are found. Costs the queries near the beginning most.
// - forest: prefixes by doubling, as databases index growing data: a tree over every aligned block of 256 2^j keys that
// some
//   prefix's binary decomposition needs. A query searches the trees of its own prefix, the largest first, with one
//   result set, and the rest, fewer than 256 keys, one by one.
// Building is part of the work, and runs in parallel where there are several trees.
#include "helper.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include <nanoflann.hpp>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

namespace {

constexpr int64_t kLeast = 256; // keys of the smallest tree

#if NANOFLANN_VERSION >= 0x150
using SearchOptions = nanoflann::SearchParameters;
#else
using SearchOptions = nanoflann::SearchParams;
#endif

// Keys of one tree, in the interface nanoflann asks for.
struct Cloud {
    const float *points; // [count, dk]
    size_t count;
    size_t dk;

    size_t kdtree_get_point_count() const { return count; }
    float kdtree_get_pt(size_t index, size_t axis) const { return points[index * dk + axis]; }
    template <class Box> bool kdtree_get_bbox(Box &) const { return false; }
};

// The nearest so far, of those before `limit`. Trees count from their first key, `offset`.
class Nearest {
public:
    using DistanceType = float;

    Nearest(int32_t *positions, float *distances, int neighbours, int64_t limit)
        : set_(static_cast<size_t>(neighbours)), limit_(limit) {
        set_.init(positions, distances);
    }
    void shift(int64_t offset) { offset_ = offset; }

    size_t size() const { return set_.size(); }
    bool full() const { return set_.full(); }
    float worstDist() const { return set_.worstDist(); }
    bool addPoint(float distance, uint32_t index) {
        const int64_t position = index + offset_;
        return position >= limit_ || set_.addPoint(distance, static_cast<int32_t>(position));
    }

private:
    nanoflann::KNNResultSet<float, int32_t> set_;
    int64_t limit_, offset_ = 0;
};

// Dim: dk, or -1 for one known at run time only.
template <int Dim> class Tree {
    using Metric = nanoflann::L2_Simple_Adaptor<float, Cloud>;
    using Index = nanoflann::KDTreeSingleIndexAdaptor<Metric, Cloud, Dim, uint32_t>;

public:
    Tree(const float *points, int64_t count, int dk)
        : cloud_{points, static_cast<size_t>(count), static_cast<size_t>(dk)}, index_(dk, cloud_) {
        index_.buildIndex();
    }
    void search(Nearest &nearest, const float *query) const { index_.findNeighbors(nearest, query, SearchOptions()); }

private:
    Cloud cloud_;
    Index index_;
};

struct Search {
    const float *q, *k; // [n, dk], [m, dk]
    int64_t n, m;
    int dk, neighbours;
    int32_t *positions; // [n, neighbours]
    float *distances;

    // Calls find(nearest, query, limit) for each query, in parallel; `limit` counts the keys it may find.
    template <class Find> void for_each(bool causal, const Find &find) const {
        tbb::parallel_for(tbb::blocked_range<int64_t>(0, n, 64), [&](const tbb::blocked_range<int64_t> &range) {
            for (int64_t i = range.begin(); i < range.end(); ++i) {
                const int64_t limit = causal ? i + m - n : m, first = i * neighbours;
                std::fill(positions + first, positions + first + neighbours, -1);
                std::fill(distances + first, distances + first + neighbours, std::numeric_limits<float>::infinity());
                Nearest nearest(positions + first, distances + first, neighbours, limit);
                find(nearest, q + i * dk, limit);
            }
        });
    }
};

template <int Dim> void search_one_tree(const Search &search, bool causal) {
    const Tree<Dim> tree(search.k, search.m, search.dk);
    search.for_each(causal, [&](Nearest &nearest, const float *query, int64_t) { tree.search(nearest, query); });
}

// levels[j][b] covers keys [b, b + 1) kLeast 2^j; only even b that fit are ever part of a prefix.
template <int Dim> class Forest {
public:
    explicit Forest(const Search &search) : search_(search) {
        struct Place {
            size_t level;
            int64_t block;
        };
        std::vector<Place> places;
        for (int64_t size = kLeast; size <= search.m; size *= 2) {
            const int64_t blocks = search.m / size;
            for (int64_t block = 0; block < blocks; block += 2) places.push_back({levels_.size(), block});
            levels_.emplace_back(static_cast<size_t>(blocks));
        }
        std::reverse(places.begin(), places.end()); // the largest first
        tbb::parallel_for(size_t{0}, places.size(), [&](size_t i) {
            const Place &place = places[i];
            const int64_t size = kLeast << place.level;
            levels_[place.level][static_cast<size_t>(place.block)] =
                std::make_unique<Tree<Dim>>(search.k + place.block * size * search.dk, size, search.dk);
        });
    }

    void find(Nearest &nearest, const float *query, int64_t limit) const {
        int64_t begin = 0;
        for (size_t level = levels_.size(); level-- > 0;) {
            const int64_t size = kLeast << level;
            if (limit - begin < size) continue;
            nearest.shift(begin);
            levels_[level][static_cast<size_t>(begin / size)]->search(nearest, query);
            begin += size;
        }
        nearest.shift(0);
        for (int64_t j = begin; j < limit; ++j) {
            float distance = 0;
            for (int e = 0; e < search_.dk; ++e) {
                const float difference = query[e] - search_.k[j * search_.dk + e];
                distance += difference * difference;
            }
            if (distance < nearest.worstDist()) nearest.addPoint(distance, static_cast<uint32_t>(j));
        }
    }

private:
    const Search &search_;
    std::vector<std::vector<std::unique_ptr<Tree<Dim>>>> levels_;
};

template <int Dim> void search_forest(const Search &search) {
    const Forest<Dim> forest(search);
    search.for_each(true,
                    [&](Nearest &nearest, const float *query, int64_t limit) { forest.find(nearest, query, limit); });
}

template <int Dim> void run(int mode, const Search &search) {
    mode == 2 ? search_forest<Dim>(search) : search_one_tree<Dim>(search, mode == 1);
}

} // namespace

int bench_kdtree(int mode, int threads, const float *q, const float *k, int64_t n, int64_t m, int dk, int neighbours,
                 int32_t *positions, float *distances) {
    if (mode < 0 || mode > 2) return -1;
    const Search search = {q, k, n, m, dk, neighbours, positions, distances};
    try {
        tbb::task_arena arena(threads);
        arena.execute([&] {
            switch (dk) {
            case 1:
                return run<1>(mode, search);
            case 2:
                return run<2>(mode, search);
            case 3:
                return run<3>(mode, search);
            case 4:
                return run<4>(mode, search);
            case 8:
                return run<8>(mode, search);
            default:
                return run<-1>(mode, search);
            }
        });
        return 0;
    } catch (...) {
        return -1;
    }
}

int bench_kdtree_version() {
    return NANOFLANN_VERSION;
}
