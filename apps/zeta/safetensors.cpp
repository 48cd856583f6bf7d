// SPDX-License-Identifier: Apache-2.0
// A .safetensors file is a 64-bit little-endian length, a JSON object of that many bytes, then the tensors' bytes,
// which tensors must cover once and without a gap.
#include "safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "file.hpp"

namespace zeta::app {

namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000; // the format's own limit
constexpr size_t kChunk = size_t{1} << 16;   // elements converted at a time

struct Entry {
    std::string name;
    std::string dtype;
    Shape shape;
    uint64_t begin = 0, end = 0; // bytes, from the first one after the header
};

// Bytes of an element, 0 for types this reader does not know.
uint64_t element_size(const std::string &dtype) {
    static const std::map<std::string, uint64_t> kSizes = {
        {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
        {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}};
    const auto found = kSizes.find(dtype);
    return found == kSizes.end() ? 0 : found->second;
}

[[noreturn]] void corrupt(const InputFile &file, const std::string &reason) {
    file.fail("corrupt .safetensors header: " + reason);
}

json read_header(const InputFile &file, uint64_t *data) {
    unsigned char prefix[8];
    if (file.size() < 8) file.fail("truncated: " + std::to_string(file.size()) + " bytes are no .safetensors file");
    file.read(0, prefix, 8);
    uint64_t length = 0;
    for (int byte = 7; byte >= 0; --byte) length = length << 8 | prefix[byte];
    if (length > file.size() - 8)
        file.fail("truncated or not a .safetensors file: its header would have " + std::to_string(length) +
                  " bytes, the file has " + std::to_string(file.size()));
    if (length > kMaxHeader) corrupt(file, std::to_string(length) + " bytes long");
    std::string text(static_cast<size_t>(length), '\0');
    file.read(8, text.data(), text.size());
    *data = 8 + length;
    if (text.find('\0') != std::string::npos) corrupt(file, "not valid JSON"); // the end, to the parser

    std::set<std::string> names;
    std::string repeated;
    const auto watch = [&](int depth, json::parse_event_t event, json &parsed) {
        if (event == json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
            repeated = parsed.get<std::string>();
        return true;
    };
    json header;
    try {
        header = json::parse(text, watch);
    } catch (const json::exception &) {
        corrupt(file, "not valid JSON");
    }
    if (!header.is_object()) corrupt(file, "not a JSON object");
    if (!repeated.empty()) corrupt(file, "tensor '" + repeated + "' appears twice");
    return header;
}

uint64_t count_of(const InputFile &file, const std::string &name, const json &value) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
        corrupt(file, "tensor '" + name + "' has a shape or offset that is no count");
    return value.get<uint64_t>();
}

Entry read_entry(const InputFile &file, const std::string &name, const json &value) {
    const auto has = [&](const char *key) { return value.is_object() && value.contains(key); };
    if (!has("dtype") || !value["dtype"].is_string()) corrupt(file, "tensor '" + name + "' has no dtype");
    if (!has("shape") || !value["shape"].is_array()) corrupt(file, "tensor '" + name + "' has no shape");
    if (!has("data_offsets") || !value["data_offsets"].is_array() || value["data_offsets"].size() != 2)
        corrupt(file, "tensor '" + name + "' has no pair of data_offsets");
    Entry entry;
    entry.name = name;
    entry.dtype = value["dtype"].get<std::string>();
    for (const json &extent : value["shape"]) entry.shape.push_back(static_cast<int64_t>(count_of(file, name, extent)));
    entry.begin = count_of(file, name, value["data_offsets"][0]);
    entry.end = count_of(file, name, value["data_offsets"][1]);
    if (entry.begin > entry.end)
        corrupt(file, "tensor '" + name + "' ends at byte " + std::to_string(entry.end) + ", before its begin " +
                          std::to_string(entry.begin));
    uint64_t bytes = element_size(entry.dtype);
    if (bytes == 0) return entry;
    for (int64_t extent : entry.shape)
        if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes))
            corrupt(file, "tensor '" + name + "': shape " + shape_text(entry.shape) + " overflows");
    if (bytes != entry.end - entry.begin)
        corrupt(file, "tensor '" + name + "': shape " + shape_text(entry.shape) + " of " + entry.dtype + " takes " +
                          std::to_string(bytes) + " bytes, its offsets " + std::to_string(entry.end - entry.begin));
    return entry;
}

std::vector<Entry> read_entries(const InputFile &file, uint64_t *data) {
    const json header = read_header(file, data);
    std::vector<Entry> entries;
    for (const auto &item : header.items())
        if (item.key() != "__metadata__") entries.push_back(read_entry(file, item.key(), item.value()));
    std::sort(entries.begin(), entries.end(),
              [](const Entry &a, const Entry &b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
    uint64_t covered = 0;
    for (const Entry &entry : entries) {
        if (entry.begin != covered)
            corrupt(file, "tensor '" + entry.name + "' begins at byte " + std::to_string(entry.begin) + " where " +
                              std::to_string(covered) + " is due: tensors overlap or leave a gap");
        covered = entry.end;
    }
    const uint64_t present = file.size() - *data;
    if (present != covered)
        file.fail(std::string(present < covered ? "truncated" : "corrupt") + ": its tensors take " +
                  std::to_string(covered) + " bytes, the file holds " + std::to_string(present));
    return entries;
}

Array read_tensor(const InputFile &file, const Entry &entry, uint64_t offset) {
    const int32_t stored = entry.dtype == "F32" ? ZETA_F32 : entry.dtype == "BF16" ? ZETA_BF16 : ZETA_F16;
    if (entry.dtype != "F32" && entry.dtype != "BF16" && entry.dtype != "F16")
        file.fail("tensor '" + entry.name + "' is " + entry.dtype + "; zeta reads F32, BF16 or F16");
    Array array(ZETA_F32, entry.shape);
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

} // namespace

std::map<std::string, Array> read_safetensors(const std::string &path, const std::vector<std::string> &names) {
    const InputFile file(path);
    uint64_t data = 0;
    const std::vector<Entry> entries = read_entries(file, &data);
    std::map<std::string, Array> tensors;
    for (const Entry &entry : entries)
        if (std::find(names.begin(), names.end(), entry.name) != names.end())
            tensors.emplace(entry.name, read_tensor(file, entry, data + entry.begin));
    return tensors;
}

} // namespace zeta::app
