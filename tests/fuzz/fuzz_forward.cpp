// SPDX-License-Identifier: Apache-2.0
// Descriptors, options and values of the fuzzer's choice through the C API, on every instruction set present: each must
// refuse what plain C++ refuses, select the same neighbours bit for bit, and give values within twice the promised
// tolerance of each other where one is promised. Backward runs on what forward took.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "zeta/zeta.h"

namespace {

using fuzz::Bytes;

constexpr float kModest = 1e6f; // magnitudes for which accuracy is promised without further conditions

[[noreturn]] void defect(const char *isa, const char *what) {
    std::fprintf(stderr, "fuzz_forward, %s: %s; last error: %s\n", isa, what, zeta_last_error());
    std::abort();
}

struct Target {
    std::string isa;
    zeta_context *context = nullptr;
};

// Plain C++ first.
std::vector<Target> make_targets() {
    std::vector<Target> targets;
    for (int32_t i = 0; zeta_isa_present(i) != nullptr; ++i) targets.push_back({zeta_isa_present(i), nullptr});
    std::reverse(targets.begin(), targets.end());
    for (size_t i = 0; i < targets.size(); ++i) {
        zeta_context_params params;
        zeta_context_params_init(&params);
        params.isa = targets[i].isa.c_str();
        params.threads = i + 1 == targets.size() ? 2 : 1;
        if (zeta_context_create(&targets[i].context, &params) != ZETA_OK) defect(params.isa, "no context");
    }
    return targets;
}

// A tensor of any of the types, with gaps between rows, and its memory.
struct Tensor {
    zeta_tensor view{};
    std::vector<uint8_t> memory;

    Tensor(Bytes &bytes, int32_t dtype, std::vector<int64_t> shape) {
        const auto rank = int32_t(shape.size());
        view = zeta_tensor_contiguous(nullptr, dtype, rank, shape.data());
        int64_t extent = 1;
        for (int32_t axis = rank; axis-- > 0;) {
            view.stride[axis] = extent + (axis + 1 < rank ? bytes.choose(3) : 0);
            extent = view.stride[axis] * std::max<int64_t>(shape[size_t(axis)], 1);
        }
        memory.resize(size_t(extent) * zeta_dtype_size(dtype));
        view.data = memory.data();
    }
    // One field becomes something that is mostly refused; strides never reach further than the memory does.
    void spoil(Bytes &bytes) {
        const int64_t numbers[] = {-1, 0, 1, 7, INT64_MIN, INT64_MAX};
        const auto axis = size_t(bytes.choose(ZETA_MAX_RANK));
        switch (bytes.choose(7)) {
        case 0:
            view.rank = bytes.raw<int32_t>();
            break;
        case 1:
            view.dtype = bytes.raw<int32_t>();
            break;
        case 2:
            view.device = bytes.byte();
            break;
        case 3:
            view.reserved = bytes.byte();
            break;
        case 4:
            view.shape[axis] = numbers[bytes.choose(6)];
            break;
        case 5:
            view.stride[axis] = std::min<int64_t>(numbers[bytes.choose(5)], 0);
            break;
        default:
            view.data = bytes.byte() % 2 == 0 ? nullptr : static_cast<uint8_t *>(view.data) + 1;
            break;
        }
    }
    // Numbers that hurt, and plain ones. Returns the largest magnitude, infinite for NaN.
    float fill(Bytes &bytes) {
        static constexpr uint32_t kSpecial[] = {0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                                0x7fc00000, 0x7f7fffff, 0xff7fffff, 0x00000001, 0x00800000, 0x3f7fffff};
        const int64_t kind = bytes.choose(4);
        uint32_t state = bytes.raw<uint32_t>() | 1;
        float most = 0;
        const size_t size = zeta_dtype_size(view.dtype), count = size == 0 ? 0 : memory.size() / size;
        for (size_t i = 0; i < count; ++i) {
            state = state * 1664525u + 1013904223u;
            float x = float(int32_t(state)) * 0x1p-31f;
            if (kind == 1) x = float(int32_t(state >> 30)); // few distinct
            if (kind == 2) x = float(i) / float(count);     // drifting
            const bool special = kind == 3 && state >> 24 < 64;
            uint32_t bits;
            std::memcpy(&bits, &x, sizeof bits);
            if (special) bits = kSpecial[(state >> 8) % std::size(kSpecial)];
            uint16_t half = uint16_t(bits >> 16);
            if (view.dtype == ZETA_F16) half = uint16_t(0x3800 + (state >> 22)); // 0.5 to 1
            if (view.dtype == ZETA_F16 && special) half = uint16_t(state >> 8);
            if (size == 2)
                std::memcpy(memory.data() + 2 * i, &half, 2);
            else
                std::memcpy(memory.data() + 4 * i, &bits, 4);
            if (special) most = HUGE_VALF;
            most = std::max(most, std::fabs(x));
        }
        return most;
    }
};

float element(const Tensor &tensor, size_t i) {
    if (tensor.view.dtype == ZETA_F32) {
        float x;
        std::memcpy(&x, tensor.memory.data() + 4 * i, 4);
        return x;
    }
    uint16_t half;
    std::memcpy(&half, tensor.memory.data() + 2 * i, 2);
    if (tensor.view.dtype == ZETA_BF16) {
        const uint32_t bits = uint32_t(half) << 16;
        float x;
        std::memcpy(&x, &bits, 4);
        return x;
    }
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const float magnitude = exponent == 31  ? (mantissa != 0 ? NAN : HUGE_VALF)
                            : exponent == 0 ? std::ldexp(float(mantissa), -24)
                                            : std::ldexp(float(mantissa + 1024), exponent - 25);
    return half >> 15 ? -magnitude : magnitude;
}

struct Options {
    zeta_attention_params params;
    std::vector<float> gamma, grid;
    std::vector<int64_t> lengths;

