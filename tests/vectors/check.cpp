// SPDX-License-Identifier: Apache-2.0
// Compares one instruction set with a shared vector: through the C API, and the sort, which it does not show, through
// its kernel. If a hash differs, the oracle is asked where.
#include <cmath>
#include <sstream>
#include <stdexcept>

#include <zeta/zeta.h>

#include "expect.hpp"
#include "kernels.hpp"

namespace vectors {
namespace {

// A tensor [B, heads, ...] and its memory.
template <class T> struct Tensor {
    std::vector<T> data;
    zeta_tensor view;

    Tensor(int32_t dtype, const std::vector<int64_t> &shape) {
        int64_t size = 1;
        for (const int64_t extent : shape) size *= extent;
        data.resize(static_cast<size_t>(size) + 1); // never NULL
        view = zeta_tensor_contiguous(data.data(), dtype, static_cast<int32_t>(shape.size()), shape.data());
    }
    Tensor(const Tensor &) = delete;
    Tensor &operator=(const Tensor &) = delete;
    std::vector<T> values() const { return {data.begin(), data.end() - 1}; }
};

// A tensor of a floating type, whose elements are read and written as bits.
struct Floats {
    int type;
    std::vector<uint32_t> wide;
    std::vector<uint16_t> narrow;
    zeta_tensor view;

    Floats(int dtype, const std::vector<int64_t> &shape, const std::vector<uint32_t> *words = nullptr) : type(dtype) {
        int64_t size = 1;
        for (const int64_t extent : shape) size *= extent;
        if (words != nullptr) size = static_cast<int64_t>(words->size());
        if (words != nullptr && type == 0) wide = *words;
        if (words != nullptr && type != 0) narrow.assign(words->begin(), words->end());
        wide.resize(type == 0 ? static_cast<size_t>(size) : 0);
        narrow.resize(type == 0 ? 0 : static_cast<size_t>(size));
        void *data = type == 0 ? static_cast<void *>(wide.data()) : narrow.data();
        view = zeta_tensor_contiguous(data,
                                      type == 0   ? ZETA_F32
                                      : type == 1 ? ZETA_BF16
                                                  : ZETA_F16,
                                      static_cast<int32_t>(shape.size()), shape.data());
    }
    Floats(const Floats &) = delete;
    Floats &operator=(const Floats &) = delete;
    std::vector<float> values() const {
        Input input;
        input.words = type == 0 ? wide : std::vector<uint32_t>(narrow.begin(), narrow.end());
        return input.floats(type);
    }
};

void demand(zeta_status status, const char *call) {
    if (status != ZETA_OK) throw std::runtime_error(std::string(call) + ": " + zeta_last_error());
}

zeta_grid c_grid(const Vector &vector) {
    zeta_grid grid{};
    grid.kind = vector.grid.range ? ZETA_GRID_RANGE : ZETA_GRID_SQUASH;
    grid.heads = vector.grid.per_head ? static_cast<int32_t>(vector.shape.key_heads) : 0;
    grid.scale = vector.grid.scale.data();
    grid.lo = vector.grid.lo.data();
    grid.hi = vector.grid.hi.data();
    return grid;
}

zeta_attention_params c_params(const Vector &vector, const Selection &selection) {
    const oracle::Options &o = selection.options;
    zeta_attention_params params;
    zeta_attention_params_init(&params);
    params.neighbours = static_cast<int32_t>(o.neighbours);
    params.window = static_cast<int32_t>(o.window);
    params.select = o.exact ? ZETA_SELECT_EXACT : ZETA_SELECT_WINDOW;
    params.score = static_cast<int32_t>(o.score);
    params.causal = o.causal ? 1 : 0;
    params.mean = o.mean ? 1 : 0;
    params.chunk = o.chunk;
    params.local = o.local;
    params.first = o.first;
    params.gamma = o.gamma.data();
    params.gamma_count = 1;
    params.grid = c_grid(vector);
    return params;
}

// Where two lists differ, for people.
template <class T> std::string where(const char *what, const std::vector<T> &got, const std::vector<T> &expected) {
    size_t at = 0;
    while (at < got.size() && at < expected.size() && got[at] == expected[at]) ++at;
    if (at == expected.size()) return std::string(what) + ": the file itself is not what the oracle says";
    return std::string(what) + '[' + std::to_string(at) + "] is " + std::to_string(got[at]) + ", not " +
           std::to_string(expected[at]);
}

class Checker {
public:
    Checker(const Vector &vector, const char *isa, int threads)
        : vector_(vector),
          s_(vector.shape), q_shape_{s_.batches, s_.heads, s_.queries, s_.dk}, k_shape_{s_.batches, s_.key_heads,
                                                                                        s_.keys, s_.dk},
          v_shape_{s_.batches, s_.key_heads, s_.keys, s_.dv}, out_shape_{s_.batches, s_.heads, s_.queries, s_.dv},
          q_(vector.qk_type, q_shape_, &vector.q.words), k_(vector.qk_type, k_shape_, &vector.k.words),
          v_(vector.v_type, v_shape_, &vector.v.words) {
        zeta_context_params params;
        zeta_context_params_init(&params);
        params.isa = isa;
        params.threads = threads;
        demand(zeta_context_create(&context_, &params), "zeta_context_create");
    }
    ~Checker() { zeta_context_destroy(&context_); }
    Checker(const Checker &) = delete;
    Checker &operator=(const Checker &) = delete;

