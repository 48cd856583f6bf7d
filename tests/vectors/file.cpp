// SPDX-License-Identifier: Apache-2.0
// Shared vectors as text (vector.hpp says what the lines mean), hashes, and numbers drawn alike on every machine.
#include <cmath>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "halves.hpp"
#include "vector.hpp"

namespace vectors {

void Hash::add(uint64_t number) {
    for (int byte = 0; byte < 8; ++byte) {
        value ^= number >> 8 * byte & 255;
        value *= 1099511628211u;
    }
}

bool Expected::allows(double got) const {
    if (tolerance < 0) return true;
    if (std::isnan(value)) return std::isnan(got);
    return std::isinf(value) ? got == value : std::fabs(got - value) <= tolerance;
}

uint32_t bits_of(float x) {
    uint32_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

float float_of(uint32_t bits) {
    float x = 0;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

uint32_t word_of(float x, int type) {
    return type == 0 ? bits_of(x) : type == 1 ? oracle::to_bfloat16(x) : oracle::to_float16(x);
}

std::vector<float> Input::floats(int type) const {
    std::vector<float> result;
    for (const uint32_t word : words) {
        const auto half = static_cast<uint16_t>(word);
        result.push_back(type == 0   ? float_of(word)
                         : type == 1 ? oracle::from_bfloat16(half)
                                     : oracle::from_float16(half));
    }
    return result;
}

uint64_t next(uint64_t &state) {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

Input draw(uint64_t seed, int bits, int64_t n) {
    Input result{seed, bits, {}};
    uint64_t state = seed;
    for (int64_t i = 0; i < n; ++i) {
        const auto whole = static_cast<int32_t>(next(state) >> (64 - bits)) - (int32_t{1} << (bits - 1));
        result.words.push_back(bits_of(std::ldexp(static_cast<float>(whole), 2 - bits)));
    }
    return result;
}

namespace {

const char *const kValueKeys[] = {"out", "normaliser", "grad_q", "grad_k", "grad_v", "grad_gamma"};

std::string hex(uint64_t number, int digits) {
    std::ostringstream text;
    text << std::hex << std::setw(digits) << std::setfill('0') << number;
    return text.str();
}

void write_floats(std::ostream &file, const std::vector<float> &x) {
    for (const float value : x) file << ' ' << hex(bits_of(value), 8);
}

void write_input(std::ostream &file, const char *key, const Input &input, int type) {
    if (input.words.empty()) return;
    file << key;
    if (input.seed != 0) {
        file << " drawn " << input.seed << ' ' << input.bits << '\n';
        return;
    }
    file << ' ' << input.words.size();
    for (const uint32_t word : input.words) file << ' ' << hex(word, type == 0 ? 8 : 4);
    file << '\n';
}

void write_values(std::ostream &file, const std::string &key, const std::vector<Expected> &values) {
    file << key << ' ' << values.size();
    for (const Expected &expected : values) {
        file << ' ';
        if (expected.tolerance < 0)
            file << "any";
        else if (std::isnan(expected.value))
            file << "nan";
        else if (std::isinf(expected.value))
            file << (expected.value > 0 ? "inf" : "-inf");
        else
            file << std::setprecision(9) << expected.value << '~' << std::setprecision(3) << expected.tolerance;
    }
    file << '\n';
}

void write_selection(std::ostream &file, const Selection &selection) {
    const oracle::Options &o = selection.options;
    file << "selection " << o.neighbours << ' ' << o.window << ' ' << o.exact << ' ' << static_cast<int>(o.score) << ' '
         << o.causal << ' ' << o.mean << ' ' << o.chunk << ' ' << o.local << ' ' << o.first;
    write_floats(file, o.gamma);
    file << "\nneighbours " << hex(selection.neighbours, 16) << "\ndistances " << hex(selection.distances, 16) << '\n';
    for (const char *key : kValueKeys) {
        const auto at = selection.values.find(key);
        if (at != selection.values.end()) write_values(file, key, at->second);
    }
}

// Words of a line, each of which must be there.
class Line {
public:
    explicit Line(const std::string &line) : text_(line) {}
    std::string word() {
        std::string result;
        if (!(text_ >> result)) throw std::runtime_error("a line is too short");
        return result;
    }
    int64_t number() { return std::stoll(word()); }
    uint64_t hexadecimal() { return std::stoull(word(), nullptr, 16); }
    float real() { return float_of(static_cast<uint32_t>(hexadecimal())); }
    bool ended() { return (text_ >> std::ws).eof(); }

private:
    std::istringstream text_;
};

oracle::Shape read_shape(Line &line) {
    oracle::Shape s;
    for (int64_t *extent : {&s.batches, &s.heads, &s.key_heads, &s.queries, &s.keys, &s.dk, &s.dv})
        *extent = line.number();
    return s;
}

oracle::Grid read_grid(Line &line, const oracle::Shape &shape) {
    oracle::Grid grid;
    grid.range = line.word() == "range";
    grid.per_head = line.number() != 0;
    const auto count = static_cast<size_t>(grid.per_head ? shape.key_heads * shape.dk : 1);
    for (std::vector<float> *values : {&grid.scale, &grid.lo, &grid.hi}) {
        if ((values == &grid.scale) == grid.range) continue;
        values->resize(count);
        for (float &value : *values) value = line.real();
    }
    return grid;
}

Input read_input(Line &line, int64_t count) {
    const std::string first = line.word();
    if (first == "drawn") {
        const auto seed = static_cast<uint64_t>(line.number());
        return draw(seed, static_cast<int>(line.number()), count);
    }
    if (std::stoll(first) != count) throw std::runtime_error("an input has another size than the shape says");
    Input input;
    while (count-- > 0) input.words.push_back(static_cast<uint32_t>(line.hexadecimal()));
    return input;
}

Selection read_selection(Line &line) {
    Selection selection;
    oracle::Options &o = selection.options;
    o.neighbours = line.number();
    o.window = line.number();
    o.exact = line.number() != 0;
    o.score = static_cast<oracle::Score>(line.number());
    o.causal = line.number() != 0;
    o.mean = line.number() != 0;
    o.chunk = line.number();
    o.local = line.number();
    o.first = line.number();
    o.gamma = {line.real()};
    return selection;
}

std::vector<Expected> read_values(Line &line) {
    std::vector<Expected> values;
    for (int64_t count = line.number(); count > 0; --count) {
        const std::string word = line.word();
        const size_t mark = word.find('~');
        if (word == "any")
            values.push_back({0, -1});
        else
            values.push_back({std::stod(word), mark == std::string::npos ? 0 : std::stod(word.substr(mark + 1))});
    }
    return values;
}

// One line after the shape; false if the key is unknown.
bool read_line(Vector &vector, const std::string &key, Line &line) {
    const oracle::Shape &s = vector.shape;
    const int64_t q_rows = s.batches * s.heads * s.queries, k_rows = s.batches * s.key_heads * s.keys;
    if (key == "types") {
        vector.qk_type = static_cast<int>(line.number());
        vector.v_type = static_cast<int>(line.number());
    } else if (key == "grid") {
        vector.grid = read_grid(line, s);
    } else if (key == "q") {
        vector.q = read_input(line, q_rows * s.dk);
    } else if (key == "k") {
        vector.k = read_input(line, k_rows * s.dk);
    } else if (key == "v") {
        vector.v = read_input(line, k_rows * s.dv);
    } else if (key == "grad_out") {
        vector.grad_out = read_input(line, q_rows * s.dv);
    } else if (key == "q_codes" || key == "k_codes" || key == "k_order") {
        (key == "q_codes" ? vector.q_codes : key == "k_codes" ? vector.k_codes : vector.k_order) = line.hexadecimal();
    } else if (key == "selection") {
        vector.selections.push_back(read_selection(line));
        vector.selections.back().options.grid = vector.grid;
    } else if (vector.selections.empty()) {
        return false;
    } else if (key == "neighbours" || key == "distances") {
        Selection &last = vector.selections.back();
        (key == "neighbours" ? last.neighbours : last.distances) = line.hexadecimal();
    } else {
        for (const char *known : kValueKeys) {
            if (key == known) vector.selections.back().values[key] = read_values(line);
        }
        return vector.selections.back().values.count(key) != 0;
    }
    return true;
}

} // namespace

Vector read(const std::string &path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    Vector vector;
    for (std::string text; std::getline(file, text);) {
        if (text.empty() || text[0] == '#') continue;
        Line line(text);
        const std::string key = line.word();
        bool known = true;
        if (key == "shape")
            vector.shape = read_shape(line);
        else
            known = read_line(vector, key, line);
        if (!known || !line.ended()) throw std::runtime_error(path + ": a line that cannot be read: " + key);
    }
    return vector;
}

void write(const std::string &path, const Vector &vector) {
    std::ofstream file(path);
    const oracle::Shape &s = vector.shape;
    const oracle::Grid &grid = vector.grid;
    file << "# Written by tests/vectors/vectors; vector.hpp beside it says what the lines mean.\nshape " << s.batches
         << ' ' << s.heads << ' ' << s.key_heads << ' ' << s.queries << ' ' << s.keys << ' ' << s.dk << ' ' << s.dv
         << "\ntypes " << vector.qk_type << ' ' << vector.v_type << "\ngrid " << (grid.range ? "range " : "squash ")
         << grid.per_head;
    if (!grid.range) write_floats(file, grid.scale);
    if (grid.range) write_floats(file, grid.lo);
    if (grid.range) write_floats(file, grid.hi);
    file << '\n';
    write_input(file, "q", vector.q, vector.qk_type);
    write_input(file, "k", vector.k, vector.qk_type);
    write_input(file, "v", vector.v, vector.v_type);
    write_input(file, "grad_out", vector.grad_out, vector.v_type);
    file << "q_codes " << hex(vector.q_codes, 16) << "\nk_codes " << hex(vector.k_codes, 16) << "\nk_order "
         << hex(vector.k_order, 16) << '\n';
    for (const Selection &selection : vector.selections) write_selection(file, selection);
    if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

} // namespace vectors
