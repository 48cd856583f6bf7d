// SPDX-License-Identifier: Apache-2.0
// Promise 7: with scratch of the queried size, one thread and saved given, a call allocates nothing, neither through
// the context's hook nor behind it; scratch stays within its published bound; too little of it is refused.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include <dlfcn.h>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

std::atomic<int> hooked{0};

void *hook_allocate(void *, size_t size, size_t alignment) {
    ++hooked;
    void *block = nullptr;
    return posix_memalign(&block, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) == 0 ? block : nullptr;
}
void hook_release(void *, void *block, size_t) {
    std::free(block);
}

Context hooked_context(int32_t threads) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = threads;
    params.allocator = {hook_allocate, hook_release, nullptr};
    zeta_context *context = nullptr;
    zeta_context_create(&context, &params);
    return Context(context);
}

thread_local bool watching = false;
std::atomic<int> behind{0};

} // namespace

// Every allocation of the process passes here where the C library lets it be replaced; not under a sanitizer.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PROPERTY_SANITIZED 1
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                           \
    !defined(PROPERTY_SANITIZED)
#define PROPERTY_WATCHES_MALLOC 1
namespace {

std::atomic<bool> watching_all{false}; // every thread
std::atomic<int> own{0};               // what zeta asked for itself, or this program if zeta is part of it

void count(void *caller) {
    if (watching) ++behind;
    Dl_info by, here;
    if (!watching_all || dladdr(caller, &by) == 0 || dladdr(reinterpret_cast<void *>(&count), &here) == 0) return;
    if (by.dli_fbase == here.dli_fbase || std::strstr(by.dli_fname, "libzeta") != nullptr) ++own;
}

} // namespace

#define COUNT() count(__builtin_return_address(0))

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    COUNT();
    return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
    COUNT();
    return __libc_calloc(number, size);
}
void *realloc(void *block, size_t size) {
    COUNT();
    return __libc_realloc(block, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    COUNT();
    return __libc_memalign(alignment, size);
}
void *memalign(size_t alignment, size_t size) {
    COUNT();
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **block, size_t alignment, size_t size) {
    COUNT();
    *block = __libc_memalign(alignment, size);
    return *block == nullptr ? 12 : 0; // ENOMEM
}
}

void *operator new(size_t size) {
    COUNT();
    void *block = __libc_malloc(size);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}
void *operator new[](size_t size) {
    COUNT();
    void *block = __libc_malloc(size);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}
void operator delete(void *block) noexcept {
    std::free(block);
}
void operator delete(void *block, size_t) noexcept {
    std::free(block);
}
void operator delete[](void *block) noexcept {
    std::free(block);
}
void operator delete[](void *block, size_t) noexcept {
    std::free(block);
}
#endif

namespace {

// Tensors and arguments of one forward and backward call, ready before the watch begins.
struct Prepared {
    Random random{1};
    Params params;
    Buffer q, k, v, out, normaliser, neighbours, grad_out, grad_q, grad_k, grad_v, grad_gamma;
    zeta_forward_args forward{};
    zeta_backward_args backward{};
    std::vector<unsigned char> saved;