    std::string codes_and_order(const char *isa) {
        const zeta_grid grid = c_grid(vector_);
        Tensor<uint64_t> q_codes(ZETA_U64, {s_.batches, s_.heads, s_.queries});
        Tensor<uint64_t> k_codes(ZETA_U64, {s_.batches, s_.key_heads, s_.keys});
        demand(zeta_codes_encode(context_, &grid, &q_.view, &q_codes.view), "zeta_codes_encode");
        demand(zeta_codes_encode(context_, &grid, &k_.view, &k_codes.view), "zeta_codes_encode");
        if (hash_of(q_codes.values()) != vector_.q_codes)
            return where("q_codes", q_codes.values(), codes(vector_, false));
        if (hash_of(k_codes.values()) != vector_.k_codes)
            return where("k_codes", k_codes.values(), codes(vector_, true));
        zeta::simd::Isa set{};
        if (!zeta::simd::isa_from_name(isa, &set)) return "an instruction set without a name";
        std::vector<uint64_t> sorted;
        for (int64_t head = 0; head < s_.batches * s_.key_heads; ++head) {
            std::vector<uint64_t> words;
            for (int64_t j = 0; j < s_.keys; ++j)
                words.push_back(k_codes.data[static_cast<size_t>(head * s_.keys + j)] << 24 | static_cast<uint64_t>(j));
            zeta::simd::kernels(set).sort_words(words.data(), words.size());
            for (const uint64_t word : words) sorted.push_back(word & 0xFFFFFF);
        }
        return hash_of(sorted) == vector_.k_order ? "" : where("k_order", sorted, order(vector_));
    }

    std::string select(const Selection &selection) {
        const zeta_attention_params params = c_params(vector_, selection);
        const std::vector<int64_t> slots{s_.batches, s_.heads, s_.queries, selection.options.neighbours};
        Tensor<int32_t> ids(ZETA_I32, slots);
        Floats d(0, slots);
        demand(zeta_select(context_, &params, &q_.view, &k_.view, &ids.view, &d.view), "zeta_select");
        for (uint32_t &bits : d.wide) {
            if (std::isnan(float_of(bits))) bits = kNaNBits;
        }
        if (hash_of(ids.values()) != selection.neighbours)
            return where("neighbours", ids.values(), neighbours(vector_, selection));
        return hash_of(d.wide) == selection.distances ? "" : where("distances", d.wide, distances(vector_, selection));
    }

