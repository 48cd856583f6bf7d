// SPDX-License-Identifier: Apache-2.0
// Promise 6: a call that is refused writes nothing, neither outputs nor saved; and says which argument is wrong.
#include <doctest/doctest.h>

#include <functional>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

// A good call of zeta_forward for mistakes to be made in.
struct Call {
    Case problem = plain_case(1, 2, 12, 3, 4, 1);
    Random random{1};
    Buffer q{ZETA_F32, q_shape(problem.shape), Place::scattered, random, &problem.q};
    Buffer k{ZETA_F32, k_shape(problem.shape), Place::scattered, random, &problem.k};
    Buffer v{ZETA_F32, v_shape(problem.shape), Place::scattered, random, &problem.v};
    Buffer out{ZETA_F32, out_shape(problem.shape), Place::scattered, random};
    Buffer normaliser{ZETA_F32, row_shape(problem.shape), Place::scattered, random};
    Buffer neighbours{ZETA_I32, slot_shape(problem.shape, 32), Place::scattered, random};
    std::vector<unsigned char> saved = std::vector<unsigned char>(1 << 16, 0x77);
    zeta_attention_params params{};
    zeta_forward_args args{};

    Call() {
        zeta_attention_params_init(&params);
        zeta_forward_args_init(&args);
        args.q = q.view(), args.k = k.view(), args.v = v.view(), args.out = out.view();
        args.normaliser = normaliser.view(), args.neighbours = neighbours.view();
        args.saved = saved.data(), args.saved_size = saved.size();
    }
    bool untouched() const {
        for (const unsigned char byte : saved) {
            if (byte != 0x77) return false;
        }
        return out.untouched() && normaliser.untouched() && neighbours.untouched() && q.unchanged() && k.unchanged() &&
               v.unchanged();
    }
};

struct Mistake {
    const char *what;
    zeta_status status;
    std::function<void(Call &)> make;
};

const float kBadGamma[] = {0, 1};
const float kTinyGamma = 1e-30f;
const float kZero = 0;
const int64_t kLengths[] = {5, 6};
const int64_t kLongQuery[] = {6, 6};
const int64_t kShortKeys[] = {5, 7};

