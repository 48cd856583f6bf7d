// SPDX-License-Identifier: Apache-2.0
// The inputs of the shared vectors, chosen to hurt: denormals, infinities, NaN, -0, the largest numbers, points on the
// borders of cells and one step beside them, equal keys and equal distances, numbers that lose bits in 16-bit types.
#include <cfloat>
#include <functional>
#include <limits>
#include <stdexcept>

#include "vector.hpp"

namespace vectors {
namespace {

class Source {
public:
    explicit Source(uint64_t seed) : state_(seed) {}
    int64_t pick(int64_t lo, int64_t hi) {
        return lo + static_cast<int64_t>(next(state_) % static_cast<uint64_t>(hi - lo + 1));
    }
    template <class T> T choose(const std::vector<T> &list) {
        return list[static_cast<size_t>(pick(0, static_cast<int64_t>(list.size()) - 1))];
    }
    // Bell-shaped, of variance 1: a sum of four whole numbers.
    float bell() {
        int64_t sum = 0;
        for (int n = 0; n < 4; ++n) sum += pick(-(1 << 20), 1 << 20);
        return static_cast<float>(sum) * 0x1.bb68p-21f;
    }

private:
    uint64_t state_;
};

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kDenormal = 0x1p-149f;

const std::vector<float> &hurtful() {
    static const std::vector<float> list = {
        kNaN,      kInfinity,  -kInfinity, FLT_MAX,         -FLT_MAX, FLT_MIN,  -FLT_MIN, FLT_MIN - kDenormal,
        kDenormal, -kDenormal, 1e-42f,     -3e-41f,         -0.0f,    0.0f,     0x1p63f,  -0x1p64f,
        1.8e19f,   -1.9e19f,   0x1p24f,    1 + FLT_EPSILON, 1e-20f,   65504.0f, 65520.0f, -0x1p-24f,
    };
    return list;
}

// Floats in the order of whole numbers.
float float_at(int64_t order) {
    return order < 0 ? float_of(0x80000000u | static_cast<uint32_t>(-order)) : float_of(static_cast<uint32_t>(order));
}

// The first float whose cell on an axis of a grid is at least `cell`; found by halving.
int64_t border(const Vector &vector, int64_t head, int64_t e, int32_t cell) {
    const oracle::Shape &s = vector.shape;
    int64_t below = -int64_t{bits_of(FLT_MAX)}, at = bits_of(FLT_MAX);
    while (at - below > 1) {
        const int64_t middle = below + (at - below) / 2;
        const std::vector<float> x(static_cast<size_t>(s.key_heads * s.dk), float_at(middle));
        const auto cells = oracle::cells(vector.grid, s.key_heads, x, 1, s.key_heads, s.dk);
        (cells[static_cast<size_t>(head * s.dk + e)] >= cell ? at : below) = middle;
    }
    return at;
}

using Maker = std::function<float(Source &, int64_t head, int64_t e)>; // of key head and coordinate

Input made(Source &source, int64_t heads, int64_t key_heads, int64_t rows, int64_t d, int type, const Maker &maker) {
    Input input;
    for (int64_t h = 0; h < heads; ++h) {
        for (int64_t i = 0; i < rows * d; ++i)
            input.words.push_back(word_of(maker(source, h * key_heads / heads, i % d), type));
    }
    return input;
}

// One batch. Values and grad_out are bell-shaped with a few denormals and zeros; grad_out only where asked for.
Vector start(const char *name, const oracle::Shape &shape, uint64_t seed, const Maker &points, const Maker &values = {},
             const oracle::Grid &grid = {}, int qk_type = 0, int v_type = 0) {
    Vector vector;
    vector.name = name;
    vector.shape = shape;
    vector.grid = grid;
    vector.qk_type = qk_type;
    vector.v_type = v_type;
    Source source(seed);
    const Maker plain = [](Source &from, int64_t, int64_t) {
        return from.pick(0, 9) == 0 ? from.choose<float>({-0.0f, 1e-41f, 0}) : from.bell();
    };
    const oracle::Shape &s = shape;
    vector.q = made(source, s.heads, s.key_heads, s.queries, s.dk, qk_type, points);
    vector.k = made(source, s.key_heads, s.key_heads, s.keys, s.dk, qk_type, points);
    vector.v = made(source, s.key_heads, s.key_heads, s.keys, s.dv, v_type, values ? values : plain);
    return vector;
}

void ask(Vector &vector, int64_t k, int64_t w, bool exact, bool causal, bool mean, int64_t chunk, int64_t local,
         int64_t first) {
    Selection selection;
    oracle::Options &o = selection.options;
    o.neighbours = k;
    o.window = w;
    o.exact = exact;
    o.score = static_cast<oracle::Score>(vector.selections.size() % 5);
    o.causal = causal;
    o.mean = mean;
    o.chunk = chunk;
    o.local = causal ? local : 0;
    o.first = first;
    o.gamma = {exact ? 0.75f : 1.0f};
    o.grid = vector.grid;
    vector.selections.push_back(selection);
}

// Plain windows, re-ranked ones and exact selection, causal and not.
void ask_all(Vector &vector) {
    ask(vector, 8, 0, false, true, true, 1, 1, 0);
    ask(vector, 8, 20, false, true, false, 4, 3, 0);
    ask(vector, 5, 0, true, true, false, 1, 0, 0);
    ask(vector, 32, 128, false, false, false, 1, 0, 5);
    ask(vector, 7, 0, true, true, true, 16, 2, 9);
    ask(vector, 16, 0, false, false, true, 1, 0, 0);
    ask(vector, 1, 0, true, false, false, 1, 0, 3);
    ask(vector, 33, 0, true, true, false, 1, 20, 0);
    ask(vector, 3, 0, false, true, false, 7, 5, 2);
    ask(vector, 2, 65, false, false, false, 1, 0, 0);
}

void add_hurtful(std::vector<Vector> &all) {
    const Maker some = [](Source &from, int64_t, int64_t) {
        return from.pick(0, 3) == 0 ? from.choose(hurtful()) : from.bell();
    };
    for (const int64_t dk : {1, 2, 3, 4, 5, 8, 32}) {
        const oracle::Shape shape{1, 1, 1, dk == 32 ? 12 : 20, dk == 32 ? 24 : 67, dk, 2};
        const std::string name = "hurtful-" + std::to_string(dk);
        const Maker rare = [dk](Source &from, int64_t, int64_t) { // a NaN in each row would hide the rest
            return from.pick(0, dk * 2) == 0 ? from.choose(hurtful()) : from.bell();
        };
        all.push_back(start(name.c_str(), shape, 100 + static_cast<uint64_t>(dk), dk < 3 ? some : rare));
    }
    all.push_back(start(
        "hurtful-values", {1, 1, 1, 20, 67, 3, 3}, 152, [](Source &from, int64_t, int64_t) { return from.bell(); },
        some));
}

void add_borders(std::vector<Vector> &all) {
    oracle::Grid squash, range, units;
    squash.per_head = true;
    squash.scale = {0.7f, 1, 3e-3f, 1e6f};
    range.range = true;
    range.lo = {-1.1f};
    range.hi = {2.3f};
    units.range = true;
    for (const auto &[name, grid, shape] :
         {std::make_tuple("borders-squash-2", squash, oracle::Shape{1, 2, 2, 12, 45, 2, 2}),
          std::make_tuple("borders-range-3", range, oracle::Shape{1, 1, 1, 20, 67, 3, 2}),
          std::make_tuple("borders-units-1", units, oracle::Shape{1, 1, 1, 20, 67, 1, 2})}) {
        Vector axes;
        axes.shape = shape;
        axes.grid = grid;
        const int32_t cells = 1 << oracle::bits(shape.dk);
        const Maker maker = [&](Source &from, int64_t head, int64_t e) {
            const auto cell = static_cast<int32_t>(from.choose<int64_t>({1, cells - 1, from.pick(1, cells - 1)}));
            return float_at(border(axes, head, e, cell) + from.pick(-1, 1));
        };
        all.push_back(start(name, shape, 200 + static_cast<uint64_t>(shape.dk), maker, {}, grid));
    }
}

void add_ties(std::vector<Vector> &all) {
    const Maker few = [](Source &from, int64_t, int64_t) { return 0.5f * static_cast<float>(from.pick(-1, 1)); };
    all.push_back(start("ties-1", {1, 1, 1, 40, 40, 1, 2}, 301, few));
    all.push_back(start("ties-4", {1, 1, 1, 20, 131, 4, 2}, 304, few));
    all.push_back(start("equal-3", {1, 2, 1, 24, 24, 3, 2}, 305, [](Source &, int64_t, int64_t) { return 0.25f; }));
}

void add_tiny_and_huge(std::vector<Vector> &all) {
    oracle::Grid tiny, scaled;
    tiny.range = true;
    tiny.lo = {-400 * kDenormal};
    tiny.hi = {500 * kDenormal};
    scaled.scale = {1000 * kDenormal};
    const Maker denormal = [](Source &from, int64_t, int64_t) {
        return static_cast<float>(from.pick(-600, 600)) * kDenormal;
    };
    const Maker root = [](Source &from, int64_t, int64_t) { // their squares are denormal
        return static_cast<float>(from.pick(-40, 40)) * 0x1p-74f;
    };
    const Maker huge = [](Source &from, int64_t, int64_t) {
        return from.choose<float>({FLT_MAX, -FLT_MAX, 0x1p63f, 0x1.8p63f, -0x1p63f, 1.9e19f, 0x1p127f, 3, -0.0f});
    };
    all.push_back(start("denormals-range-3", {1, 1, 1, 20, 67, 3, 2}, 401, denormal, {}, tiny));
    all.push_back(start("denormals-squash-2", {1, 1, 1, 20, 67, 2, 2}, 402, denormal, denormal, scaled));
    all.push_back(start("denormal-distances-2", {1, 1, 1, 20, 67, 2, 2}, 403, root));
    all.push_back(start("huge-2", {1, 1, 1, 20, 67, 2, 2}, 404, huge));
}

void add_halves(std::vector<Vector> &all) {
    const Maker some = [](Source &from, int64_t, int64_t) {
        return from.pick(0, 7) == 0 ? from.choose(hurtful()) : from.bell();
    };
    all.push_back(start("float16-3", {1, 2, 1, 12, 67, 3, 2}, 501, some, {}, {}, 2, 2));
    all.push_back(start("bfloat16-4", {1, 1, 1, 20, 67, 4, 2}, 502, some, {}, {}, 1, 1));
}

// Each special number of a type in turn in every fifth place of q, k and v: none is left to chance.
void add_special(std::vector<Vector> &all) {
    const char *const names[] = {"special-3", "special-bfloat16-3", "special-float16-3"};
    for (const int type : {0, 1, 2}) {
        const float most = type == 0 ? FLT_MAX : type == 1 ? 0x1.fep127f : 65504.0f;
        const float normal = type == 2 ? 0x1p-14f : FLT_MIN;
        const float least = type == 0 ? kDenormal : type == 1 ? 0x1p-133f : 0x1p-24f;
        std::vector<float> list = {kNaN,    -kNaN, kInfinity, -kInfinity,     most,           -most, normal,
                                   -normal, least, -least,    normal - least, least - normal, 0.0f,  -0.0f};
        if (type == 0) list.push_back(float_of(0xff800001u)); // a signalling NaN
        const Maker maker = [list, n = size_t{0}](Source &from, int64_t, int64_t) mutable {
            return ++n % 5 == 0 ? list[n / 5 % list.size()] : from.bell();
        };
        const oracle::Shape shape{1, 1, 1, 26, 67, 3, 2};
        all.push_back(start(names[type], shape, 510 + static_cast<uint64_t>(type), maker, maker, {}, type, type));
    }
}

// With gradients, which are promised for moderate numbers.
void add_gradients(std::vector<Vector> &all) {
    const Maker bell = [](Source &from, int64_t, int64_t) { return from.bell(); };
    for (const int64_t dk : {2, 3}) {
        const std::string name = "gradients-" + std::to_string(dk);
        all.push_back(start(name.c_str(), {1, 2, 1, 12, 24, dk, 2}, 600 + static_cast<uint64_t>(dk), bell));
        Source source(610);
        all.back().grad_out = made(source, 2, 1, 12, 2, 0, bell);
    }
}

// Thousands of keys: longer than any base case of the sort, several levels, trees of some depth.
void add_large(std::vector<Vector> &all) {
    for (const auto &[name, dk, bits, keys] :
         {std::make_tuple("large-1", 1, 24, 5000), std::make_tuple("large-3", 3, 24, 4000),
          std::make_tuple("large-4-ties", 4, 4, 3000), std::make_tuple("large-8", 8, 24, 1500)}) {
        Vector vector;
        vector.name = name;
        vector.shape = {1, 1, 1, 700, keys, dk, 1};
        const oracle::Shape &s = vector.shape;
        const auto seed = static_cast<uint64_t>(700 + dk);
        vector.q = draw(seed, bits, s.queries * s.dk);
        vector.k = draw(seed + 100, bits, s.keys * s.dk);
        vector.v = draw(seed + 200, 24, s.keys * s.dv);
        ask(vector, 32, 0, false, true, false, 1, 1, 0);
        ask(vector, 32, 200, false, true, false, 64, 0, 100);
        ask(vector, 32, 0, true, true, false, 1, 1, 0);
        ask(vector, 100, 0, true, false, false, 1, 0, 0);
        ask(vector, 24, 96, false, false, false, 1, 0, 1000);
        all.push_back(vector);
    }
}

} // namespace

std::vector<Vector> inputs() {
    std::vector<Vector> all;
    add_hurtful(all);
    add_borders(all);
    add_ties(all);
    add_tiny_and_huge(all);
    add_halves(all);
    add_special(all);
    add_gradients(all);
    for (Vector &vector : all) ask_all(vector);
    add_large(all);
    return all;
}

} // namespace vectors
