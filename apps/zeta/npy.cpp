// SPDX-License-Identifier: Apache-2.0
// The header of a .npy file is a Python dictionary of three known keys: descr, fortran_order and shape. The parser
// takes exactly that. A shape is believed only when the file's size agrees with it, before any memory is asked for.
#include "npy.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "commands.hpp"
#include "file.hpp"

namespace zeta::app {

namespace {

constexpr char kMagic[] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};
constexpr size_t kMaxHeader = size_t{1} << 20; // NumPy writes 118 bytes for a plain array
constexpr size_t kChunk = size_t{1} << 16;     // elements converted at a time

struct Header {
    std::string descr;
    bool fortran_order = false;
    Shape shape;
    bool has_descr = false, has_order = false, has_shape = false;
};

class HeaderParser {
public:
    HeaderParser(const InputFile &file, const std::string &text) : file_(file), text_(text) {}

    Header parse() {
        Header header;
        expect('{');
        while (!take('}')) {
            const std::string key = string();
            expect(':');
            value(key, header);
            if (!take(',')) {
                expect('}');
                break;
            }
        }
        skip_space();
        if (at_ != text_.size()) corrupt("text follows the dictionary");
        if (!header.has_descr) corrupt("'descr' is missing");
        if (!header.has_order) corrupt("'fortran_order' is missing");
        if (!header.has_shape) corrupt("'shape' is missing");
        return header;
    }

private:
    [[noreturn]] void corrupt(const std::string &reason) const { file_.fail("corrupt .npy header: " + reason); }

    void value(const std::string &key, Header &header) {
        if (key == "descr" && !header.has_descr) {
            if (peek() == '[') file_.fail("holds a structured type; zeta reads little-endian float32 or float16");
            header.descr = string();
            header.has_descr = true;
        } else if (key == "fortran_order" && !header.has_order) {
            header.fortran_order = boolean();
            header.has_order = true;
        } else if (key == "shape" && !header.has_shape) {
            header.shape = tuple();
            header.has_shape = true;
        } else {
            corrupt("unexpected key '" + key + "'");
        }
    }

    void skip_space() {
        while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) && text_[at_]) ++at_;
    }

    char peek() {
        skip_space();
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    bool take(char c) {
        if (peek() != c || at_ >= text_.size()) return false;
        ++at_;
        return true;
    }

    void expect(char c) {
        if (!take(c)) corrupt(std::string("'") + c + "' expected at byte " + std::to_string(at_));
    }

    std::string string() {
        const char quote = peek();
        if (quote != '\'' && quote != '"') corrupt("a string expected at byte " + std::to_string(at_));
        const size_t end = text_.find(quote, at_ + 1);
        if (end == std::string::npos) corrupt("a string does not end");
        std::string found = text_.substr(at_ + 1, end - at_ - 1);
        at_ = end + 1;
        return found;
    }

    bool boolean() {
        skip_space();
        if (text_.compare(at_, 4, "True") == 0) return at_ += 4, true;
        if (text_.compare(at_, 5, "False") == 0) return at_ += 5, false;
        corrupt("'fortran_order' is neither True nor False");
    }

    Shape tuple() {
        Shape shape;
        expect('(');
        while (!take(')')) {
            shape.push_back(extent());
            if (!take(',')) {
                expect(')');
                break;
            }
        }
        return shape;
    }

    int64_t extent() {
        const char first = peek();
        if (first < '0' || first > '9') corrupt("'shape' is not a tuple of counts");
        int64_t value = 0;
        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
            if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
                corrupt("an extent of 'shape' is beyond 2^63");
        if (at_ < text_.size() && text_[at_] == 'L') ++at_; // as Python 2 wrote it
        return value;
    }

    const InputFile &file_;
    const std::string &text_;
    size_t at_ = 0;
};

// The header's text; *data gets the offset of the first element.
std::string header_text(const InputFile &file, uint64_t *data) {
    unsigned char prefix[12] = {};
    if (file.size() < 10) file.fail("truncated: " + std::to_string(file.size()) + " bytes are no .npy file");
    file.read(0, prefix, 10);
    if (std::memcmp(prefix, kMagic, sizeof kMagic) != 0) file.fail("not a .npy file");
    const int major = prefix[6], minor = prefix[7];
    if (major < 1 || major > 3 || minor != 0)
        file.fail("unknown .npy version " + std::to_string(major) + "." + std::to_string(minor) +
                  "; 1.0 to 3.0 are read");
    uint64_t length = prefix[8] | prefix[9] << 8;
    uint64_t start = 10;
    if (major > 1) {
        start = 12;
        file.read(10, prefix + 10, 2);
        length |= static_cast<uint64_t>(prefix[10]) << 16 | static_cast<uint64_t>(prefix[11]) << 24;
    }
    if (length > file.size() - start)
        file.fail("truncated: the header has " + std::to_string(length) + " bytes, the file " +
                  std::to_string(file.size()));
    if (length > kMaxHeader) file.fail("corrupt .npy header: " + std::to_string(length) + " bytes long");
    std::string text(static_cast<size_t>(length), '\0');
    file.read(start, text.data(), text.size());
    *data = start + length;
    return text;
}

