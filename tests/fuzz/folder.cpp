// SPDX-License-Identifier: Apache-2.0
// Every tensor has the same pattern of plain numbers, which nothing but its shape tells from another's.
#include "folder.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "array.hpp"
#include "npy.hpp"

namespace fuzz {

namespace {

namespace fs = std::filesystem;
using zeta::app::Array;
using zeta::app::Shape;

std::string npy(int32_t dtype, const Shape &shape) {
    Array array(dtype, shape);
    std::vector<float> floats(size_t(array.size()));
    uint32_t state = 1;
    for (float &x : floats) {
        state = state * 1664525u + 1013904223u;
        x = float(int32_t(state)) * 0x1p-30f;
    }
    if (dtype == ZETA_F32 && !floats.empty()) std::memcpy(array.data<void>(), floats.data(), array.bytes());
    if (dtype == ZETA_I32 && !floats.empty()) std::memset(array.data<void>(), 0, array.bytes());
    std::string file;
    zeta::app::write_npy(array, [&](const void *data, size_t bytes) {
        if (bytes > 0) file.append(static_cast<const char *>(data), bytes);
    });
    return file;
}

// A float16 file: the bytes of half as many float32 under another name.
std::string npy_of_halves(const Shape &shape) {
    Array widened(ZETA_F32, shape);
    std::string file = npy(ZETA_F32, shape);
    const size_t data = file.size() - widened.bytes();
    file.replace(file.find("<f4"), 3, "<f2");
    std::string halves;
    for (int64_t i = 0; i < widened.size(); ++i) halves += {char(i * 37), char(0x38 + i % 4)};
    return file.substr(0, data) + halves;
}

std::string safetensors(const std::string &header, size_t bytes) {
    std::string file(8, '\0');
    const uint64_t length = header.size();
    std::memcpy(file.data(), &length, 8);
    file += header;
    for (size_t i = 0; i < bytes; ++i) file += char(i % 4 == 3 ? 0x3f : i * 29);
    return file;
}

std::string read(const fs::path &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

} // namespace

Folder::Folder() {
    const char *temporary = std::getenv("TMPDIR");
    std::string name = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : temporary ? temporary : "/tmp";
    name += "/zeta-fuzz-XXXXXX";
    if (!::mkdtemp(name.data())) std::abort();
    outer_ = name;
    path_ = name + "/inside";
    fs::create_directories(path_ + "/sub");
    put_tensors();
    put_broken();
    std::string text;
    while (text.size() < 200) text += "it is a truth universally acknowledged, that a key in want of a query\n";
    put("text", text.substr(0, 200));
    put("one", "a");
    put("empty", "");
    put("precious", "precious");
    fs::create_symlink("precious", path_ + "/link");
    fs::create_symlink("nowhere", path_ + "/dangling");
    if (::mkfifo((path_ + "/pipe").c_str(), 0600) != 0) std::abort();
    input_ = ::open((path_ + "/text").c_str(), O_RDONLY);
    if (input_ < 0 || ::dup2(input_, STDIN_FILENO) < 0) std::abort();
}

Folder::~Folder() {
    std::error_code ignored;
    fs::remove_all(outer_, ignored);
}

void Folder::put(const std::string &name, const std::string &content) {
    std::ofstream file(path_ + "/" + name, std::ios::binary);
    file.write(content.data(), std::streamsize(content.size()));
    if (!file.flush()) std::abort();
}

void Folder::put_tensors() {
    const struct {
        const char *letter;
        Shape matrix, heads, batches, empty, wide;
    } shapes[] = {{"q", {12, 3}, {4, 6, 2}, {2, 1, 5, 3}, {0, 3}, {3, 33}},
                  {"k", {12, 3}, {2, 7, 2}, {2, 1, 5, 3}, {0, 3}, {3, 33}},
                  {"v", {12, 2}, {2, 7, 5}, {2, 1, 5, 1}, {0, 2}, {3, 1}},
                  {"g", {12, 2}, {4, 6, 5}, {2, 1, 5, 1}, {0, 2}, {3, 1}}};
    for (const auto &of : shapes) {
        const std::string letter = of.letter;
        put(letter + ".npy", npy(ZETA_F32, of.matrix));
        put(letter + "-heads.npy", npy(ZETA_F32, of.heads));
        put(letter + "-batches.npy", npy(ZETA_F32, of.batches));
        put(letter + "-empty.npy", npy(ZETA_F32, of.empty));
        put(letter + "-wide.npy", npy(ZETA_F32, of.wide));
        put(letter + "-half.npy", npy_of_halves(of.matrix));
    }
    put("few.npy", npy(ZETA_F32, {11, 3}));
    put("many.npy", npy(ZETA_F32, {0, 3, 0, int64_t{1} << 40}));
    put("heads.npy", npy(ZETA_F32, {int64_t{1} << 40, 0, 3}));
    put("channels.npy", npy(ZETA_F32, {0, int64_t{1} << 40}));
    put("scalar.npy", npy(ZETA_F32, {}));
    put("row.npy", npy(ZETA_F32, {12}));
    put("rank5.npy", npy(ZETA_F32, {1, 1, 1, 2, 3}));
    const std::string entries = R"({"q":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]},)"
                                R"("k":{"dtype":"BF16","shape":[5,3],"data_offsets":[48,78]},)"
                                R"("v":{"dtype":"F16","shape":[5,2],"data_offsets":[78,98]}})";
    put("all.safetensors", safetensors(entries, 98));
    put("cut.safetensors", safetensors(entries, 97));
    put("none.safetensors", safetensors("{}", 0));
}

void Folder::put_broken() {
    const std::string good = npy(ZETA_F32, {12, 3});
    std::string odd = good, other = good, order = good;
    const uint32_t bits[] = {0x7fc00000, 0xff800000, 1}; // not a number, an infinity, a denormal
    for (size_t i = 0; i < 12; ++i) std::memcpy(&odd[odd.size() - 144 + 12 * i], &bits[i % 3], 4);
    put("odd.npy", odd);
    put("cut.npy", good.substr(0, good.size() - 1));
    put("longer.npy", good + "x");
    put("head.npy", good.substr(0, 40));
    other.replace(other.find("<f4"), 3, ">f4");
    put("big-endian.npy", other);
    order.replace(order.find("False"), 5, "True,");
    put("fortran.npy", order);
    put("integers.npy", npy(ZETA_I32, {12, 3}));
}

void Folder::enter() {
    if (::chdir(path_.c_str()) != 0) std::abort();
}

void Folder::rewind_input() {
    if (::lseek(input_, 0, SEEK_SET) != 0) std::abort();
}

bool Folder::alone() const {
    return std::distance(fs::directory_iterator(outer_), fs::directory_iterator()) == 1;
}

Folder::Files Folder::look() const {
    Files files;
    for (const auto &entry : fs::recursive_directory_iterator(path_)) {
        const std::string name = entry.path().string().substr(path_.size() + 1);
        const fs::file_status status = entry.symlink_status();
        if (fs::is_symlink(status))
            files[name] = "link to " + fs::read_symlink(entry.path()).string();
        else
            files[name] = fs::is_regular_file(status) ? "file " + read(entry.path()) : "no file";
    }
    return files;
}

void Folder::keep() {
    files_ = look();
}

std::set<std::string> Folder::changed() const {
    const Files now = look();
    std::set<std::string> names;
    for (const auto &[name, content] : now) {
        const auto before = files_.find(name);
        if (before == files_.end() || before->second != content) names.insert(name);
    }
    for (const auto &file : files_)
        if (now.count(file.first) == 0) names.insert(file.first);
    return names;
}

void Folder::restore(const std::set<std::string> &names) {
    for (const std::string &name : names) {
        const auto before = files_.find(name);
        if (before == files_.end())
            fs::remove(path_ + "/" + name);
        else
            put(name, before->second.substr(5));
    }
}

void Folder::patch(const std::vector<Patch> &patches) {
    std::string file = files_.at("saved").substr(5);
    for (const Patch &patch : patches) file[patch.offset % file.size()] = char(patch.value);
    constexpr size_t kHead = 40, kState = 24, kHash = 32; // as in predict_saved.cpp
    uint64_t state = 0;
    std::memcpy(&state, &file[kState], sizeof state);
    if (state <= file.size() - kHead) {
        const char *at = file.data() + kHead;
        const uint64_t hash =
            XXH3_64bits_withSeed(at + state, file.size() - kHead - size_t(state), XXH3_64bits(at, size_t(state)));
        std::memcpy(&file[kHash], &hash, sizeof hash);
    }
    put("patched", file);
    files_["patched"] = "file " + file;
}

} // namespace fuzz
