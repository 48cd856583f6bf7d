// SPDX-License-Identifier: Apache-2.0
// Loading and comparing q, k and v.
#include "inputs.hpp"

#include <utility>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "npy.hpp"
#include "options.hpp"
#include "safetensors.hpp"

namespace zeta::app {

namespace {

// A tensor with the name a sentence calls it by.
struct Named {
    std::string name;
    const Array &array;
    std::string text() const { return name + " is " + shape_text(array.shape()); }
};

[[noreturn]] void refuse(const std::string &sentence) {
    throw CommandError(kExitInput, sentence);
}

// Data vouches for the extents of a tensor, but not for those of an empty one: what is as large as they say (an output,
// a number for each head) could be more than any memory.
void check_empty(const Named &x) {
    constexpr int64_t kMost = 65536; // as in `zeta bench`
    if (x.array.size() > 0) return;
    int64_t heads = 0;
    if (__builtin_mul_overflow(x.array.extent(-4), x.array.extent(-3), &heads) || heads > kMost)
        refuse(x.text() + ": an empty tensor has at most " + std::to_string(kMost) + " heads, all batches together");
    if (x.array.extent(-1) > kMost)
        refuse(x.text() + ": an empty tensor has at most " + std::to_string(kMost) + " channels");
}

void check_pair(const Named &q, const Named &k) {
    if (q.array.rank() != k.array.rank()) refuse(q.text() + " but " + k.text() + ": their ranks must be equal");
    if (q.array.extent(-4) != k.array.extent(-4))
        refuse(q.text() + " but " + k.text() + ": batches (axis 0) must be equal");
    const int64_t heads = q.array.extent(-3), groups = k.array.extent(-3);
    if (groups == 0 ? heads != 0 : heads % groups != 0)
        refuse(q.text() + " but " + k.text() + ": " + std::to_string(heads) + " query heads are no multiple of " +
               std::to_string(groups) + " key heads");
}

void check_keys(const Named &q, const Named &k, bool causal) {
    check_pair(q, k);
    if (q.array.extent(-1) != k.array.extent(-1))
        refuse(q.text() + " but " + k.text() + ": their last axes must be equal");
    const int64_t channels = q.array.extent(-1);
    if (channels < 1 || channels > ZETA_MAX_DK)
        refuse(q.text() + ": its last axis is " + std::to_string(channels) + ", 1 to 32 coordinates are supported");
    if (causal && k.array.extent(-2) < q.array.extent(-2))
        refuse(q.text() + " but " + k.text() + ": causal attention needs at least as many keys as queries");
}

void check_values(const Named &q, const Named &k, const Named &v) {
    check_pair(q, v);
    if (k.array.extent(-3) != v.array.extent(-3)) refuse(k.text() + " but " + v.text() + ": their heads must be equal");
    if (k.array.extent(-2) != v.array.extent(-2))
        refuse(k.text() + " but " + v.text() + ": their lengths must be equal");
    if (v.array.extent(-1) < 1) refuse(v.text() + ": a value needs one channel at least");
}

Inputs read_named(const InputPaths &paths, bool values, std::string names[3]) {
    Inputs inputs;
    Array *arrays[3] = {&inputs.q, &inputs.k, &inputs.v};
    const char *letters[3] = {"q", "k", "v"};
    const std::string *files[3] = {&paths.q, &paths.k, &paths.v};
    if (!paths.in.empty()) {
        auto tensors = read_safetensors(paths.in, {"q", "k", "v"});
        for (int i = 0; i < 3; ++i) {
            names[i] = paths.in + ": " + letters[i];
            const auto found = tensors.find(letters[i]);
            if (found != tensors.end())
                *arrays[i] = std::move(found->second);
            else if (i < 2 || values)
                refuse(paths.in + ": no tensor '" + letters[i] + "'");
        }
        return inputs;
    }
    for (int i = 0; i < 3; ++i) {
        names[i] = std::string("--") + letters[i] + " " + *files[i];
        if (!files[i]->empty())
            *arrays[i] = read_npy(*files[i]);
        else if (i < 2 || values)
            throw CommandError(kExitUsage, std::string("--") + letters[i] + " is needed (or --in with q, k and v)");
    }
    return inputs;
}

} // namespace

void add_input_options(CLI::App &app, InputPaths &paths, bool values) {
    auto *in = app.add_option("--in", paths.in, "one .safetensors file with tensors q, k and v (F32, BF16 or F16)");
    in->check(named_file())->option_text("FILE");
    app.add_option("--q", paths.q, "queries .npy, [N, dk], [H, N, dk] or [B, H, N, dk]")
        ->check(named_file())
        ->option_text("FILE")
        ->excludes(in);
    app.add_option("--k", paths.k, "keys .npy, [M, dk], [G, M, dk] or [B, G, M, dk]")
        ->check(named_file())
        ->option_text("FILE")
        ->excludes(in);
    app.add_option("--v", paths.v, values ? "values .npy, [..., G, M, dv]" : "values .npy: checked, not used")
        ->check(named_file())
        ->option_text("FILE")
        ->excludes(in);
}

Inputs load_inputs(const InputPaths &paths, int32_t dtype, bool causal, bool values) {
    std::string names[3];
    Inputs inputs = read_named(paths, values, names);
    const Named q{names[0], inputs.q}, k{names[1], inputs.k}, v{names[2], inputs.v};
    if (inputs.q.rank() < 2 || inputs.q.rank() > 4)
        refuse(q.text() + ": rank " + std::to_string(inputs.q.rank()) + ", but 2, 3 or 4 is needed");
    check_keys(q, k, causal);
    if (values || inputs.v.rank() > 0) check_values(q, k, v);
    for (const Named &x : {q, k, v}) check_empty(x);
    inputs.q = round_to(std::move(inputs.q), dtype);
    inputs.k = round_to(std::move(inputs.k), dtype);
    inputs.v = round_to(std::move(inputs.v), dtype);
    return inputs;
}

Array load_grad_out(const std::string &path, const Inputs &inputs, int32_t dtype) {
    Array grad = read_npy(path);
    const Shape expected = shape_like(inputs.q, inputs.v.extent(-1));
    if (grad.shape() != expected)
        refuse("--grad-out " + path + " is " + shape_text(grad.shape()) + " but the output is " + shape_text(expected));
    return round_to(std::move(grad), dtype);
}

Shape shape_like(const Array &tensor, int64_t last) {
    Shape shape = tensor.shape();
    shape.pop_back();
    if (last >= 0) shape.push_back(last);
    return shape;
}

} // namespace zeta::app
