// SPDX-License-Identifier: Apache-2.0
// Files through POSIX calls. Interrupted calls are repeated; short ones go on. A path that names something other than a
// regular file (a folder, a device, a pipe) is refused, not replaced.
#include "file_disk.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <type_traits>
#include <unistd.h>

#include "../status.hpp"

namespace zeta::cache {
namespace {

constexpr size_t kBuffer = 256 * 1024; // larger ones save no measurable time
constexpr int kTemporaryNames = 1000;  // tried before giving up
constexpr int kLinks = 40;             // from one to the next, as many as Linux follows

template <class Call> auto repeat(Call call) {
    for (;;) {
        const auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

// The end of a path that is longer than a sentence may hold.
const char *shown(const char *path) {
    const size_t length = std::strlen(path);
    return length > 160 ? path + (length - 160) : path;
}

// The text of an errno; strerror_r gives a pointer in one C library and a number in another.
struct Reason {
    explicit Reason(int error) : text(buffer) {
        const auto result = strerror_r(error, buffer, sizeof buffer);
        if constexpr (std::is_pointer_v<decltype(result)>) text = result;
    }
    char buffer[120] = "unknown error";
    const char *text;
};

[[noreturn]] void io_error(const char *what, const char *path, int error) {
    fail(ZETA_ERROR_IO, "cannot %s '%s': %s", what, shown(path), Reason(error).text);
}

[[noreturn]] void not_regular(const char *path) {
    fail(ZETA_ERROR_IO, "'%s' is not a regular file", shown(path));
}

// What a path leads to: through symbolic links, the last of which may name a file that is not there yet.
std::string target_of(const char *path) {
    if (char *real = realpath(path, nullptr)) {
        std::string target = real;
        std::free(real);
        return target;
    }
    std::string at = path;
    for (int links = 0; links < kLinks; ++links) {
        char to[PATH_MAX];
        const ssize_t length = readlink(at.c_str(), to, sizeof to);
        if (length == -1 || length == ssize_t(sizeof to)) return at;
        const std::string next(to, size_t(length));
        const size_t slash = at.rfind('/');
        at = next[0] == '/' || slash == std::string::npos ? next : at.substr(0, slash + 1) + next;
    }
    io_error("replace", path, ELOOP);
}

} // namespace

OpenFolder::OpenFolder(const std::string &path)
    : folder_(repeat([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); })) {
    // One that may be written but not read does not open, and takes the file all the same.
    if (folder_ == -1 && errno != EACCES) io_error("open the folder", path.c_str(), errno);
}

OpenFolder::~OpenFolder() {
    if (folder_ != -1) close(folder_);
}

bool OpenFolder::sync(int file) const {
    const auto flush = [&] { return folder_ != -1 ? fsync(folder_) : syncfs(file); };
    return repeat(flush) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS; // cannot be said here
}

DiskSink::DiskSink(const Context &context, const char *path)
    : buffer_(context.allocate(kBuffer)), path_(target_of(path)) { // a symbolic link stays one
    struct stat old;
    if (stat(path_.c_str(), &old) == 0) {
        if (!S_ISREG(old.st_mode)) not_regular(path);
        replaces_ = true;
        mode_ = old.st_mode & 0777;
    }
    const size_t slash = path_.rfind('/');
    folder_ = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    open_folder_ = std::make_unique<OpenFolder>(folder_);
    create();
}

void DiskSink::create() {
    static std::atomic<unsigned> serial{0};
    const std::string start = (folder_ == "." ? "" : folder_) + ".zeta-cache-" + std::to_string(getpid()) + "-";
    for (int tries = 0; tries < kTemporaryNames; ++tries) {
        temporary_ = start + std::to_string(serial++);
        file_ = repeat([&] { return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_); });
        if (file_ != -1) break;
        if (errno != EEXIST) failed("create", temporary_);
    }
    if (file_ == -1) failed("create", temporary_);
    if (replaces_) (void)fchmod(file_, mode_); // as much of the old permissions as the file system keeps
}

DiskSink::~DiskSink() {
    if (file_ == -1) return;
    close(file_);
    unlink(temporary_.c_str());
}

void DiskSink::failed(const char *what, const std::string &file) const {
    io_error(what, file.c_str(), errno);
}

void DiskSink::write(const void *data, size_t bytes) {
    const char *from = static_cast<const char *>(data);
    while (bytes > 0) {
        const size_t n = std::min(bytes, buffer_.size() - filled_);
        std::memcpy(static_cast<char *>(buffer_.data()) + filled_, from, n);
        filled_ += n;
        from += n;
        bytes -= n;
        if (filled_ == buffer_.size()) flush();
    }
}

void DiskSink::flush() {
    const char *from = static_cast<const char *>(buffer_.data());
    while (filled_ > 0) {
        const ssize_t n = repeat([&] { return ::write(file_, from, filled_); });
        if (n == -1) failed("write", temporary_);
        from += n;
        filled_ -= size_t(n);
    }
}

void DiskSink::commit() {
    flush();
    if (repeat([&] { return fsync(file_); }) != 0) failed("write", temporary_);
    if (rename(temporary_.c_str(), path_.c_str()) != 0) failed("replace", path_);
    const int error = open_folder_->sync(file_) ? 0 : errno;
    close(file_); // everything is on the disk already
    file_ = -1;
    if (error != 0) io_error("make durable the folder", folder_.c_str(), error);
}

DiskSource::DiskSource(const Context &context, const char *path) : buffer_(context.allocate(kBuffer)) {
    std::snprintf(name_, sizeof name_, "'%s'", shown(path));
    // Not blocking: opening a pipe must not wait for its writer.
    file_ = repeat([&] { return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
    if (file_ == -1) io_error("open", path, errno);
    struct stat about;
    const int error = fstat(file_, &about) == 0 ? 0 : errno;
    if (error == 0 && S_ISREG(about.st_mode)) {
        size_ = uint64_t(about.st_size);
        return;
    }
    close(file_);
    if (error != 0) io_error("read", path, error);
    not_regular(path);
}

DiskSource::~DiskSource() {
    close(file_);
}

// Reads at least one byte, at most `bytes`.
size_t DiskSource::fill(char *data, size_t bytes) {
    const ssize_t n = repeat([&] { return ::read(file_, data, bytes); });
    if (n == -1) {
        const Reason reason(errno);
        fail(ZETA_ERROR_IO, "cannot read %s: %s", name_, reason.text);
    }
    if (n == 0) fail(ZETA_ERROR_FORMAT, "%s is truncated: it became shorter while it was read", name_);
    return size_t(n);
}

void DiskSource::read(void *data, size_t bytes) {
    char *to = static_cast<char *>(data), *buffer = static_cast<char *>(buffer_.data());
    while (bytes > 0) {
        if (begin_ == end_) {
            begin_ = 0;
            end_ = 0;
            end_ = fill(buffer, buffer_.size());
        }
        const size_t n = std::min(bytes, end_ - begin_);
        std::memcpy(to, buffer + begin_, n);
        begin_ += n;
        to += n;
        bytes -= n;
    }
}

} // namespace zeta::cache