// "float64", "big-endian float32", ... for a sentence; the bare descr for what has no simple name.
std::string descr_name(const std::string &descr) {
    static constexpr struct {
        const char *code;
        const char *name;
    } kNames[] = {{"f2", "float16"},   {"f4", "float32"}, {"f8", "float64"},    {"f16", "float128"},
                  {"i1", "int8"},      {"i2", "int16"},   {"i4", "int32"},      {"i8", "int64"},
                  {"u1", "uint8"},     {"u2", "uint16"},  {"u4", "uint32"},     {"u8", "uint64"},
                  {"c8", "complex64"}, {"b1", "bool"},    {"c16", "complex128"}};
    if (descr.empty()) return "no type";
    if (descr[0] == '|' && descr.compare(1, 1, "O") == 0) return "Python objects ('" + descr + "')";
    for (const auto &entry : kNames)
        if (descr.compare(1, std::string::npos, entry.code) == 0)
            return std::string(descr[0] == '>' ? "big-endian " : "") + entry.name + " ('" + descr + "')";
    return "type '" + descr + "'";
}

} // namespace

Array read_npy(const std::string &path) {
    const InputFile file(path);
    uint64_t offset = 0;
    const std::string text = header_text(file, &offset);
    const Header header = HeaderParser(file, text).parse();
    const int32_t stored = header.descr == "<f4" ? ZETA_F32 : ZETA_F16;
    if (header.descr != "<f4" && header.descr != "<f2")
        file.fail("holds " + descr_name(header.descr) + "; zeta reads little-endian float32 or float16");
    if (header.fortran_order) file.fail("is in Fortran order; zeta reads C order (numpy.ascontiguousarray)");

    uint64_t expected = zeta_dtype_size(stored);
    for (int64_t extent : header.shape)
        if (__builtin_mul_overflow(expected, static_cast<uint64_t>(extent), &expected))
            file.fail("corrupt .npy header: shape " + shape_text(header.shape) + " overflows");
    const uint64_t present = file.size() - offset;
    if (present != expected)
        file.fail(std::string(present < expected ? "truncated" : "corrupt") + ": shape " + shape_text(header.shape) +
                  " of " + dtype_name(stored) + " takes " + std::to_string(expected) + " bytes, the file holds " +
                  std::to_string(present));

    Array array(ZETA_F32, header.shape);
    if (stored == ZETA_F32) {
        file.read(offset, array.data<void>(), array.bytes());
        return array;
    }
    std::vector<uint16_t> halves(kChunk);
    for (size_t done = 0, total = static_cast<size_t>(array.size()); done < total;) {
        const size_t count = std::min(kChunk, total - done);
        file.read(offset + done * 2, halves.data(), count * 2);
        widen(stored, halves.data(), array.data<float>() + done, count);
        done += count;
    }
    return array;
}

void write_npy(const Array &array, const Sink &sink) {
    const bool floating = array.dtype() != ZETA_I32 && array.dtype() != ZETA_U64;
    std::string shape;
    for (int64_t extent : array.shape()) shape += std::to_string(extent) + ", ";
    if (array.rank() > 1) shape.resize(shape.size() - 2);
    if (array.rank() == 1) shape.resize(shape.size() - 1);
    std::string text = std::string("{'descr': '") +
                       (floating                    ? "<f4"
                        : array.dtype() == ZETA_I32 ? "<i4"
                                                    : "<u8") +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
    text.append(63 - (10 + text.size()) % 64, ' ');
    text += '\n';
    std::string prefix(kMagic, sizeof kMagic);
    prefix += {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
    sink(prefix.data(), prefix.size());
    sink(text.data(), text.size());
    if (!floating || array.dtype() == ZETA_F32) {
        sink(array.data<void>(), array.bytes());
        return;
    }
    std::vector<float> floats(kChunk);
    for (size_t done = 0, total = static_cast<size_t>(array.size()); done < total;) {
        const size_t count = std::min(kChunk, total - done);
        widen(array.dtype(), array.data<uint16_t>() + done, floats.data(), count);
        sink(floats.data(), count * sizeof(float));
        done += count;
    }
}

} // namespace zeta::app
