// SPDX-License-Identifier: Apache-2.0
// A thin C++17 wrapper of the C API, header-only: objects that free themselves, tensor views from typed pointers, and
// exceptions that carry the status and the sentence. It adds nothing to what the C headers describe; read those for
// shapes, defaults and promises. Not included by zeta.h.
//
//     zeta::Context context;
//     zeta::Params params;
//     params.neighbours = 64;
//     context.forward(params, {zeta::Tensor(q, {1, 8, n, 3}), zeta::Tensor(k, {1, 8, n, 3}),
//                              zeta::Tensor(v, {1, 8, n, 64}), zeta::Tensor(out, {1, 8, n, 64})});
#ifndef ZETA_ZETA_HPP
#define ZETA_ZETA_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zeta.h"

namespace zeta {
inline namespace wrapper { // names of its own: a program that links libzeta.a shares none with the library's inside

// Thrown for every status but ZETA_OK; what() is zeta_last_error().
class Error : public std::runtime_error {
public:
    explicit Error(zeta_status status) : std::runtime_error(zeta_last_error()), status_(status) {}
    zeta_status status() const noexcept { return status_; }
    const char *status_name() const noexcept { return zeta_status_name(status_); }

private:
    zeta_status status_;
};

// Throws Error unless `status` is ZETA_OK.
inline void check(zeta_status status) {
    if (status != ZETA_OK) throw Error(status);
}

// 16-bit floating-point numbers as they lie in memory; zeta does the arithmetic, these only name the type.
struct BFloat16 {
    std::uint16_t bits;
};
struct Float16 {
    std::uint16_t bits;
};

namespace detail {
template <class T> struct dtype_of; // undefined: not an element type of zeta
template <> struct dtype_of<float> : std::integral_constant<std::int32_t, ZETA_F32> {};
template <> struct dtype_of<BFloat16> : std::integral_constant<std::int32_t, ZETA_BF16> {};
template <> struct dtype_of<Float16> : std::integral_constant<std::int32_t, ZETA_F16> {};
template <> struct dtype_of<std::int32_t> : std::integral_constant<std::int32_t, ZETA_I32> {};
template <> struct dtype_of<std::uint64_t> : std::integral_constant<std::int32_t, ZETA_U64> {};
} // namespace detail

// A view of memory that the caller owns, or no tensor at all (default constructed: an optional argument not given).
// A view of const elements may only be passed as an input.
class Tensor {
public:
    Tensor() = default;
    explicit Tensor(const zeta_tensor &view) : view_(view), given_(true) {}

    // Contiguous.
    template <class T> Tensor(T *data, std::initializer_list<std::int64_t> shape) : given_(true) {
        using Element = std::remove_const_t<T>;
        view_ = zeta_tensor_contiguous(const_cast<Element *>(data), detail::dtype_of<Element>::value, rank_of(shape),
                                       shape.begin());
    }

    // With strides, in elements.
    template <class T>
    Tensor(T *data, std::initializer_list<std::int64_t> shape, std::initializer_list<std::int64_t> strides)
        : Tensor(data, shape) {
        if (strides.size() != shape.size()) throw std::invalid_argument("zeta::Tensor: as many strides as extents");
        std::size_t axis = 0;
        for (const std::int64_t stride : strides) {
            if (axis < ZETA_MAX_RANK) view_.stride[axis] = stride;
            ++axis;
        }
    }

    // The C view, or NULL if this is no tensor. Lives as long as *this.
    const zeta_tensor *get() const noexcept { return given_ ? &view_ : nullptr; }
    explicit operator bool() const noexcept { return given_; }

private:
    static std::int32_t rank_of(std::initializer_list<std::int64_t> shape) {
        return shape.size() > ZETA_MAX_RANK ? -1 : static_cast<std::int32_t>(shape.size());
    }

    zeta_tensor view_{};
    bool given_ = false;
};

// zeta_attention_params with its defaults.
struct Params : zeta_attention_params {
    Params() : zeta_attention_params() { zeta_attention_params_init(this); }
};

// zeta_context_params with its defaults.
struct ContextParams : zeta_context_params {
    ContextParams() : zeta_context_params() { zeta_context_params_init(this); }
};

// zeta_cache_params with its defaults.
struct CacheParams : zeta_cache_params {
    CacheParams() : zeta_cache_params() { zeta_cache_params_init(this); }
};

// What a backward call needs of the forward call.
using Saved = std::vector<std::byte>;

// Tensors of a forward call; see zeta_forward_args.
struct ForwardTensors {
    Tensor q, k, v, out;
    Tensor normaliser = {}, neighbours = {}; // optional
    Saved *saved = nullptr;                  // optional; resized to fit
};

// Tensors of a backward call; see zeta_backward_args. At least one of the gradients but grad_out is given.
struct BackwardTensors {
    Tensor q, k, v, grad_out;
    Tensor grad_q = {}, grad_k = {}, grad_v = {}, grad_gamma = {};
    const Saved *saved = nullptr;
};

// Tensors of a call of a cache; see zeta_cache_args. counts: NULL, or one number a sequence.
struct CacheTensors {
    Tensor q = {}, k = {}, v = {}, out = {};
    Tensor normaliser = {}, neighbours = {}; // optional
    const std::int64_t *counts = nullptr;
};

// A stage of the last forward or backward call and its wall time.
struct Stage {
    std::string name;
    double milliseconds;
};

class Context {
public:
    Context() { check(zeta_context_create(&context_, nullptr)); }
    explicit Context(const zeta_context_params &params) { check(zeta_context_create(&context_, &params)); }
    ~Context() { zeta_context_destroy(&context_); }
    Context(Context &&other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
    Context &operator=(Context &&other) noexcept {
        std::swap(context_, other.context_);
        return *this;
    }
    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;

    zeta_context *get() const noexcept { return context_; }
    int threads() const noexcept { return zeta_context_threads(context_); }
    const char *isa() const noexcept { return zeta_context_isa(context_); }

    void forward(const zeta_attention_params &params, const ForwardTensors &tensors) {
        zeta_forward_args args = forward_args(tensors);
        saving(params, tensors, args, [&] { return zeta_forward(context_, &params, &args); });
    }

    void backward(const zeta_attention_params &params, const BackwardTensors &tensors) {
        const zeta_backward_args args = backward_args(tensors);
        check(zeta_backward(context_, &params, &args));
    }

    // The control: all allowed keys. tensors.neighbours and tensors.saved must not be given.
    void dense_forward(const zeta_attention_params &params, const ForwardTensors &tensors) {
        zeta_forward_args args = forward_args(tensors);
        saving(params, tensors, args, [&] { return zeta_dense_forward(context_, &params, &args); });
    }

    // Attention over given neighbours.
    void attend_neighbours(const zeta_attention_params &params, const Tensor &neighbours,
                           const ForwardTensors &tensors) {
        zeta_forward_args args = forward_args(tensors);
        saving(params, tensors, args,
               [&] { return zeta_attend_neighbours(context_, &params, neighbours.get(), &args); });
    }

    void attend_neighbours_backward(const zeta_attention_params &params, const Tensor &neighbours,
                                    const BackwardTensors &tensors) {
        const zeta_backward_args args = backward_args(tensors);
        check(zeta_attend_neighbours_backward(context_, &params, neighbours.get(), &args));
    }

    // Neighbours, and their squared distances if a tensor for them is given.
    void select(const zeta_attention_params &params, const Tensor &q, const Tensor &k, const Tensor &neighbours,
                const Tensor &distances = {}) {
        check(zeta_select(context_, &params, q.get(), k.get(), neighbours.get(), distances.get()));
    }

    // The mean over heads; `per_head`, if given, gets one number a head.
    double recall(const zeta_attention_params &params, const Tensor &q, const Tensor &k,
                  std::vector<float> *per_head = nullptr) {
        double result = 0;
        if (per_head == nullptr || !q || q.get()->rank < 2 || q.get()->shape[1] <= 0) { // refused, or without heads
            check(zeta_recall(context_, &params, q.get(), k.get(), &result, nullptr));
            if (per_head != nullptr) per_head->clear();
            return result;
        }
        // More heads than memory can have are refused by the call, which is told of one number and writes none.
        const std::uint64_t count = static_cast<std::uint64_t>(q.get()->shape[1]);
        std::vector<float> heads;
        heads.resize(count > heads.max_size() ? 1 : static_cast<std::size_t>(count));
        check(zeta_recall(context_, &params, q.get(), k.get(), &result, heads.data()));
        *per_head = std::move(heads);
        return result;
    }

    // Morton codes of points; without a grid: squash with scale 1.
    void encode(const Tensor &x, const Tensor &codes, const zeta_grid *grid = nullptr) {
        check(zeta_codes_encode(context_, grid, x.get(), codes.get()));
    }
    void cells(const Tensor &x, const Tensor &cells, const zeta_grid *grid = nullptr) {
        check(zeta_codes_cells(context_, grid, x.get(), cells.get()));
    }
    void decode(const Tensor &codes, const Tensor &cells) {
        check(zeta_codes_decode(context_, codes.get(), cells.get()));
    }

    // Where the last forward or backward call spent its time.
    std::vector<Stage> stages() const {
        std::vector<Stage> result;
        for (std::int32_t i = 0; const char *name = zeta_stage_name(context_, i); ++i)
            result.push_back({name, zeta_stage_ms(context_, i)});
        return result;
    }

private:
    static zeta_forward_args forward_args(const ForwardTensors &tensors) {
        zeta_forward_args args;
        zeta_forward_args_init(&args);
        args.q = tensors.q.get();
        args.k = tensors.k.get();
        args.v = tensors.v.get();
        args.out = tensors.out.get();
        args.normaliser = tensors.normaliser.get();
        args.neighbours = tensors.neighbours.get();
        return args;
    }

    static zeta_backward_args backward_args(const BackwardTensors &tensors) {
        zeta_backward_args args;
        zeta_backward_args_init(&args);
        args.q = tensors.q.get();
        args.k = tensors.k.get();
        args.v = tensors.v.get();
        args.grad_out = tensors.grad_out.get();
        args.grad_q = tensors.grad_q.get();
        args.grad_k = tensors.grad_k.get();
        args.grad_v = tensors.grad_v.get();
        args.grad_gamma = tensors.grad_gamma.get();
        if (tensors.saved != nullptr) {
            args.saved = tensors.saved->data();
            args.saved_size = tensors.saved->size();
        }
        return args;
    }

    // Makes the call; what it saves, if that is wanted, takes the place of the caller's vector only if it succeeds.
    template <class Call>
    void saving(const zeta_attention_params &params, const ForwardTensors &tensors, zeta_forward_args &args,
                const Call &call) {
        if (tensors.saved == nullptr) return check(call());
        std::size_t size = 0;
        check(zeta_saved_size(context_, &params, &args, &size));
        const bool fits = tensors.saved->size() == size;
        Saved made(fits ? 0 : size);
        args.saved = fits ? tensors.saved->data() : made.data();
        args.saved_size = size;
        check(call());
        if (!fits) *tensors.saved = std::move(made);
    }

    zeta_context *context_ = nullptr;
};

// Decode, one token or many at a time; see cache.h. Arrays have one number a sequence.
class Cache {
public:
    Cache(const Context &context, const zeta_cache_params &params) : batches_(params.batches) {
        check(zeta_cache_create(&cache_, context.get(), &params));
    }
    ~Cache() { zeta_cache_destroy(&cache_); }
    Cache(Cache &&other) noexcept
        : cache_(std::exchange(other.cache_, nullptr)), batches_(std::exchange(other.batches_, -1)) {}
    Cache &operator=(Cache &&other) noexcept {
        std::swap(cache_, other.cache_);
        std::swap(batches_, other.batches_);
        return *this;
    }
    Cache(const Cache &) = delete;
    Cache &operator=(const Cache &) = delete;

    zeta_cache *get() const noexcept { return cache_; }
    std::int64_t batches() const noexcept { return batches_; }
    std::int64_t length(std::int64_t sequence = 0) const noexcept { return zeta_cache_length(cache_, sequence); }
    std::int64_t first(std::int64_t sequence = 0) const noexcept { return zeta_cache_first(cache_, sequence); }
    std::size_t bytes() const noexcept { return zeta_cache_bytes(cache_); }

    void append(const CacheTensors &tensors) { call(zeta_cache_append, tensors); }
    void attend(const CacheTensors &tensors) { call(zeta_cache_attend, tensors); }
    void step(const CacheTensors &tensors) { call(zeta_cache_step, tensors); }
    void prefill(const CacheTensors &tensors) { call(zeta_cache_prefill, tensors); }

    void truncate(const std::vector<std::int64_t> &lengths) {
        check(zeta_cache_truncate(cache_, counted(lengths, "truncate")));
    }
    void evict_before(const std::vector<std::int64_t> &positions) {
        check(zeta_cache_evict_before(cache_, counted(positions, "evict_before")));
    }
    void reset() { check(zeta_cache_reset(cache_)); }

    // All sequences; or those chosen, in that order.
    Cache fork() {
        Cache result(batches_);
        check(zeta_cache_fork(cache_, nullptr, 0, &result.cache_));
        return result;
    }
    Cache fork(const std::vector<std::int64_t> &sequences) {
        const std::int64_t none = 0; // no sequence is refused, not taken for all
        const std::int64_t *chosen = sequences.empty() ? &none : sequences.data();
        const auto count = static_cast<std::int64_t>(sequences.size());
        Cache result(count);
        check(zeta_cache_fork(cache_, chosen, count, &result.cache_));
        return result;
    }

    void save(const std::string &path) { check(zeta_cache_save(cache_, path.c_str())); }
    void load(const std::string &path) { check(zeta_cache_load(cache_, path.c_str())); }
    std::vector<std::byte> save() {
        std::size_t size = 0;
        check(zeta_cache_save_buffer(cache_, nullptr, &size));
        std::vector<std::byte> data(size);
        check(zeta_cache_save_buffer(cache_, data.data(), &size));
        data.resize(size);
        return data;
    }
    void load(const std::vector<std::byte> &data) {
        const std::byte none{}; // an empty file, not a missing one
        check(zeta_cache_load_buffer(cache_, data.empty() ? &none : data.data(), data.size()));
    }

private:
    explicit Cache(std::int64_t batches) : batches_(batches) {}

    void call(zeta_status (*function)(zeta_cache *, const zeta_cache_args *), const CacheTensors &tensors) {
        zeta_cache_args args;
        zeta_cache_args_init(&args);
        args.q = tensors.q.get();
        args.k = tensors.k.get();
        args.v = tensors.v.get();
        args.out = tensors.out.get();
        args.normaliser = tensors.normaliser.get();
        args.neighbours = tensors.neighbours.get();
        args.counts = tensors.counts;
        check(function(cache_, &args));
    }

    const std::int64_t *counted(const std::vector<std::int64_t> &numbers, const char *function) const {
        if (cache_ != nullptr && static_cast<std::int64_t>(numbers.size()) != batches_) // NULL: refused by the call
            throw std::invalid_argument(std::string("zeta::Cache::") + function + ": as many numbers as sequences");
        return numbers.data();
    }

    zeta_cache *cache_ = nullptr;
    std::int64_t batches_; // never changes, and so may be read while another thread's call is using the cache
};

} // namespace wrapper
} // namespace zeta

#endif
