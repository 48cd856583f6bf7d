// SPDX-License-Identifier: Apache-2.0
// Key rows and value rows of one sequence and key head, in pages of at most 64 rows behind a directory of two levels: a
// table of spans, each of 4,096 rows with its pages. Many pages are taken at once, in slabs of 2 MB. Pages and spans
// are counted and shared between forks; what is to be written is made the owner's own first (reserve()), so a fork
// costs one count per 4,096 rows. Each span also keeps the sums of the history mean at every 512th row (mean.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../context.hpp"
#include "../problem.hpp"
#include "zeta/cache.h"

namespace zeta::cache {

constexpr uint32_t kSpanRows = 4096;      // a fork counts owners of spans: 256 of them at a million rows
constexpr uint32_t kCheckpointRows = 512; // rows between sums of the mean: a divisor of every mean_block()
constexpr uint32_t kMaxPageRows = 64;

// How rows are laid out: the same for all heads of a cache.
struct RowShape {
    int32_t dk = 0, dv = 0, value_type = ZETA_F32;
    uint32_t page_shift = 0; // a page has 1 << page_shift rows
    size_t value_bytes = 0;  // of one row of values, without its scale
    size_t value_at = 0;     // where a page's values begin
    size_t scale_at = 0;     // and its scales, int8 only
    size_t page_bytes = 0;
    uint32_t slab_pages = 0;     // of a slab; 0: pages are too large for slabs
    size_t checkpoint_at = 0;    // where a span's sums begin
    size_t checkpoint_width = 0; // float64 numbers of one: dk + dv, or 0 without the mean
    size_t span_bytes = 0;

    RowShape() = default;
    RowShape(int32_t dk, int32_t dv, int32_t value_type, bool mean);
    uint32_t page_rows() const { return 1u << page_shift; }
};

class Rows {
public:
    explicit Rows(const RowShape &shape) : shape_(&shape) {} // which must outlive it
    Rows(const Rows &) = delete;
    Rows &operator=(const Rows &) = delete;
    ~Rows() = default; // release() was called

    // ---- on the calling thread

    // Makes rows [begin, end) present and this owner's own, keeping the `begin` rows before them as they are. Throws
    // Error(ZETA_ERROR_MEMORY); the rows stay as they are then too.
    void reserve(const Context &context, uint32_t begin, uint32_t end);
    // Prepares keep(): what it will change becomes this owner's own. Throws likewise.
    void reserve_keep(const Context &context, uint32_t begin);
    // Gives back pages and spans that hold none of rows [begin, end).
    void keep(const Context &context, uint32_t begin, uint32_t end) noexcept;
    void release(const Context &context) noexcept { keep(context, 0, 0); }
    // Becomes a copy of `other` that shares its memory. This one must be empty. Throws likewise.
    void share(const Context &context, const Rows &other);

    // ---- on any thread. Rows before an eviction or past the last reserve() are not there.

    const RowShape &shape() const { return *shape_; }
    const float *key(uint32_t row) const { return at<float>(page(row), 64) + in_page(row) * size_t(shape_->dk); }
    float *key(uint32_t row) { return const_cast<float *>(static_cast<const Rows *>(this)->key(row)); }
    const void *value(uint32_t row) const {
        return at<char>(page(row), shape_->value_at) + in_page(row) * shape_->value_bytes;
    }
    void *value(uint32_t row) { return const_cast<void *>(static_cast<const Rows *>(this)->value(row)); }
    const float *scale(uint32_t row) const {
        return at<float>(page(row), shape_->scale_at) + in_page(row);
    } // int8 only
    float *scale(uint32_t row) { return const_cast<float *>(static_cast<const Rows *>(this)->scale(row)); }
    // [dk + dv] sums of all keys and values before `row`, a multiple of kCheckpointRows.
    const double *checkpoint(uint32_t row) const {
        return at<double>(spans_[row / kSpanRows], shape_->checkpoint_at) +
               row % kSpanRows / kCheckpointRows * shape_->checkpoint_width;
    }
    double *checkpoint(uint32_t row) { return const_cast<double *>(static_cast<const Rows *>(this)->checkpoint(row)); }
    // How many rows from `row` on lie behind each other, at most `most`.
    uint32_t run(uint32_t row, uint32_t most) const;