    Prepared(zeta_context *context, const Case &c)
        : params(c), q(c.qk_type, q_shape(c.shape), Place::plain, random, &c.q),
          k(c.qk_type, k_shape(c.shape), Place::plain, random, &c.k),
          v(c.v_type, v_shape(c.shape), Place::plain, random, &c.v),
          out(c.v_type, out_shape(c.shape), Place::plain, random),
          normaliser(ZETA_F32, row_shape(c.shape), Place::plain, random),
          neighbours(ZETA_I32, slot_shape(c.shape, c.options.neighbours), Place::plain, random),
          grad_out(c.v_type, out_shape(c.shape), Place::plain, random, &c.grad_out),
          grad_q(c.qk_type, q_shape(c.shape), Place::plain, random),
          grad_k(c.qk_type, k_shape(c.shape), Place::plain, random),
          grad_v(c.v_type, v_shape(c.shape), Place::plain, random),
          grad_gamma(ZETA_F32, {c.shape.heads}, Place::plain, random) {
        zeta_forward_args_init(&forward);
        forward.q = q.view(), forward.k = k.view(), forward.v = v.view(), forward.out = out.view();
        forward.normaliser = normaliser.view(), forward.neighbours = neighbours.view();
        REQUIRE(zeta_saved_size(context, &params.c, &forward, &forward.saved_size) == ZETA_OK);
        saved.resize(forward.saved_size);
        forward.saved = saved.data();
        zeta_backward_args_init(&backward);
        backward.q = q.view(), backward.k = k.view(), backward.v = v.view(), backward.grad_out = grad_out.view();
        backward.grad_q = grad_q.view(), backward.grad_k = grad_k.view(), backward.grad_v = grad_v.view();
        backward.grad_gamma = grad_gamma.view();
        backward.saved = saved.data(), backward.saved_size = saved.size();
        REQUIRE(zeta_forward_scratch_size(context, &params.c, &forward, &forward.scratch_size) == ZETA_OK);
        REQUIRE(zeta_backward_scratch_size(context, &params.c, &backward, &backward.scratch_size) == ZETA_OK);
    }
};

Case memory_case(int variant) {
    Case problem = plain_case(1, 2, variant % 2 == 0 ? 300 : 5000, 1 + variant % 4, 16, 3);
    problem.options.exact = variant % 3 == 1;
    problem.options.window = variant % 3 == 2 ? 100 : 0;
    problem.options.score = static_cast<oracle::Score>(variant % 5);
    problem.options.local = variant % 4;
    if (variant == 7) problem.options.q_lengths = {4000, 0, 1000};
    Random random(8);
    problem.v_type = variant % 3;
    fill(problem, random, Data::gaussian);
    return problem;
}

// Promise 7's bound: 32 (M + N)(dk + 8) per head in flight, and per thread a multiple of what one query needs.
double bound(const Case &problem, int32_t threads) {
    const oracle::Shape &s = problem.shape;
    const auto flying = static_cast<double>(std::min<int64_t>(threads, s.batches * s.heads));
    const auto candidates = static_cast<double>(std::max(problem.options.neighbours, problem.options.window) + 64);
    return flying * 32 * static_cast<double>((s.keys + s.queries) * (s.dk + 8)) +
           threads * (64 * candidates * static_cast<double>(s.dv + 64) + (1 << 20));
}

} // namespace

TEST_CASE("memory: nothing is allocated at one thread with scratch and saved given") {
    const Context context = hooked_context(1);
    for (int variant = 0; variant < 12; ++variant) {
        const Case problem = memory_case(variant);
        INFO("variant ", variant, ": ", describe(problem));
        Prepared prepared(context.get(), problem);
        const Guarded forward(prepared.forward.scratch_size), backward(prepared.backward.scratch_size);
        prepared.forward.scratch = forward.data();
        prepared.backward.scratch = backward.data();
        hooked = 0;
        behind = 0;
        watching = true;
        const zeta_status first = zeta_forward(context.get(), &prepared.params.c, &prepared.forward);
        const int after_forward = behind;
        const zeta_status second = zeta_backward(context.get(), &prepared.params.c, &prepared.backward);
        watching = false;
        CHECK(first == ZETA_OK);
        CHECK(second == ZETA_OK);
        CHECK(hooked == 0);
        CHECK(after_forward == 0);
        CHECK(behind - after_forward == 0);
        CHECK(forward.slack_intact());
        CHECK(backward.slack_intact());
    }
}

#ifdef PROPERTY_WATCHES_MALLOC
TEST_CASE("memory: the watch sees allocations") {
    behind = 0;
    watching = true;
    std::vector<int> *volatile sink = new std::vector<int>(100);
    watching = false;
    delete sink;
    CHECK(behind == 2);
}

