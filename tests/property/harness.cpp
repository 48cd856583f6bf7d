// SPDX-License-Identifier: Apache-2.0
// See harness.hpp.
#include "harness.hpp"

#include <cstdlib>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

namespace property {

Settings &settings() {
    static Settings value;
    return value;
}

Context make_context(const char *isa, int32_t threads) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.isa = isa;
    params.threads = threads;
    zeta_context *context = nullptr;
    zeta_context_create(&context, &params);
    return Context(context);
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> result;
    for (int32_t n = 0; zeta_isa_present(n) != nullptr; ++n) result.emplace_back(zeta_isa_present(n));
    return result;
}

zeta_grid c_grid(const oracle::Grid &grid, int64_t key_heads) {
    zeta_grid result{};
    result.kind = grid.range ? ZETA_GRID_RANGE : ZETA_GRID_SQUASH;
    result.heads = grid.per_head ? static_cast<int32_t>(key_heads) : 0;
    result.scale = grid.scale.data();
    result.lo = grid.lo.data();
    result.hi = grid.hi.data();
    return result;
}

Params::Params(const Case &problem) : options(problem.options) {
    zeta_attention_params_init(&c);
    c.neighbours = static_cast<int32_t>(options.neighbours);
    c.window = static_cast<int32_t>(options.window);
    c.select = options.exact ? ZETA_SELECT_EXACT : ZETA_SELECT_WINDOW;
    c.score = static_cast<int32_t>(options.score);
    c.causal = options.causal ? 1 : 0;
    c.mean = options.mean ? 1 : 0;
    c.chunk = options.chunk;
    c.local = options.local;
    c.first = options.first;
    c.gamma = options.gamma.empty() ? nullptr : options.gamma.data();
    c.gamma_count = static_cast<int64_t>(options.gamma.size());
    c.grid = c_grid(options.grid, problem.shape.key_heads);
    c.sequences = static_cast<int64_t>(options.q_lengths.size());
    c.q_lengths = options.q_lengths.empty() ? nullptr : options.q_lengths.data();
    c.k_lengths = options.k_lengths.empty() ? nullptr : options.k_lengths.data();
}

std::vector<int64_t> q_shape(const oracle::Shape &s) {
    return {s.batches, s.heads, s.queries, s.dk};
}
std::vector<int64_t> k_shape(const oracle::Shape &s) {
    return {s.batches, s.key_heads, s.keys, s.dk};
}
std::vector<int64_t> v_shape(const oracle::Shape &s) {
    return {s.batches, s.key_heads, s.keys, s.dv};
}
std::vector<int64_t> out_shape(const oracle::Shape &s) {
    return {s.batches, s.heads, s.queries, s.dv};
}
std::vector<int64_t> row_shape(const oracle::Shape &s) {
    return {s.batches, s.heads, s.queries};
}
std::vector<int64_t> slot_shape(const oracle::Shape &s, int64_t slots) {
    return {s.batches, s.heads, s.queries, slots};
}

std::vector<int32_t> padded(const std::vector<std::vector<int64_t>> &lists, int64_t slots) {
    std::vector<int32_t> result;
    for (const std::vector<int64_t> &list : lists) {
        for (int64_t n = 0; n < slots; ++n) {
            const auto at = static_cast<size_t>(n);
            result.push_back(at < list.size() ? static_cast<int32_t>(list[at]) : -1);
        }
    }
    return result;
}

bool same_bits(const float *a, const float *b, int64_t count) {
    return count == 0 || std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0;
}

bool same_bits(const std::vector<float> &a, const std::vector<float> &b) {
    return a.size() == b.size() && same_bits(a.data(), b.data(), static_cast<int64_t>(a.size()));
}

Guarded::Guarded(size_t size) : size_(size) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t inside = (size + page) / page * page;
    mapping_size_ = inside + page;
    mapping_ = mmap(nullptr, mapping_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) std::abort();
    auto *block = static_cast<unsigned char *>(mapping_);
    if (mprotect(block + inside, page, PROT_NONE) != 0) std::abort();
    std::memset(block, 0x5a, inside); // never zeros: working memory starts as anything
    data_ = block + (inside - size) / 64 * 64;
}

Guarded::~Guarded() {
    munmap(mapping_, mapping_size_);
}

bool Guarded::slack_intact() const {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const unsigned char *end = static_cast<unsigned char *>(mapping_) + mapping_size_ - page;
    for (const unsigned char *at = data_ + size_; at < end; ++at) {
        if (*at != 0x5a) return false;
    }
    for (const auto *at = static_cast<unsigned char *>(mapping_); at < data_; ++at) {
        if (*at != 0x5a) return false;
    }
    return true;
}