    // Stores a row of each type, converted: what reserve() has made writable.
    void store(const simd::Kernels &kernels, uint32_t row, int32_t k_type, const void *k, int32_t v_type,
               const void *v);
    // Keys of rows ids[i], or of rows [begin, begin + n): out [n, dk].
    void gather_keys(const uint32_t *ids, uint32_t n, float *out) const;
    void copy_keys(uint32_t begin, uint32_t n, float *out) const;
    // Channels [channel, channel + width) of value rows as float32: out [n, width].
    struct Channels {
        size_t begin, width;
    };
    void gather_values(const simd::Kernels &kernels, const uint32_t *ids, uint32_t n, Channels c, float *out) const;
    void copy_values(const simd::Kernels &kernels, uint32_t begin, uint32_t n, Channels c, float *out) const;
    void read_value(const simd::Kernels &kernels, uint32_t row, Channels c, float *out) const;
    // Asks for a value row before it is gathered.
    void fetch_value(uint32_t row) const;

    size_t bytes() const; // shared pages in full

private:
    // All begin with their count of owners (of a slab: its pages that have any, or are spare); a page's keys begin at
    // byte 64, a span's pages and a slab's too.
    struct Counted {
        std::atomic<uint32_t> owners;
        Counted *slab; // that a page is part of, or NULL
        Counted *next; // spare page
        bool shared() const { return owners.load(std::memory_order_acquire) != 1; }
    };
    using Page = Counted;
    using Span = Counted;
    using Slab = Counted;

    template <class T> static const T *at(const Counted *block, size_t byte) {
        return reinterpret_cast<const T *>(reinterpret_cast<const char *>(block) + byte);
    }
    static Page **pages(Span *span) { return reinterpret_cast<Page **>(reinterpret_cast<char *>(span) + 64); }
    static Page *const *pages(const Span *span) { return at<Page *>(span, 64); }
    const Page *page(uint32_t row) const {
        return pages(spans_[row / kSpanRows])[row % kSpanRows >> shape_->page_shift];
    }
    uint32_t in_page(uint32_t row) const { return row & (shape_->page_rows() - 1); }
    uint32_t pages_per_span() const { return kSpanRows >> shape_->page_shift; }

    Counted *take(const Context &context, size_t bytes) const;
    Page *take_page(const Context &context, uint32_t wanted);
    void take_slab(const Context &context);
    uint32_t live_pages() const { return (count_ - begin_) * pages_per_span(); } // at most
    uint32_t most_spare() const { return std::min(shape_->slab_pages, live_pages() / 8); }
    void grow(const Context &context, uint32_t spans);
    Span *own_span(const Context &context, uint32_t index);
    void own_page(const Context &context, Span *span, uint32_t index, uint32_t rows, uint32_t wanted);
    void free_page(const Context &context, Page *page) const noexcept;
    void drop_page(const Context &context, Page *page) noexcept;
    void drop_span(const Context &context, Span *span) noexcept;
    void drop_pages(const Context &context, Span *span, uint32_t begin, uint32_t end) noexcept;
    void trim(const Context &context, uint32_t most) noexcept;

    const RowShape *shape_;
    Span **spans_ = nullptr;                    // [room]
    uint32_t room_ = 0, begin_ = 0, count_ = 0; // spans before begin_ and from count_ on are NULL
    Page *spare_ = nullptr;                     // pages of slabs that hold no rows, taken again first
    uint32_t spares_ = 0;
};

// int8 rows cannot hold it: whether any of n values is not finite.
bool any_not_finite(int32_t type, const void *v, size_t n);

} // namespace zeta::cache