const Mistake kMistakes[] = {
    {"q null", ZETA_ERROR_ARGUMENT, [](Call &c) { c.args.q = nullptr; }},
    {"q data null", ZETA_ERROR_ARGUMENT, [](Call &c) { c.q.view()->data = nullptr; }},
    {"q misaligned", ZETA_ERROR_ARGUMENT,
     [](Call &c) { c.q.view()->data = static_cast<unsigned char *>(c.q.view()->data) + 1; }},
    {"out null", ZETA_ERROR_ARGUMENT, [](Call &c) { c.args.out = nullptr; }},
    {"negative shape", ZETA_ERROR_SHAPE, [](Call &c) { c.k.view()->shape[2] = -1; }},
    {"overflowing shape", ZETA_ERROR_SHAPE, [](Call &c) { c.q.view()->shape[0] = int64_t{1} << 62; }},
    {"dk mismatch", ZETA_ERROR_SHAPE, [](Call &c) { c.k.view()->shape[3] = 2; }},
    {"rank", ZETA_ERROR_SHAPE, [](Call &c) { c.q.view()->rank = 3; }},
    {"M < N causal", ZETA_ERROR_SHAPE, [](Call &c) { c.k.view()->shape[2] = c.v.view()->shape[2] = 11; }},
    {"H not a multiple of G", ZETA_ERROR_SHAPE, [](Call &c) { c.k.view()->shape[1] = c.v.view()->shape[1] = 3; }},
    {"neighbours of another K", ZETA_ERROR_SHAPE, [](Call &c) { c.params.neighbours = 31; }},
    {"last stride", ZETA_ERROR_STRIDE, [](Call &c) { c.v.view()->stride[3] = 2; }},
    {"negative stride", ZETA_ERROR_STRIDE, [](Call &c) { c.k.view()->stride[2] = -3; }},
    {"zero stride of an output", ZETA_ERROR_STRIDE, [](Call &c) { c.out.view()->stride[2] = 0; }},
    {"q of integers", ZETA_ERROR_DTYPE, [](Call &c) { c.q.view()->dtype = ZETA_I32; }},
    {"out of another type", ZETA_ERROR_DTYPE, [](Call &c) { c.out.view()->dtype = ZETA_BF16; }},
    {"k of another type", ZETA_ERROR_DTYPE, [](Call &c) { c.k.view()->dtype = ZETA_F16; }},
    {"device", ZETA_ERROR_DEVICE, [](Call &c) { c.q.view()->device = ZETA_CUDA; }},
    {"out over q", ZETA_ERROR_OVERLAP,
     [](Call &c) {
         const int64_t shape[] = {1, 2, 12, 4};
         *c.out.view() = zeta_tensor_contiguous(c.q.view()->data, ZETA_F32, 4, shape);
     }},
    {"normaliser over out", ZETA_ERROR_OVERLAP, [](Call &c) { c.normaliser.view()->data = c.out.view()->data; }},
    {"K = 0", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.neighbours = 0; }},
    {"K = 1025", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.neighbours = 1025; }},
    {"W < K", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.window = 31; }},
    {"W too large", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.window = 65537; }},
    {"select", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.select = 2; }},
    {"score", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.score = 5; }},
    {"causal", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.causal = 2; }},
    {"mean", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.mean = 3; }},
    {"chunk", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.chunk = 0; }},
    {"local", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.local = (1 << 24) + 1; }},
    {"local when not causal", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.causal = 0, c.params.local = 1; }},
    {"first", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.first = -1; }},
    {"gamma 0", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.gamma = kBadGamma, c.params.gamma_count = 2; }},
    {"gamma too small", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.gamma = &kTinyGamma, c.params.gamma_count = 1; }},
    {"gamma count", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.gamma = kBadGamma + 1, c.params.gamma_count = 3; }},
    {"grid kind", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.grid.kind = 2; }},
    {"grid scale", ZETA_ERROR_ARGUMENT, [](Call &c) { c.params.grid.scale = &kZero; }},
    {"grid lo = hi", ZETA_ERROR_ARGUMENT,
     [](Call &c) { c.params.grid.kind = ZETA_GRID_RANGE, c.params.grid.lo = c.params.grid.hi = &kZero; }},
    {"lengths that do not add up", ZETA_ERROR_SHAPE,
     [](Call &c) { c.params.sequences = 2, c.params.q_lengths = kLengths; }},
    {"fewer keys than queries in a sequence", ZETA_ERROR_SHAPE,
     [](Call &c) { c.params.sequences = 2, c.params.q_lengths = kLongQuery, c.params.k_lengths = kShortKeys; }},
    {"struct_size of params", ZETA_ERROR_STRUCT_SIZE, [](Call &c) { c.params.struct_size = 7; }},
    {"struct_size of args", ZETA_ERROR_STRUCT_SIZE, [](Call &c) { c.args.struct_size = 0; }},
    {"saved too small", ZETA_ERROR_SCRATCH, [](Call &c) { c.args.saved_size = 3; }},
};

} // namespace

TEST_CASE("refused: each mistake has its status and a sentence, and nothing is written") {
    const Context context = make_context(nullptr, 1);
    for (const Mistake &mistake : kMistakes) {
        Call call;
        mistake.make(call);
        INFO(mistake.what);
        CHECK(std::string(zeta_status_name(zeta_forward(context.get(), &call.params, &call.args))) ==
              zeta_status_name(mistake.status));
        CHECK(std::string(zeta_last_error()) != "");
        CHECK(call.untouched());
    }
}

TEST_CASE("refused: the call without a mistake is accepted") {
    const Context context = make_context(nullptr, 1);
    Call call;
    CHECK(zeta_forward(context.get(), &call.params, &call.args) == ZETA_OK);
    CHECK_FALSE(call.out.untouched());
}