namespace {

// Buffers of one run.
struct Tensors {
    Random random;
    Buffer q, k, v, out, normaliser, neighbours;
    std::vector<unsigned char> saved;

    Tensors(const Case &c, const Run &how)
        : random(how.seed), q(c.qk_type, q_shape(c.shape), how.place, random, &c.q),
          k(c.qk_type, k_shape(c.shape), how.place, random, &c.k),
          v(c.v_type, v_shape(c.shape), how.place, random, &c.v), out(c.v_type, out_shape(c.shape), how.place, random),
          normaliser(ZETA_F32, row_shape(c.shape), how.place, random),
          neighbours(ZETA_I32, slot_shape(c.shape, c.options.neighbours), how.place, random) {}
};

void note(Result &result, zeta_status status, const char *call) {
    if (status == ZETA_OK || result.status != ZETA_OK) return;
    result.status = status;
    result.error = std::string(call) + ": " + zeta_status_name(status) + ": " + zeta_last_error();
}

void run_backward(zeta_context *context, const Case &problem, const Run &how, Tensors &tensors, Result &result) {
    const oracle::Shape &s = problem.shape;
    const Params params(problem);
    const Buffer grad_out(problem.v_type, out_shape(s), how.place, tensors.random, &problem.grad_out);
    Buffer grad_q(problem.qk_type, q_shape(s), how.place, tensors.random);
    Buffer grad_k(problem.qk_type, k_shape(s), how.place, tensors.random);
    Buffer grad_v(problem.v_type, v_shape(s), how.place, tensors.random);
    Buffer grad_gamma(ZETA_F32, {s.heads}, how.place, tensors.random);
    zeta_backward_args args;
    zeta_backward_args_init(&args);
    args.q = tensors.q.view();
    args.k = tensors.k.view();
    args.v = tensors.v.view();
    args.grad_out = grad_out.view();
    args.grad_q = grad_q.view();
    args.grad_k = grad_k.view();
    args.grad_v = grad_v.view();
    args.grad_gamma = grad_gamma.view();
    args.saved = tensors.saved.data();
    args.saved_size = tensors.saved.size();
    std::optional<Guarded> scratch;
    if (how.given_memory) {
        note(result, zeta_backward_scratch_size(context, &params.c, &args, &args.scratch_size),
             "backward_scratch_size");
        args.scratch = scratch.emplace(args.scratch_size).data();
    }
    note(result, zeta_backward(context, &params.c, &args), "backward");
    result.intact = result.intact && grad_out.unchanged() && grad_q.gaps_intact() && grad_k.gaps_intact() &&
                    grad_v.gaps_intact() && grad_gamma.gaps_intact() && (!scratch || scratch->slack_intact());
    result.grad_q = grad_q.floats();
    result.grad_k = grad_k.floats();
    result.grad_v = grad_v.floats();
    result.grad_gamma = grad_gamma.floats();
}

} // namespace

Result run(zeta_context *context, const Case &problem, const Run &how) {
    Result result;
    Tensors tensors(problem, how);
    const Params params(problem);
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = tensors.q.view();
    args.k = tensors.k.view();
    args.v = tensors.v.view();
    args.out = tensors.out.view();
    if (how.extras) {
        args.normaliser = tensors.normaliser.view();
        args.neighbours = tensors.neighbours.view();
    }
    if (how.backward) {
        note(result, zeta_saved_size(context, &params.c, &args, &args.saved_size), "saved_size");
        tensors.saved.assign(args.saved_size + 64, 0x5a);
        tensors.saved.resize(args.saved_size);
        args.saved = tensors.saved.data();
    }
    std::optional<Guarded> scratch;
    if (how.given_memory) {
        note(result, zeta_forward_scratch_size(context, &params.c, &args, &args.scratch_size), "forward_scratch_size");
        args.scratch = scratch.emplace(args.scratch_size).data();
    }
    note(result, zeta_forward(context, &params.c, &args), "forward");
    result.intact = tensors.out.gaps_intact() && (!scratch || scratch->slack_intact());
    result.out = tensors.out.floats();
    if (how.extras) {
        result.intact = result.intact && tensors.normaliser.gaps_intact() && tensors.neighbours.gaps_intact();
        result.normaliser = tensors.normaliser.floats();
        result.neighbours = tensors.neighbours.integers();
    }
    if (how.backward && result.status == ZETA_OK) run_backward(context, problem, how, tensors, result);
    result.intact = result.intact && tensors.q.unchanged() && tensors.k.unchanged() && tensors.v.unchanged();
    return result;
}

} // namespace property
