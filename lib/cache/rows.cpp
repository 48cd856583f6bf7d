// SPDX-License-Identifier: Apache-2.0
// Pages and spans: who owns them, and what is in them.
#include "rows.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "../cpu/fetch.hpp"
#include "../scratch.hpp"
#include "../status.hpp"

namespace zeta::cache {
namespace {

constexpr size_t kHead = 64; // bytes of a block before what it holds
constexpr size_t kMaxPageBytes = size_t{1} << 16;
constexpr size_t kSlabBytes = size_t{1} << 21; // a huge page
constexpr uint32_t kFewestPages = 8;           // that make a slab

size_t aligned(size_t bytes) {
    return (bytes + Scratch::kAlignment - 1) / Scratch::kAlignment * Scratch::kAlignment;
}

[[noreturn]] void refused(size_t bytes) {
    fail(ZETA_ERROR_MEMORY, "out of memory: %zu bytes of the cache were refused", bytes);
}

} // namespace

RowShape::RowShape(int32_t dk_, int32_t dv_, int32_t value_type_, bool mean)
    : dk(dk_), dv(dv_), value_type(value_type_) {
    const size_t element = value_type == ZETA_I8 ? 1 : cpu::float_size(value_type);
    const size_t scale = value_type == ZETA_I8 ? sizeof(float) : 0, key = size_t(dk) * sizeof(float);
    value_bytes = size_t(dv) * element;
    page_shift = 6;
    while (page_shift > 0 && (key + value_bytes + scale) << page_shift > kMaxPageBytes) --page_shift;
    value_at = aligned(kHead + (key << page_shift));
    scale_at = aligned(value_at + (value_bytes << page_shift));
    page_bytes = aligned(scale_at + (scale << page_shift));
    slab_pages = uint32_t((kSlabBytes - kHead) / page_bytes);
    if (slab_pages < kFewestPages) slab_pages = 0;
    checkpoint_width = mean ? size_t(dk) + size_t(dv) : 0;
    checkpoint_at = aligned(kHead + (kSpanRows >> page_shift) * sizeof(void *));
    span_bytes = checkpoint_at + aligned(kSpanRows / kCheckpointRows * checkpoint_width * sizeof(double));
}

// ---- owners --------------------------------------------------------------------------------------------------------

Rows::Counted *Rows::take(const Context &context, size_t bytes) const {
    void *block = context.take(bytes);
    if (block == nullptr) refused(bytes);
    return new (block) Counted{{1}, nullptr, nullptr};
}

// Makes the pages of a slab spare. None, if its memory is refused.
void Rows::take_slab(const Context &context) {
    void *block = context.take(kSlabBytes);
    if (block == nullptr) return;
    Slab *slab = new (block) Counted{{shape_->slab_pages}, nullptr, nullptr};
    for (uint32_t i = shape_->slab_pages; i-- > 0;)
        spare_ = new (static_cast<char *>(block) + kHead + i * shape_->page_bytes) Counted{{1}, slab, spare_};
    spares_ += shape_->slab_pages;
}

// wanted: how many pages the call will still take, this one included.
Rows::Page *Rows::take_page(const Context &context, uint32_t wanted) {
    const uint32_t pages = shape_->slab_pages;
    if (spare_ == nullptr && pages > 0 && wanted >= pages) take_slab(context);
    if (spare_ == nullptr) return take(context, shape_->page_bytes);
    --spares_;
    return std::exchange(spare_, spare_->next);
}

// Gives back a page that has no owner.
void Rows::free_page(const Context &context, Page *page) const noexcept {
    Slab *slab = page->slab;
    if (slab == nullptr)
        context.give(page, shape_->page_bytes);
    else if (slab->owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
        context.give(slab, kSlabBytes);
}

void Rows::drop_page(const Context &context, Page *page) noexcept {
    if (page == nullptr || page->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (page->slab == nullptr || spares_ >= most_spare()) return free_page(context, page);
    page->owners.store(1, std::memory_order_relaxed);
    page->next = std::exchange(spare_, page);
    ++spares_;
}

void Rows::trim(const Context &context, uint32_t most) noexcept {
    for (; spares_ > most; --spares_) free_page(context, std::exchange(spare_, spare_->next));
}

void Rows::drop_pages(const Context &context, Span *span, uint32_t begin, uint32_t end) noexcept {
    for (uint32_t i = begin; i < end; ++i) drop_page(context, std::exchange(pages(span)[i], nullptr));
}

void Rows::drop_span(const Context &context, Span *span) noexcept {
    if (span == nullptr || span->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    drop_pages(context, span, 0, pages_per_span());
    context.give(span, shape_->span_bytes);
}

// A table of at least so many spans.
void Rows::grow(const Context &context, uint32_t spans) {
    if (spans <= room_) return;
    const uint32_t room = std::max({spans, 2 * room_, 8u});
    auto **table = static_cast<Span **>(context.take(room * sizeof(Span *)));
    if (table == nullptr) refused(room * sizeof(Span *));
    std::copy_n(spans_, room_, table);
    std::fill(table + room_, table + room, nullptr);
    if (spans_ != nullptr) context.give(spans_, room_ * sizeof(Span *));
    spans_ = table;
    room_ = room;
}

// The span, made if it is not there, copied if it is shared.
Rows::Span *Rows::own_span(const Context &context, uint32_t index) {
    Span *old = spans_[index];
    if (old != nullptr && !old->shared()) return old;
    Span *span = take(context, shape_->span_bytes);
    for (uint32_t i = 0; i < pages_per_span(); ++i) {
        Page *page = old == nullptr ? nullptr : pages(old)[i];
        if (page != nullptr) page->owners.fetch_add(1, std::memory_order_relaxed);
        pages(span)[i] = page;
    }
    if (old != nullptr)
        std::memcpy(reinterpret_cast<char *>(span) + shape_->checkpoint_at, at<char>(old, shape_->checkpoint_at),
                    shape_->span_bytes - shape_->checkpoint_at);
    else
        std::memset(reinterpret_cast<char *>(span) + shape_->checkpoint_at, 0,
                    shape_->span_bytes - shape_->checkpoint_at);
    drop_span(context, old);
    return spans_[index] = span;
}

// Page `index` of an own span likewise; its first `rows` rows are kept. wanted: see take_page().
void Rows::own_page(const Context &context, Span *span, uint32_t index, uint32_t rows, uint32_t wanted) {
    Page *old = pages(span)[index];
    if (old != nullptr && !old->shared()) return;
    Page *page = take_page(context, wanted);
    if (old != nullptr && rows > 0) {
        const auto copy = [&](size_t begin, size_t bytes) {
            std::memcpy(reinterpret_cast<char *>(page) + begin, at<char>(old, begin), bytes);
        };
        copy(kHead, rows * size_t(shape_->dk) * sizeof(float));
        copy(shape_->value_at, rows * shape_->value_bytes);
        if (shape_->value_type == ZETA_I8) copy(shape_->scale_at, rows * sizeof(float));
    }
    drop_page(context, old);
    pages(span)[index] = page;
}

void Rows::reserve(const Context &context, uint32_t begin, uint32_t end) {
    if (begin >= end) return;
    const uint32_t rows = shape_->page_rows();
    grow(context, (end - 1) / kSpanRows + 1);
    if (count_ == begin_) begin_ = count_ = begin / kSpanRows;
    for (uint32_t row = begin; row < end;) {
        const uint32_t index = row / kSpanRows;
        Span *span = own_span(context, index);
        count_ = std::max(count_, index + 1);
        for (; row < end && row / kSpanRows == index; row = (row / rows + 1) * rows)
            own_page(context, span, row % kSpanRows / rows, row % rows, (end - row + rows - 1) / rows);
    }
}

void Rows::reserve_keep(const Context &context, uint32_t begin) {
    const uint32_t index = begin / kSpanRows;
    if (index >= begin_ && index < count_ && spans_[index] != nullptr) own_span(context, index);
}

void Rows::keep(const Context &context, uint32_t begin, uint32_t end) noexcept {
    end = std::max(begin, end);
    const uint32_t rows = shape_->page_rows();
    const uint32_t first = begin / kSpanRows, last = (end + kSpanRows - 1) / kSpanRows;
    for (; begin_ < std::min(first, count_); ++begin_) drop_span(context, std::exchange(spans_[begin_], nullptr));
    for (; count_ > std::max(last, begin_); --count_) drop_span(context, std::exchange(spans_[count_ - 1], nullptr));
    const auto own = [&](uint32_t index) {
        return index >= begin_ && index < count_ && spans_[index] != nullptr && !spans_[index]->shared();
    };
    if (own(first)) drop_pages(context, spans_[first], 0, begin % kSpanRows / rows);
    if (end % kSpanRows != 0 && own(end / kSpanRows))
        drop_pages(context, spans_[end / kSpanRows], (end % kSpanRows + rows - 1) / rows, pages_per_span());
    trim(context, end == 0 ? 0 : most_spare());
    if (end > 0) return;
    if (spans_ != nullptr) context.give(spans_, room_ * sizeof(Span *));
    spans_ = nullptr;
    room_ = begin_ = count_ = 0;
}

void Rows::share(const Context &context, const Rows &other) {
    grow(context, other.count_);
    begin_ = other.begin_;
    count_ = other.count_;
    for (uint32_t i = begin_; i < count_; ++i) {
        spans_[i] = other.spans_[i];
        if (spans_[i] != nullptr) spans_[i]->owners.fetch_add(1, std::memory_order_relaxed);
    }
}

// A slab is held until none of its pages is needed: those that still are share its bytes.
size_t Rows::bytes() const {
    const auto held = [&](const Page *page) -> size_t {
        return page->slab == nullptr ? shape_->page_bytes
                                     : kSlabBytes / page->slab->owners.load(std::memory_order_relaxed);
    };
    size_t total = room_ * sizeof(Span *);
    for (const Page *page = spare_; page != nullptr; page = page->next) total += held(page);
    for (uint32_t i = begin_; i < count_; ++i) {
        if (spans_[i] == nullptr) continue;
        total += shape_->span_bytes;
        for (uint32_t j = 0; j < pages_per_span(); ++j)
            if (const Page *page = pages(spans_[i])[j]) total += held(page);
    }
    return total;
}

// ---- rows ----------------------------------------------------------------------------------------------------------

uint32_t Rows::run(uint32_t row, uint32_t most) const {
    return std::min(shape_->page_rows() - in_page(row), most);
}

void Rows::gather_keys(const uint32_t *ids, uint32_t n, float *out) const {
    const size_t dk = size_t(shape_->dk);
    for (uint32_t i = 0; i < n; ++i) std::copy_n(key(ids[i]), dk, out + i * dk);
}

void Rows::copy_keys(uint32_t begin, uint32_t n, float *out) const {
    const size_t dk = size_t(shape_->dk);
    for (uint32_t i = 0; i < n;) {
        const uint32_t rows = run(begin + i, n - i);
        std::copy_n(key(begin + i), rows * dk, out + i * dk);
        i += rows;
    }
}

void Rows::read_value(const simd::Kernels &kernels, uint32_t row, Channels c, float *out) const {
    if (shape_->value_type != ZETA_I8) {
        const size_t element = cpu::float_size(shape_->value_type);
        const char *from = static_cast<const char *>(value(row)) + c.begin * element;
        cpu::widen(kernels, shape_->value_type, from, c.width, out);
        return;
    }
    const float step = *scale(row);
    const int8_t *from = static_cast<const int8_t *>(value(row)) + c.begin;
    for (size_t i = 0; i < c.width; ++i) out[i] = step * float(from[i]);
}

void Rows::gather_values(const simd::Kernels &kernels, const uint32_t *ids, uint32_t n, Channels c, float *out) const {
    for (uint32_t i = 0; i < n; ++i) read_value(kernels, ids[i], c, out + i * c.width);
}

void Rows::copy_values(const simd::Kernels &kernels, uint32_t begin, uint32_t n, Channels c, float *out) const {
    for (uint32_t i = 0; i < n; ++i) read_value(kernels, begin + i, c, out + i * c.width);
}

void Rows::fetch_value(uint32_t row) const {
    cpu::fetch(value(row), std::min<size_t>(shape_->value_bytes, 1024));
    if (shape_->value_type == ZETA_I8) cpu::fetch(scale(row), sizeof(float));
}

} // namespace zeta::cache