    Options(Bytes &bytes, int64_t heads, int64_t key_heads, int64_t dk, int64_t n) {
        zeta_attention_params_init(&params);
        params.neighbours = int32_t(1 + bytes.choose(40));
        params.window = bytes.choose(3) == 0 ? params.neighbours + int32_t(bytes.choose(100)) : 0;
        params.select = int32_t(bytes.choose(2));
        params.score = int32_t(bytes.choose(5));
        params.causal = int32_t(bytes.choose(4) != 3);
        params.mean = int32_t(bytes.choose(3)) - 1;
        params.chunk = 1 + bytes.choose(9);
        params.local = bytes.choose(3) == 0 && params.causal ? int64_t{bytes.byte()} : int64_t{ZETA_DEFAULT};
        params.first = bytes.choose(3) == 0 ? bytes.choose(30) : 0;
        if (bytes.choose(3) == 0) {
            gamma.assign(size_t(bytes.choose(2) == 0 ? 1 : heads), 0.5f + float(bytes.choose(100)) / 16);
            params.gamma = gamma.data();
            params.gamma_count = int64_t(gamma.size());
        }
        if (bytes.choose(3) == 0) {
            const bool each = bytes.choose(2) != 0;
            params.grid.kind = ZETA_GRID_SQUASH;
            params.grid.heads = each ? int32_t(key_heads) : 0;
            grid.assign(size_t(each ? key_heads * dk : 1), 0.25f + float(bytes.choose(100)) / 32);
            params.grid.scale = grid.data();
        }
        if (bytes.choose(6) == 5) {
            const int64_t cut = n == 0 ? 0 : bytes.byte() % (n + 1);
            lengths = {cut, 0, n - cut};
            params.sequences = 3;
            params.q_lengths = lengths.data();
        }
        if (bytes.rarely()) params.struct_size = bytes.byte();
        if (bytes.rarely()) params.neighbours = bytes.raw<int32_t>();
        if (bytes.rarely()) params.window = bytes.raw<int32_t>();
        if (bytes.rarely()) params.chunk = bytes.raw<int64_t>();
        if (bytes.rarely()) params.local = bytes.raw<int64_t>();
        if (bytes.rarely()) params.first = bytes.raw<int64_t>();
        if (bytes.rarely()) params.score = bytes.raw<int32_t>();
        if (bytes.rarely() && !gamma.empty()) gamma[0] = bytes.raw<float>();
        if (bytes.rarely() && !grid.empty()) grid[0] = bytes.raw<float>();
        if (bytes.rarely() && !lengths.empty()) lengths[1] = bytes.raw<int64_t>();
    }
};

struct Case {
    explicit Case(Bytes &bytes)
        : batches(bytes.choose(8) == 7 ? 2 : 1), key_heads(1 + bytes.choose(2)),
          heads(key_heads * (1 + bytes.choose(2))), n(bytes.choose(70)),
          m(n + (bytes.choose(3) == 0 ? bytes.choose(30) : 0)), dk(bytes.choose(12) == 11 ? 32 : 1 + bytes.choose(5)),
          dv(1 + bytes.choose(20)), q(bytes, int32_t(bytes.choose(3)), {batches, heads, n, dk}),
          k(bytes, q.view.dtype, {batches, key_heads, m, dk}),
          v(bytes, int32_t(bytes.choose(3)), {batches, key_heads, m, dv}), options(bytes, heads, key_heads, dk, n) {
        most_value = v.fill(bytes);
        modest = q.fill(bytes) <= kModest && k.fill(bytes) <= kModest && most_value <= kModest;
        for (Tensor *tensor : {&q, &k, &v})
            if (bytes.rarely()) tensor->spoil(bytes);
    }
    int64_t batches, key_heads, heads, n, m, dk, dv;
    Tensor q, k, v;
    Options options;
    float most_value = 0;
    bool modest = false;
};

struct Answer {
    zeta_status status = ZETA_OK;
    std::unique_ptr<Tensor> out, neighbours;
};

Answer answer(const Case &c, const Target &target) {
    Bytes none(nullptr, 0);
    Answer a;
    a.out = std::make_unique<Tensor>(none, c.v.view.dtype, std::vector<int64_t>{c.batches, c.heads, c.n, c.dv});
    const int64_t slots = std::min<int64_t>(std::max(c.options.params.neighbours, 1), ZETA_MAX_NEIGHBOURS);
    a.neighbours = std::make_unique<Tensor>(none, ZETA_I32, std::vector<int64_t>{c.batches, c.heads, c.n, slots});
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = &c.q.view;
    args.k = &c.k.view;
    args.v = &c.v.view;
    args.out = &a.out->view;
    args.neighbours = &a.neighbours->view;
    size_t saved_size = 0;
    std::vector<uint32_t> saved;
    if (zeta_saved_size(target.context, &c.options.params, &args, &saved_size) == ZETA_OK) {
        saved.resize(saved_size / sizeof(uint32_t) + 1);
        args.saved = saved.data();
        args.saved_size = saved_size;
    }
    a.status = zeta_forward(target.context, &c.options.params, &args);
    if (a.status == ZETA_ERROR_INTERNAL || a.status == ZETA_ERROR_MEMORY)
        defect(target.isa.c_str(), "internal or memory");
    if (a.status != ZETA_OK) return a;
    Tensor grad_q(none, c.q.view.dtype, {c.batches, c.heads, c.n, c.dk});
    Tensor grad_k(none, c.k.view.dtype, {c.batches, c.key_heads, c.m, c.dk});
    Tensor grad_v(none, c.v.view.dtype, {c.batches, c.key_heads, c.m, c.dv});
    zeta_backward_args back;
    zeta_backward_args_init(&back);
    back.q = args.q;
    back.k = args.k;
    back.v = args.v;
    back.grad_out = args.out;
    back.grad_q = &grad_q.view;
    back.grad_k = &grad_k.view;
    back.grad_v = &grad_v.view;
    back.saved = args.saved;
    back.saved_size = args.saved_size;
    if (zeta_backward(target.context, &c.options.params, &back) != ZETA_OK)
        defect(target.isa.c_str(), "backward refuses");
    return a;
}

void compare(const Case &c, const Answer &plain, const Answer &other, const char *isa) {
    if (plain.status != other.status) defect(isa, "another status than plain C++");
    if (plain.status != ZETA_OK) return;
    if (plain.neighbours->memory != other.neighbours->memory) defect(isa, "other neighbours than plain C++");
    if (!c.modest) return;
    const int32_t type = c.v.view.dtype;
    const float tolerance = 2 * c.most_value * (type == ZETA_F32 ? 1e-6f : type == ZETA_F16 ? 1e-3f : 8e-3f) + 1e-30f;
    for (size_t i = 0; i < size_t(c.batches * c.heads * c.n * c.dv); ++i)
        if (!(std::fabs(element(*plain.out, i) - element(*other.out, i)) <= tolerance))
            defect(isa, "a value too far from plain C++'s");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const auto &targets = *new std::vector<Target>(make_targets()); // to the end of the process
    Bytes bytes(data, size);
    const Case c(bytes);
    const Answer plain = answer(c, targets[0]);
    for (size_t i = 1; i < targets.size(); ++i) compare(c, plain, answer(c, targets[i]), targets[i].isa.c_str());
    return 0;
}