    std::string attend(const Selection &selection) {
        const zeta_attention_params params = c_params(vector_, selection);
        Floats out(vector_.v_type, out_shape_), normaliser(0, {s_.batches, s_.heads, s_.queries});
        Tensor<int32_t> ids(ZETA_I32, {s_.batches, s_.heads, s_.queries, selection.options.neighbours});
        zeta_forward_args args;
        zeta_forward_args_init(&args);
        args.q = &q_.view;
        args.k = &k_.view;
        args.v = &v_.view;
        args.out = &out.view;
        args.normaliser = &normaliser.view;
        args.neighbours = &ids.view;
        demand(zeta_saved_size(context_, &params, &args, &args.saved_size), "zeta_saved_size");
        std::vector<uint64_t> saved(args.saved_size / 8 + 1);
        args.saved = saved.data();
        demand(zeta_forward(context_, &params, &args), "zeta_forward");
        if (hash_of(ids.values()) != selection.neighbours)
            return where("neighbours of zeta_forward", ids.values(), neighbours(vector_, selection));
        std::string message = compare(selection, "out", out);
        if (message.empty()) message = compare(selection, "normaliser", normaliser);
        if (message.empty() && !vector_.grad_out.words.empty()) message = backward(selection, args);
        return message;
    }

private:
    std::string compare(const Selection &selection, const char *what, const Floats &got) {
        const auto found = selection.values.find(what);
        if (found == selection.values.end()) return "";
        const std::vector<float> values = got.values();
        if (values.size() != found->second.size()) return std::string(what) + " has another size";
        for (size_t at = 0; at < values.size(); ++at) {
            const Expected &expected = found->second[at];
            if (!expected.allows(values[at])) {
                std::ostringstream text;
                text << what << '[' << at << "] is " << values[at] << ", not " << expected.value << " +- "
                     << expected.tolerance;
                return text.str();
            }
        }
        return "";
    }

    std::string backward(const Selection &selection, const zeta_forward_args &forward) {
        const zeta_attention_params params = c_params(vector_, selection);
        const Floats grad_out(vector_.v_type, out_shape_, &vector_.grad_out.words);
        Floats grad_q(vector_.qk_type, q_shape_), grad_k(vector_.qk_type, k_shape_), grad_v(vector_.v_type, v_shape_);
        Floats grad_gamma(0, {s_.heads});
        zeta_backward_args args;
        zeta_backward_args_init(&args);
        args.q = &q_.view;
        args.k = &k_.view;
        args.v = &v_.view;
        args.grad_out = &grad_out.view;
        args.grad_q = &grad_q.view;
        args.grad_k = &grad_k.view;
        args.grad_v = &grad_v.view;
        args.grad_gamma = &grad_gamma.view;
        args.saved = forward.saved;
        args.saved_size = forward.saved_size;
        demand(zeta_backward(context_, &params, &args), "zeta_backward");
        std::string message = compare(selection, "grad_q", grad_q);
        if (message.empty()) message = compare(selection, "grad_k", grad_k);
        if (message.empty()) message = compare(selection, "grad_v", grad_v);
        return message.empty() ? compare(selection, "grad_gamma", grad_gamma) : message;
    }

    const Vector &vector_;
    const oracle::Shape &s_;
    std::vector<int64_t> q_shape_, k_shape_, v_shape_, out_shape_;
    Floats q_, k_, v_;
    zeta_context *context_ = nullptr;
};

} // namespace

std::string check(const Vector &vector, const char *isa, int threads) {
    Checker checker(vector, isa, threads);
    std::string message = checker.codes_and_order(isa);
    size_t number = 0;
    for (const Selection &selection : vector.selections) {
        if (message.empty()) message = checker.select(selection);
        if (message.empty()) message = checker.attend(selection);
        if (!message.empty()) return "selection " + std::to_string(number) + ": " + message;
        ++number;
    }
    return message;
}

} // namespace vectors