TEST_CASE("memory: at several threads zeta itself allocates nothing either") {
    const Context context = hooked_context(3);
    for (int variant = 0; variant < 12; ++variant) {
        const Case problem = memory_case(variant);
        INFO("variant ", variant, ": ", describe(problem));
        Prepared prepared(context.get(), problem);
        const Guarded forward(prepared.forward.scratch_size), backward(prepared.backward.scratch_size);
        prepared.forward.scratch = forward.data();
        prepared.backward.scratch = backward.data();
        own = hooked = 0;
        watching_all = true;
        const zeta_status first = zeta_forward(context.get(), &prepared.params.c, &prepared.forward);
        const zeta_status second = zeta_backward(context.get(), &prepared.params.c, &prepared.backward);
        watching_all = false;
        CHECK(first == ZETA_OK);
        CHECK(second == ZETA_OK);
        CHECK(own + hooked == 0);
    }
}
#endif

TEST_CASE("memory: without scratch, memory comes from the hook and goes back to it") {
    const Context context = hooked_context(2);
    const Case problem = memory_case(1);
    Prepared prepared(context.get(), problem);
    prepared.forward.scratch_size = 0;
    hooked = 0;
    CHECK(zeta_forward(context.get(), &prepared.params.c, &prepared.forward) == ZETA_OK);
    CHECK(hooked > 0);
}

TEST_CASE("memory: scratch and saved stay within their bounds") {
    for (const int32_t threads : {1, 2, 4}) {
        const Context context = hooked_context(threads);
        for (const int64_t length : {1000, 30000, 150000}) {
            for (int variant = 0; variant < 4; ++variant) {
                Case problem = plain_case(1, 2, length, variant == 3 ? 8 : 3, 4, 1);
                problem.options.exact = variant == 1;
                problem.options.window = variant == 2 ? 128 : 0;
                INFO("threads ", threads, " N ", length, " variant ", variant);
                Prepared prepared(context.get(), problem);
                CHECK(static_cast<double>(prepared.forward.scratch_size) <= bound(problem, threads));
                CHECK(static_cast<double>(prepared.backward.scratch_size) <= bound(problem, threads));
                CHECK(prepared.saved.size() <= static_cast<size_t>(2 * (length + length) * 24 + 4096));
            }
        }
    }
}

TEST_CASE("memory: heads that are not in flight, and wide windows, take no more than is published") {
    const int32_t threads = 2;
    const Context context = hooked_context(threads);
    Params params(plain_case(1, 1, 1, 3, 4, 1));
    zeta_attention_params &options = params.c;
    zeta_forward_args forward;
    zeta_backward_args backward;
    zeta_forward_args_init(&forward);
    zeta_backward_args_init(&backward);
    const auto view = [](int64_t b, int64_t h, int64_t n, int64_t channels) {
        const int64_t shape[] = {b, h, n, channels};
        return zeta_tensor_contiguous(nullptr, ZETA_F32, 4, shape);
    };
    const auto check = [&](int64_t b, int64_t h, int64_t n, int64_t longest, int64_t sequences, bool gamma) {
        CAPTURE(b);
        CAPTURE(longest);
        CAPTURE(gamma);
        CAPTURE(options.window);
        const zeta_tensor points = view(b, h, n, 3), channels = view(b, h, n, 4);
        const zeta_tensor heads = zeta_tensor_contiguous(nullptr, ZETA_F32, 1, &h);
        forward.q = forward.k = backward.q = backward.k = backward.grad_q = backward.grad_k = &points;
        forward.v = forward.out = backward.v = backward.grad_out = backward.grad_v = &channels;
        backward.grad_gamma = gamma ? &heads : nullptr;
        size_t size = 0;
        const double flying = threads * 32.0 * double(2 * longest * (3 + 8));
        const double queries = threads * (80.0 * std::max(options.window, options.neighbours) + (1 << 20));
        REQUIRE(zeta_forward_scratch_size(context.get(), &options, &forward, &size) == ZETA_OK);
        CHECK(double(size) <= flying + queries);
        REQUIRE(zeta_backward_scratch_size(context.get(), &options, &backward, &size) == ZETA_OK);
        CHECK(double(size) <= flying + queries + (gamma ? 8.0 * double(sequences * h) : 0.0));
    };
    options.neighbours = 32;
    const int64_t many = 1 << 20;
    std::vector<int64_t> lengths(size_t(many), 0);
    lengths[0] = 10;
    for (const int32_t window : {0, 1024, ZETA_MAX_WINDOW}) {
        options.window = window;
        for (const bool gamma : {false, true}) {
            check(many, 32, 1, 1, many, gamma);
            check(1, 1, 5000, 5000, 1, gamma);
            options.sequences = many;
            options.q_lengths = lengths.data();
            check(1, 64, 10, 10, many, gamma);
            options.sequences = 0;
            options.q_lengths = nullptr;
        }
    }
}

