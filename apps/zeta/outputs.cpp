// SPDX-License-Identifier: Apache-2.0
// Temporary files, rename and roll back.
#include "outputs.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.hpp"
#include "npy.hpp"

namespace zeta::app {

namespace {

[[noreturn]] void fail(const std::string &option, const std::string &path, const std::string &message) {
    throw CommandError(kExitOutput, option + " " + path + ": " + message);
}

std::string folder_of(const std::string &path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

std::string real_path(const std::string &path) {
    char resolved[PATH_MAX];
    return ::realpath(path.c_str(), resolved) ? resolved : "";
}

// A name in the target's folder that nothing has. The target's own name is not part of it: it may be as long as
// allowed.
std::string temporary_name(const std::string &target) {
    static unsigned counter = 0;
    return folder_of(target) + ".zeta-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp";
}

class Descriptor {
public:
    explicit Descriptor(int value) : value_(value) {}
    ~Descriptor() { close(); }
    Descriptor(const Descriptor &) = delete;
    Descriptor &operator=(const Descriptor &) = delete;
    int get() const { return value_; }
    int close() {
        const int value = value_;
        value_ = -1;
        return value < 0 ? 0 : ::close(value);
    }

private:
    int value_;
};

bool write_all(int descriptor, const void *data, size_t bytes) {
    constexpr size_t kMaxWrite = size_t{1} << 30; // some systems refuse more than 2 GiB in a call
    const auto *next = static_cast<const char *>(data);
    while (bytes > 0) {
        const ssize_t put = ::write(descriptor, next, std::min(bytes, kMaxWrite));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        next += put;
        bytes -= static_cast<size_t>(put);
    }
    return true;
}

} // namespace

Outputs::~Outputs() {
    undo();
}

void Outputs::announce(const std::string &option, const std::string &path) {
    if (path.empty()) return;
    File file;
    file.option = option;
    file.path = path;
    struct stat info;
    if (::lstat(path.c_str(), &info) == 0) {
        file.target = S_ISLNK(info.st_mode) ? real_path(path) : path;
        if (file.target.empty()) fail(option, path, "a link that leads nowhere");
        if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
            fail(option, path, "exists and is not a regular file");
    } else {
        file.target = path;
        if (path.back() == '/') fail(option, path, "names a folder");
    }
    const std::string folder = real_path(folder_of(file.target));
    if (folder.empty()) fail(option, path, std::string("cannot be written: ") + std::strerror(errno));
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
        fail(option, path, std::string("cannot be written: ") + std::strerror(errno));
    const std::string name = file.target.substr(file.target.rfind('/') + 1);
    const long longest = ::pathconf(folder.c_str(), _PC_NAME_MAX);
    if (longest > 0 && name.size() > static_cast<size_t>(longest))
        fail(option, path, "cannot be written: " + std::string(std::strerror(ENAMETOOLONG)));
    file.target = folder + "/" + name;
    for (const File &other : files_)
        if (other.target == file.target)
            throw CommandError(kExitUsage, other.option + " and " + option + " both name " + path);
    files_.push_back(file);
}

bool Outputs::wants(const std::string &option) const {
    return std::any_of(files_.begin(), files_.end(), [&](const File &file) { return file.option == option; });
}

void Outputs::write(const std::string &option, const Array &array) {
    write_with(option, [&](const Put &put) { write_npy(array, put); });
}

void Outputs::write(const std::string &option, const std::vector<std::pair<const void *, size_t>> &parts) {
    write_with(option, [&](const Put &put) {
        for (const auto &part : parts) put(part.first, part.second);
    });
}

void Outputs::write_with(const std::string &option, const std::function<void(const Put &)> &body) {
    const auto found =
        std::find_if(files_.begin(), files_.end(), [&](const File &file) { return file.option == option; });
    if (found == files_.end()) return;
    File &file = *found;
    const auto failed = [&] { fail(option, file.path, std::string("cannot be written: ") + std::strerror(errno)); };
    int opened = -1;
    std::string name;
    do {
        name = temporary_name(file.target);
        opened = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (opened < 0 && errno == EEXIST);
    if (opened < 0) failed();
    Descriptor descriptor(opened);
    file.temporary = name;
    struct stat replaced;
    if (::stat(file.target.c_str(), &replaced) == 0 && ::fchmod(opened, replaced.st_mode & 0777) != 0) failed();
    body([&](const void *data, size_t bytes) {
        if (!write_all(descriptor.get(), data, bytes)) failed();
    });
    if (::fsync(descriptor.get()) != 0 || descriptor.close() != 0) failed();
}

void Outputs::commit() {
    for (File &file : files_) {
        const std::string backup = temporary_name(file.target);
        if (::link(file.target.c_str(), backup.c_str()) == 0)
            file.backup = backup;
        else
            file.fresh = errno == ENOENT;
        if (::rename(file.temporary.c_str(), file.target.c_str()) != 0)
            fail(file.option, file.path, std::string("cannot be renamed to: ") + std::strerror(errno));
        file.temporary.clear();
        file.renamed = true;
    }
    for (const File &file : files_) {
        if (!file.backup.empty()) ::unlink(file.backup.c_str());
        const Descriptor folder(::open(folder_of(file.target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder.get() >= 0) ::fsync(folder.get()); // makes the name durable; the file is complete either way
    }
    files_.clear();
}

void Outputs::undo() {
    for (auto file = files_.rbegin(); file != files_.rend(); ++file) {
        if (!file->temporary.empty()) ::unlink(file->temporary.c_str());
        if (!file->backup.empty() && file->renamed)
            ::rename(file->backup.c_str(), file->target.c_str());
        else if (!file->backup.empty())
            ::unlink(file->backup.c_str());
        else if (file->renamed && file->fresh)
            ::unlink(file->target.c_str());
    }
    files_.clear();
}

} // namespace zeta::app
