// SPDX-License-Identifier: Apache-2.0
// Random calls and their checks.
#include "soak_item.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace cachetest {
namespace {

constexpr int64_t kLongest = 1500; // then a cache is emptied
constexpr int64_t kCheckedOneIn = 3;

// What the neighbours' part of an attention over one sequence needs.
struct Whole {
    std::vector<float> q, k, v, out, normaliser;
    std::vector<int32_t> neighbours;
};

void copy_rows(std::vector<float> &to, const std::vector<float> &from, int64_t row, int64_t rows, int64_t width) {
    to.insert(to.end(), from.begin() + row * width, from.begin() + (row + rows) * width);
}

void require_caller() {
    if (Memory::caller) return;
    std::fprintf(stderr, "the allocator is used on a thread that makes no calls\n");
    std::abort();
}

void *allocate(void *, size_t size, size_t alignment) {
    require_caller();
    if (Memory::left == 0) return nullptr;
    if (Memory::left > 0) --Memory::left;
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void release(void *, void *block, size_t) {
    require_caller();
    std::free(block);
}

template <class T> bool same(const std::vector<T> &a, const std::vector<T> &b, int64_t b_at, int64_t count) {
    return std::memcmp(a.data(), b.data() + b_at, size_t(count) * sizeof(T)) == 0;
}

} // namespace

thread_local int64_t Memory::left = -1;
thread_local bool Memory::caller = false;
std::atomic<int64_t> Item::refused{0};

zeta::Context Memory::context(int threads) {
    zeta::ContextParams params;
    params.threads = threads;
    params.allocator = {allocate, release, nullptr};
    return zeta::Context(params);
}

void wrong(const Setup &setup, const std::string &what) {
    throw std::runtime_error(setup.name + ": " + what);
}

Item::Item(const zeta::Context &context, const Setup &setup)
    : Item(setup, setup.make(context), std::vector<Sequence>(size_t(setup.batches))) {
    for (Sequence &s : sequences_) {
        s.first = setup.attention.first;
        s.k.resize(size_t(setup.key_heads));
        s.v.resize(size_t(setup.key_heads));
    }
}

Item::Item(const Setup &setup, zeta::Cache cache, std::vector<Sequence> sequences)
    : setup_(setup), cache_(std::move(cache)), sequences_(std::move(sequences)) {}

zeta::Cache Item::make(const zeta::Context &context) const {
    Setup setup = setup_;
    setup.batches = int64_t(sequences_.size());
    return setup.make(context);
}

// Makes a call, sometimes with memory refused in it: false if it failed for that, and then nothing has changed.
bool Item::served(Chance &chance, const std::function<void()> &call) const {
    const bool refusing = pick(chance, 0, 7) == 0;
    Memory::left = refusing ? pick(chance, 0, 12) : -1;
    const Outcome result = outcome(call);
    Memory::left = -1;
    if (result.status != ZETA_OK && !(refusing && result.status == ZETA_ERROR_MEMORY)) wrong(setup_, result.sentence);
    refused += result.status != ZETA_OK;
    return result.status == ZETA_OK;
}

Item::Rows Item::rows_of(Chance &chance, int64_t n) const {
    const int64_t b = int64_t(sequences_.size()), h = setup_.query_heads, g = setup_.key_heads;
    const bool clustered = pick(chance, 0, 2) == 0; // many equal codes and distances
    std::uniform_real_distribution<float> uniform(-2.0f, 2.0f);
    const auto point = [&] { return clustered ? float(pick(chance, -1, 1)) : uniform(chance); };
    Rows rows;
    rows.n = n;
    rows.counts.assign(size_t(b), n);
    rows.q.resize(size_t(b * h * n * setup_.dk));
    rows.k.resize(size_t(b * g * n * setup_.dk));
    rows.v.resize(size_t(b * g * n * setup_.dv));
    std::generate(rows.q.begin(), rows.q.end(), point);
    std::generate(rows.k.begin(), rows.k.end(), point);
    std::generate(rows.v.begin(), rows.v.end(), [&] { return float(pick(chance, -127, 127)) / 128; });
    for (size_t i = 0; i < rows.v.size(); i += size_t(setup_.dv)) rows.v[i] = i % 2 ? 127.0f / 128 : -127.0f / 128;
    rows.out.assign(size_t(b * h * n * setup_.dv), -9.0f);
    rows.normaliser.assign(size_t(b * h * n), -9.0f);
    rows.neighbours.assign(size_t(b * h * n * setup_.attention.neighbours), -9);
    return rows;
}

zeta::CacheTensors Item::tensors_of(Rows &rows, bool q, bool kv) const {
    const int64_t b = int64_t(sequences_.size()), h = setup_.query_heads, g = setup_.key_heads, n = rows.n;
    zeta::CacheTensors tensors;
    tensors.counts = rows.counts.data();
    if (kv) {
        tensors.k = zeta::Tensor(rows.k.data(), {b, g, n, setup_.dk});
        tensors.v = zeta::Tensor(rows.v.data(), {b, g, n, setup_.dv});
    }
    if (q) {
        tensors.q = zeta::Tensor(rows.q.data(), {b, h, n, setup_.dk});
        tensors.out = zeta::Tensor(rows.out.data(), {b, h, n, setup_.dv});
        tensors.normaliser = zeta::Tensor(rows.normaliser.data(), {b, h, n});
        tensors.neighbours = zeta::Tensor(rows.neighbours.data(), {b, h, n, setup_.attention.neighbours});
    }
    return tensors;
}

void Item::remember(const Rows &rows) {
    for (size_t b = 0; b < sequences_.size(); ++b) {
        Sequence &s = sequences_[b];
        for (int64_t g = 0; g < setup_.key_heads; ++g) {
            const int64_t row = (int64_t(b) * setup_.key_heads + g) * rows.n;
            copy_rows(s.k[size_t(g)], rows.k, row, rows.counts[b], setup_.dk);
            copy_rows(s.v[size_t(g)], rows.v, row, rows.counts[b], setup_.dv);
        }
        s.length += rows.counts[b];
    }
}

void Item::append(const zeta::Context &context, Chance &chance) {
    const int64_t kind = pick(chance, 0, 2);
    Rows rows = rows_of(chance, kind == 1 ? 1 : pick(chance, 1, 10) == 10 ? 300 : pick(chance, 1, 40));
    for (int64_t &count : rows.counts)
        if (pick(chance, 0, 1) == 0) count = pick(chance, 0, rows.n);
    const zeta::CacheTensors tensors = tensors_of(rows, kind > 0, true);
    const bool served_it = served(chance, [&] {
        if (kind == 0) cache_.append(tensors);
        if (kind == 1) cache_.step(tensors);
        if (kind == 2) cache_.prefill(tensors);
    });
    if (!served_it) return;
    remember(rows);
    if (kind > 0 && pick(chance, 1, kCheckedOneIn) == 1) check(context, rows);
}

void Item::attend(const zeta::Context &context, Chance &chance) {
    Rows rows = rows_of(chance, pick(chance, 1, 12));
    for (size_t b = 0; b < sequences_.size(); ++b) {
        const Sequence &s = sequences_[b];
        rows.counts[b] = setup_.attention.causal ? std::min(rows.n, s.length - s.evicted) : rows.n;
    }
    if (served(chance, [&] { cache_.attend(tensors_of(rows, true, false)); }) && pick(chance, 1, kCheckedOneIn) == 1)
        check(context, rows);
}

void Item::truncate(Chance &chance) {
    std::vector<int64_t> lengths;
    for (const Sequence &s : sequences_) {
        const int64_t least = std::max(s.evicted, pick(chance, 0, 3) == 0 ? 0 : s.length - 60);
        lengths.push_back(pick(chance, least, s.length));
    }
    if (!served(chance, [&] { cache_.truncate(lengths); })) return;
    for (size_t b = 0; b < lengths.size(); ++b) {
        Sequence &s = sequences_[b];
        s.length = lengths[b];
        for (int64_t g = 0; g < setup_.key_heads; ++g) {
            s.k[size_t(g)].resize(size_t(s.length * setup_.dk));
            s.v[size_t(g)].resize(size_t(s.length * setup_.dv));
        }
    }
}

void Item::evict(Chance &chance) {
    std::vector<int64_t> positions;
    for (const Sequence &s : sequences_)
        positions.push_back(
            pick(chance, 0, pick(chance, 0, 5) == 0 ? s.length : s.evicted + (s.length - s.evicted) / 2));
    if (!served(chance, [&] { cache_.evict_before(positions); })) return;
    for (size_t b = 0; b < positions.size(); ++b)
        if (positions[b] > sequences_[b].first) sequences_[b].first = sequences_[b].evicted = positions[b];
}

void Item::save_and_load(const zeta::Context &context, Chance &chance, const std::string &path) {
    zeta::Cache other = make(context);
    const bool moved = served(chance, [&] {
        if (pick(chance, 0, 3) == 0) {
            cache_.save(path);
            other.load(path);
        } else {
            other.load(cache_.save());
        }
    });
    if (!moved) return;
    if (other.save() != cache_.save()) wrong(setup_, "a loaded cache is saved with other bytes");
    std::swap(cache_, other);
}

void Item::refuse(Chance &chance) {
    std::vector<int64_t> numbers;
    for (const Sequence &s : sequences_) numbers.push_back(s.length);
    ++numbers[size_t(pick(chance, 0, int64_t(numbers.size()) - 1))];
    zeta_status status = ZETA_OK;
    if (pick(chance, 0, 1) == 0)
        status = outcome([&] { cache_.truncate(numbers); }).status;
    else
        status = outcome([&] { cache_.evict_before(numbers); }).status;
    if (status != ZETA_ERROR_ARGUMENT) wrong(setup_, "a position beyond the length was not refused");
    Bytes data = cache_.save();
    data[size_t(pick(chance, 0, int64_t(data.size()) - 1))] ^= std::byte{0x10};
    if (load(cache_, data).status != ZETA_ERROR_FORMAT) wrong(setup_, "a changed byte was not found");
}

std::unique_ptr<Item> Item::fork(Chance &chance) {
    std::vector<int64_t> chosen;
    std::vector<Sequence> sequences;
    for (int64_t i = pick(chance, 1, 3); i > 0; --i) {
        chosen.push_back(pick(chance, 0, int64_t(sequences_.size()) - 1));
        sequences.push_back(sequences_[size_t(chosen.back())]);
    }
    std::unique_ptr<Item> made;
    const auto make = [&] { made.reset(new Item(setup_, cache_.fork(chosen), std::move(sequences))); };
    static_cast<void>(served(chance, make));
    return made;
}

void Item::check_extents() const {
    for (size_t b = 0; b < sequences_.size(); ++b)
        if (cache_.length(int64_t(b)) != sequences_[b].length || cache_.first(int64_t(b)) != sequences_[b].first)
            wrong(setup_, "length or first is wrong");
}

void Item::check(const zeta::Context &context, const Rows &rows) const {
    for (size_t b = 0; b < sequences_.size(); ++b)
        if (rows.counts[b] > 0) check_sequence(context, rows, int64_t(b), rows.counts[b]);
}

void Item::check_sequence(const zeta::Context &context, const Rows &rows, int64_t b, int64_t count) const {
    const Sequence &s = sequences_[size_t(b)];
    const int64_t h = setup_.query_heads, g = setup_.key_heads, dk = setup_.dk, dv = setup_.dv;
    const int64_t slots = setup_.attention.neighbours;
    Whole whole;
    for (int64_t i = 0; i < h; ++i) copy_rows(whole.q, rows.q, (b * h + i) * rows.n, count, dk);
    for (int64_t i = 0; i < g; ++i) {
        copy_rows(whole.k, s.k[size_t(i)], 0, s.length, dk);
        copy_rows(whole.v, s.v[size_t(i)], 0, s.length, dv);
    }
    whole.out.resize(size_t(h * count * dv));
    whole.normaliser.resize(size_t(h * count));
    whole.neighbours.resize(size_t(h * count * slots));
    zeta_attention_params params = setup_.attention;
    params.first = s.first;
    const_cast<zeta::Context &>(context).forward(
        params, {zeta::Tensor(whole.q.data(), {1, h, count, dk}), zeta::Tensor(whole.k.data(), {1, g, s.length, dk}),
                 zeta::Tensor(whole.v.data(), {1, g, s.length, dv}), zeta::Tensor(whole.out.data(), {1, h, count, dv}),
                 zeta::Tensor(whole.normaliser.data(), {1, h, count}),
                 zeta::Tensor(whole.neighbours.data(), {1, h, count, slots})});
    for (int64_t i = 0; i < h; ++i) {
        const std::string place = " of sequence " + std::to_string(b) + ", head " + std::to_string(i) + ", length " +
                                  std::to_string(s.length) + ", first " + std::to_string(s.first);
        const int64_t row = (b * h + i) * rows.n;
        const auto part = [&](const auto &all, int64_t width) {
            return std::remove_reference_t<decltype(all)>(all.begin() + i * count * width,
                                                          all.begin() + (i + 1) * count * width);
        };
        if (!same(part(whole.neighbours, slots), rows.neighbours, row * slots, count * slots))
            wrong(setup_, "neighbours" + place);
        if (!same(part(whole.normaliser, 1), rows.normaliser, row, count)) wrong(setup_, "the normaliser" + place);
        if (!same(part(whole.out, dv), rows.out, row * dv, count * dv)) wrong(setup_, "the output" + place);
    }
}

std::unique_ptr<Item> Item::act(const zeta::Context &context, Chance &chance, const std::string &path) {
    std::unique_ptr<Item> made;
    const int64_t kind = pick(chance, 0, 99);
    const bool longest =
        std::any_of(sequences_.begin(), sequences_.end(), [](const Sequence &s) { return s.length > kLongest; });
    if (longest || kind == 0) {
        cache_.reset();
        const Item empty(context, setup_);
        for (Sequence &s : sequences_) s = empty.sequences_[0];
    } else if (kind < 50) {
        append(context, chance);
    } else if (kind < 75) {
        attend(context, chance);
    } else if (kind < 81) {
        truncate(chance);
    } else if (kind < 87) {
        evict(chance);
    } else if (kind < 92) {
        save_and_load(context, chance, path);
    } else if (kind < 95) {
        refuse(chance);
    } else {
        made = fork(chance);
    }
    check_extents();
    return made;
}

} // namespace cachetest