TEST_CASE("memory: nothing grows with N K") {
    const Context context = hooked_context(2);
    for (const bool exact : {false, true}) {
        Case problem = plain_case(1, 1, 8000, 3, 4, 1);
        problem.options.neighbours = 1024; // N K integers: 33 MB, twice the bound
        problem.options.exact = exact;
        INFO(describe(problem));
        Prepared prepared(context.get(), problem);
        CHECK(static_cast<double>(prepared.forward.scratch_size) <= bound(problem, 2));
        CHECK(static_cast<double>(prepared.backward.scratch_size) <= bound(problem, 2));
        CHECK(prepared.saved.size() <= 8000 * 24 + 4096);
    }
}

TEST_CASE("memory: what was saved for other data, or scrambled since, does no harm") {
    for (const int threads : {1, 2}) {
        const Context context = hooked_context(threads);
        for (int variant = 0; variant < 12; ++variant) {
            const Case problem = memory_case(variant);
            Prepared prepared(context.get(), problem);
            INFO("threads ", threads, " variant ", variant);
            const Guarded scratch(prepared.backward.scratch_size); // a list that is too long would leave it
            prepared.backward.scratch = scratch.data();
            prepared.forward.scratch_size = 0;
            REQUIRE(zeta_forward(context.get(), &prepared.params.c, &prepared.forward) == ZETA_OK);
            Random random(9);
            const auto k = static_cast<float *>(prepared.k.view()->data);
            for (int64_t i = 0; i < problem.shape.keys; ++i) k[i] *= -3; // as after a very large training step
            CHECK(zeta_backward(context.get(), &prepared.params.c, &prepared.backward) == ZETA_OK);
            for (size_t i = 192; i < prepared.saved.size(); ++i) // behind the header
                prepared.saved[i] = static_cast<unsigned char>(pick(random, 0, 255));
            CHECK(zeta_backward(context.get(), &prepared.params.c, &prepared.backward) == ZETA_OK);
            CHECK(scratch.slack_intact());
        }
    }
}

TEST_CASE("memory: scratch or saved too small is refused and nothing is written") {
    const Context context = hooked_context(1);
    for (int variant = 0; variant < 3; ++variant) {
        Prepared prepared(context.get(), memory_case(variant * 2));
        const Guarded scratch(prepared.forward.scratch_size);
        prepared.forward.scratch = scratch.data();
        prepared.forward.scratch_size -= 1;
        CHECK(zeta_forward(context.get(), &prepared.params.c, &prepared.forward) == ZETA_ERROR_SCRATCH);
        prepared.forward.scratch_size += 1;
        prepared.forward.saved_size -= 1;
        CHECK(zeta_forward(context.get(), &prepared.params.c, &prepared.forward) == ZETA_ERROR_SCRATCH);
        CHECK(prepared.out.untouched());
        CHECK(prepared.normaliser.untouched());
        CHECK(prepared.neighbours.untouched());
        prepared.forward.saved_size += 1;
        CHECK(zeta_forward(context.get(), &prepared.params.c, &prepared.forward) == ZETA_OK);
        const Guarded backward(prepared.backward.scratch_size);
        prepared.backward.scratch = backward.data();
        prepared.backward.scratch_size -= 1;
        CHECK(zeta_backward(context.get(), &prepared.params.c, &prepared.backward) == ZETA_ERROR_SCRATCH);
        prepared.backward.scratch_size += 1;
        prepared.backward.saved_size -= 1;
        CHECK(zeta_backward(context.get(), &prepared.params.c, &prepared.backward) == ZETA_ERROR_SCRATCH);
        CHECK(prepared.grad_q.untouched());
        CHECK(prepared.grad_k.untouched());
        CHECK(prepared.grad_v.untouched());
        CHECK(prepared.grad_gamma.untouched());
    }
}