TEST_CASE("cancelled: the callback stops a call, and the context serves the next") {
    const Context context = make_context(nullptr, 2);
    const Case problem = plain_case(1, 4, 5000, 3, 8, 1);
    Random random(1);
    const Buffer q(ZETA_F32, q_shape(problem.shape), Place::plain, random, &problem.q);
    const Buffer k(ZETA_F32, k_shape(problem.shape), Place::plain, random, &problem.k);
    const Buffer v(ZETA_F32, v_shape(problem.shape), Place::plain, random, &problem.v);
    const Buffer out(ZETA_F32, out_shape(problem.shape), Place::plain, random);
    zeta_attention_params params;
    zeta_attention_params_init(&params);
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = q.view(), args.k = k.view(), args.v = v.view(), args.out = out.view();
    params.progress = [](void *, double) { return 1; };
    CHECK(zeta_forward(context.get(), &params, &args) == ZETA_ERROR_CANCELLED);
    CHECK(out.gaps_intact());
    double last = 0;
    params.progress_user = &last;
    params.progress = [](void *user, double fraction) {
        *static_cast<double *>(user) = fraction;
        return fraction >= 0 && fraction <= 1 ? 0 : 1;
    };
    CHECK(zeta_forward(context.get(), &params, &args) == ZETA_OK);
    CHECK(last > 0);
    CHECK(same_bits(out.floats(), run(context.get(), problem).out));
}

TEST_CASE("cancelled: backward stops as well, and then serves") {
    const Context context = make_context(nullptr, 3);
    for (const int64_t heads : {1, 4}) { // all threads at one head, or one at each
        CAPTURE(heads);
        const Case problem = plain_case(1, heads, 5000, 3, 8, 1);
        const Result expected = run(context.get(), problem);
        Random random(1);
        const Buffer q(ZETA_F32, q_shape(problem.shape), Place::plain, random, &problem.q);
        const Buffer k(ZETA_F32, k_shape(problem.shape), Place::plain, random, &problem.k);
        const Buffer v(ZETA_F32, v_shape(problem.shape), Place::plain, random, &problem.v);
        const Buffer grad_out(ZETA_F32, out_shape(problem.shape), Place::plain, random, &problem.grad_out);
        const Buffer out(ZETA_F32, out_shape(problem.shape), Place::plain, random);
        const Buffer grad_k(ZETA_F32, k_shape(problem.shape), Place::plain, random);
        zeta_attention_params params;
        zeta_attention_params_init(&params);
        zeta_forward_args forward;
        zeta_forward_args_init(&forward);
        forward.q = q.view(), forward.k = k.view(), forward.v = v.view(), forward.out = out.view();
        REQUIRE(zeta_saved_size(context.get(), &params, &forward, &forward.saved_size) == ZETA_OK);
        std::vector<uint64_t> saved(forward.saved_size / 8 + 1);
        forward.saved = saved.data();
        REQUIRE(zeta_forward(context.get(), &params, &forward) == ZETA_OK);
        zeta_backward_args args;
        zeta_backward_args_init(&args);
        args.q = q.view(), args.k = k.view(), args.v = v.view();
        args.grad_out = grad_out.view(), args.grad_k = grad_k.view();
        args.saved = saved.data(), args.saved_size = forward.saved_size;
        double last = 0;
        params.progress_user = &last;
        params.progress = [](void *user, double fraction) {
            *static_cast<double *>(user) = fraction;
            return fraction >= 0.3 ? 1 : 0;
        };
        CHECK(zeta_backward(context.get(), &params, &args) == ZETA_ERROR_CANCELLED);
        CHECK(grad_k.gaps_intact());
        CHECK(last >= 0.3);
        CHECK(last < 0.9);
        params.progress = [](void *user, double fraction) {
            *static_cast<double *>(user) = fraction;
            return 0;
        };
        CHECK(zeta_backward(context.get(), &params, &args) == ZETA_OK);
        CHECK(last == 1.0);
        CHECK(same_bits(grad_k.floats(), expected.grad_k));
    }
}
