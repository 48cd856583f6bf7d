// SPDX-License-Identifier: Apache-2.0
// zeta.hpp: each of its calls once, its exceptions, moves and optional tensors.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "zeta/zeta.hpp"

namespace {

constexpr std::int64_t H = 2, N = 40, DK = 3, DV = 4, K = 6;

std::vector<float> numbers(std::int64_t count, unsigned seed) {
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float &x : result) x = static_cast<float>((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
    return result;
}

struct Data {
    const std::vector<float> q = numbers(H * N * DK, 1), k = numbers(H * N * DK, 2), v = numbers(H * N * DV, 3);
    std::vector<float> out = std::vector<float>(H * N * DV), grad_q = std::vector<float>(H * N * DK);
    std::vector<std::int32_t> neighbours = std::vector<std::int32_t>(H * N * K);
    zeta::Params params;

    Data() { params.neighbours = K; }
    zeta::Tensor queries() const { return {q.data(), {1, H, N, DK}}; }
    zeta::Tensor keys() const { return {k.data(), {1, H, N, DK}}; }
    zeta::Tensor values() const { return {v.data(), {1, H, N, DV}}; }
    zeta::Tensor output() { return {out.data(), {1, H, N, DV}}; }
    zeta::Tensor slots() { return {neighbours.data(), {1, H, N, K}}; }
};

} // namespace

TEST_CASE("a forward and a backward call") {
    Data data;
    zeta::Context context;
    CHECK(context.threads() >= 1);
    CHECK(context.isa() != nullptr);
    zeta::Saved saved;
    context.forward(data.params, {data.queries(), data.keys(), data.values(), data.output(), {}, data.slots(), &saved});
    CHECK_FALSE(context.stages().empty());
    context.backward(data.params, {data.queries(),
                                   data.keys(),
                                   data.values(),
                                   data.values(),
                                   zeta::Tensor(data.grad_q.data(), {1, H, N, DK}),
                                   {},
                                   {},
                                   {},
                                   &saved});
    bool any = false;
    for (const float g : data.grad_q) any |= g != 0.0f;
    CHECK(any);

    const std::vector<float> out = data.out, grad_q = data.grad_q;
    zeta::Saved given_saved;
    const zeta::Tensor given(std::as_const(data).neighbours.data(), {1, H, N, K});
    context.attend_neighbours(data.params, given,
                              {data.queries(), data.keys(), data.values(), data.output(), {}, {}, &given_saved});
    context.attend_neighbours_backward(data.params, given,
                                       {data.queries(),
                                        data.keys(),
                                        data.values(),
                                        data.values(),
                                        zeta::Tensor(data.grad_q.data(), {1, H, N, DK}),
                                        {},
                                        {},
                                        {},
                                        &given_saved});
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(data.out[i] == doctest::Approx(out[i]).epsilon(1e-5));
    for (std::size_t i = 0; i < grad_q.size(); ++i) CHECK(data.grad_q[i] == doctest::Approx(grad_q[i]).epsilon(1e-4));
    context.dense_forward(data.params, {data.queries(), data.keys(), data.values(), data.output()});
}

TEST_CASE("selection, recall and codes") {
    Data data;
    zeta::ContextParams one;
    one.threads = 1;
    zeta::Context context(one);
    data.params.select = ZETA_SELECT_EXACT;
    std::vector<float> distances(H * N * K), per_head;
    context.select(data.params, data.queries(), data.keys(), data.slots(), {distances.data(), {1, H, N, K}});
    CHECK(data.neighbours[0] == -1);
    CHECK(context.recall(data.params, data.queries(), data.keys(), &per_head) == 1.0);
    CHECK(per_head == std::vector<float>(H, 1.0f));

    std::vector<std::uint64_t> codes(H * N);
    std::vector<std::int32_t> cells(H * N * DK), decoded(H * N * DK);
    context.encode(data.queries(), {codes.data(), {1, H, N}});
    context.cells(data.queries(), {cells.data(), {1, H, N, DK}});
    context.decode({std::as_const(codes).data(), {1, H, N}}, {decoded.data(), {1, H, N, DK}});
    CHECK(cells == decoded);
}

TEST_CASE("a cache") {
    Data data;
    zeta::Context context;
    context.forward(data.params, {data.queries(), data.keys(), data.values(), data.output()});
    const std::vector<float> whole = data.out;
    zeta::CacheParams params;
    params.query_heads = H;
    params.dv = DV;
    params.attention = &data.params;
    zeta::Cache cache(context, params);
    CHECK(cache.batches() == 1);
    cache.prefill({data.queries(), data.keys(), data.values(), data.output(), {}, data.slots()});
    CHECK(data.out == whole);
    CHECK(cache.length() == N);
    CHECK(cache.bytes() > 0);

    cache.truncate({N - 1});
    zeta::Cache twins = cache.fork({0, 0});
    CHECK(twins.batches() == 2);
    zeta::Cache moved(std::move(twins));
    CHECK(twins.get() == nullptr);
    CHECK(moved.length(1) == N - 1);
    const std::vector<std::byte> saved = cache.save();
    const zeta::Tensor q(data.q.data() + (N - 1) * DK, {1, H, 1, DK}, {0, N * DK, DK, 1});
    const zeta::Tensor k(data.k.data() + (N - 1) * DK, {1, H, 1, DK}, {0, N * DK, DK, 1});
    const zeta::Tensor v(data.v.data() + (N - 1) * DV, {1, H, 1, DV}, {0, N * DV, DV, 1});
    const zeta::Tensor out(data.out.data() + (N - 1) * DV, {1, H, 1, DV}, {H * N * DV, N * DV, DV, 1});
    const std::int64_t none = 0;
    zeta::Cache other = cache.fork();
    for (int way = 0; way < 3; ++way) { // a step; append and attend; a step of what was loaded
        std::fill(data.out.begin(), data.out.end(), 0.0f);
        if (way == 1) {
            other.append({{}, k, v});
            other.append({{}, k, v, {}, {}, {}, &none});
            other.attend({q, {}, {}, out});
        } else {
            cache.step({q, k, v, out});
        }
        for (std::size_t c = N * DV - DV; c < N * DV; ++c) CHECK(data.out[c] == whole[c]);
        cache.load(saved);
    }
    cache.evict_before({N / 2});
    CHECK(cache.first() == N / 2);
    cache.reset();
    CHECK(cache.length() == 0);

    CHECK_THROWS_AS(cache.truncate({1}), zeta::Error);
    CHECK_THROWS_AS(cache.truncate({0, 0}), std::invalid_argument);
    CHECK_THROWS_AS(cache.evict_before({}), std::invalid_argument);
    CHECK_THROWS_AS(cache.fork({}), zeta::Error);
    CHECK_THROWS_AS(cache.load(std::vector<std::byte>()), zeta::Error);
    CHECK_THROWS_AS(cache.load("no such folder/file"), zeta::Error);
    CHECK_THROWS_AS(cache.save("no such folder/file"), zeta::Error);
    params.dk = 0;
    CHECK_THROWS_AS(zeta::Cache(context, params), zeta::Error);
}

TEST_CASE("errors are exceptions") {
    Data data;
    zeta::Context context;
    data.params.window = 2;
    try {
        context.forward(data.params, {data.queries(), data.keys(), data.values(), data.output()});
        FAIL("no exception");
    } catch (const zeta::Error &error) {
        CHECK(error.status() == ZETA_ERROR_ARGUMENT);
        CHECK(std::strcmp(error.what(), "window is 2 but neighbours is 6: window must be at least neighbours") == 0);
        CHECK(std::strcmp(error.status_name(), "ZETA_ERROR_ARGUMENT") == 0);
    }
    data.params.window = 0;
    CHECK_THROWS_AS(context.forward(data.params, {data.queries(), data.keys(), {}, data.output()}), zeta::Error);
    CHECK_THROWS_AS(zeta::Tensor(data.out.data(), {2, 2}, {1}), std::invalid_argument);
    CHECK(zeta::Tensor(data.out.data(), {1, 1, 1, 1, 1}).get()->rank == -1);
    zeta::ContextParams params;
    params.isa = "abacus";
    CHECK_THROWS_AS(zeta::Context{params}, zeta::Error);
}

TEST_CASE("a refused call leaves what it would have resized") {
    Data data;
    zeta::Context context;
    const std::vector<float> numbers_before{1, 2, 3};
    std::vector<float> per_head = numbers_before;
    const auto refused = [&](const zeta::Tensor &q, const zeta::Tensor &k) {
        CHECK_THROWS_AS(context.recall(data.params, q, k, &per_head), zeta::Error);
        CHECK(per_head == numbers_before);
    };
    const zeta::Tensor one(data.k.data(), {1, 1, 1, 1});
    const zeta::BFloat16 half{};
    refused(zeta::Tensor(data.q.data(), {1, std::int64_t{1} << 61, 0, 3}), data.keys());
    refused(zeta::Tensor(&half, {1, std::int64_t{1} << 61, 0, 1}), zeta::Tensor(&half, {1, 1, 1, 1}));
    refused(zeta::Tensor(data.q.data(), {1, std::int64_t{1} << 62, 0, 1}), one);
    refused(zeta::Tensor(data.q.data(), {1, -1, 1, 1}), one);
    refused(zeta::Tensor(data.q.data(), {1}), one);
    refused({}, one);
    refused(data.queries(), one);
    CHECK(context.recall(data.params, zeta::Tensor(data.q.data(), {1, 0, N, DK}), data.keys(), &per_head) == 1.0);
    CHECK(per_head.empty());

    const zeta::Saved before(3, std::byte{7});
    zeta::Saved saved = before;
    const zeta::ForwardTensors tensors{data.queries(), data.keys(), data.values(), data.output(), {}, {}, &saved};
    CHECK_THROWS_AS(context.dense_forward(data.params, tensors), zeta::Error);
    CHECK(saved == before);
    CHECK_THROWS_AS(context.attend_neighbours(data.params, {}, tensors), zeta::Error);
    CHECK(saved == before);
    zeta::ForwardTensors overlapping = tensors;
    overlapping.out = zeta::Tensor(const_cast<float *>(data.v.data()), {1, H, N, DV});
    CHECK_THROWS_AS(context.forward(data.params, overlapping), zeta::Error);
    CHECK(saved == before);
    context.forward(data.params, tensors);
    const zeta::Saved made = saved;
    CHECK(made.size() > before.size());
    CHECK_THROWS_AS(context.forward(data.params, overlapping), zeta::Error);
    CHECK(saved == made);
    context.forward(data.params, tensors); // into the same memory
    CHECK(saved == made);
}

TEST_CASE("a cache that was moved from is refused like any other error") {
    zeta::Context context;
    zeta::Cache cache(context, zeta::CacheParams()), owner(std::move(cache));
    CHECK(owner.batches() == 1);
    CHECK(cache.batches() == -1);
    CHECK(cache.length() == -1);
    CHECK_THROWS_AS(cache.truncate({}), zeta::Error);
    CHECK_THROWS_AS(cache.truncate({0}), zeta::Error);
    CHECK_THROWS_AS(cache.evict_before({}), zeta::Error);
    CHECK_THROWS_AS(cache.reset(), zeta::Error);
    CHECK_THROWS_AS(cache.fork(), zeta::Error);
    CHECK_THROWS_AS(cache.save(), zeta::Error);
    CHECK_THROWS_AS(cache.step({}), zeta::Error);
    cache = owner.fork({0, 0, 0});
    CHECK(cache.batches() == 3);
    CHECK(cache.batches() == zeta_cache_batches(cache.get()));
    std::swap(cache, owner);
    CHECK(cache.batches() == 1);
    CHECK(owner.fork().batches() == 3);
    owner.truncate({0, 0, 0});
}

// OPENBLAS_CORETYPE=Prescott, as this test is also run, makes zeta warn where the CPU has AVX2.
TEST_CASE("a log that throws") {
    zeta::ContextParams params;
    int warnings = 0;
    params.log_user = &warnings;
    params.log = [](void *user, std::int32_t, const char *) {
        ++*static_cast<int *>(user);
        throw 1;
    };
    zeta_context *context = reinterpret_cast<zeta_context *>(&params);
    const zeta_status status = zeta_context_create(&context, &params);
    CHECK((status == ZETA_OK) == (warnings == 0));
    CHECK((status == ZETA_OK) == (context != nullptr));
    zeta_context_destroy(&context);
}

TEST_CASE("contexts move") {
    zeta::Context context;
    zeta_context *const handle = context.get();
    zeta::Context moved(std::move(context));
    CHECK(moved.get() == handle);
    context = std::move(moved);
    CHECK(context.get() == handle);
}

TEST_CASE("strided and absent tensors") {
    float data[24] = {};
    const zeta::Tensor view(data, {1, 2, 3, 2}, {0, 2, 4, 1});
    CHECK(view.get()->stride[2] == 4);
    CHECK(view.get()->shape[1] == 2);
    CHECK(view.get()->dtype == ZETA_F32);
    CHECK(static_cast<bool>(view));
    CHECK(zeta::Tensor().get() == nullptr);
    zeta::BFloat16 half[2] = {};
    CHECK(zeta::Tensor(half, {2}).get()->dtype == ZETA_BF16);
}
