// SPDX-License-Identifier: Apache-2.0
// A saved cache on disk. Saving writes a temporary file beside the old one, makes it durable and renames it: whatever
// interrupts that, the path names the old file or the whole new one. Errors are ZETA_ERROR_IO with the system's reason.
#pragma once

#include <memory>
#include <string>

#include "../context.hpp"
#include "file_stream.hpp"

namespace zeta::cache {

// The folder that a file is renamed in, open before anything in it changes.
class OpenFolder {
public:
    explicit OpenFolder(const std::string &path);
    ~OpenFolder();
    OpenFolder(const OpenFolder &) = delete;
    OpenFolder &operator=(const OpenFolder &) = delete;

    // Makes a rename of the open `file` in it durable; false, with errno, if that fails.
    bool sync(int file) const;

private:
    int folder_;
};

class DiskSink final : public Sink {
public:
    DiskSink(const Context &context, const char *path);
    ~DiskSink() override; // not committed: removes the temporary file
    DiskSink(const DiskSink &) = delete;
    DiskSink &operator=(const DiskSink &) = delete;

    void write(const void *data, size_t bytes) override;
    void commit();

private:
    void create();
    void flush();
    [[noreturn]] void failed(const char *what, const std::string &file) const;

    Allocation buffer_;
    size_t filled_ = 0;
    std::string path_, folder_, temporary_;
    unsigned mode_ = 0666; // permissions: those of the file that is replaced
    bool replaces_ = false;
    int file_ = -1;
    std::unique_ptr<OpenFolder> open_folder_;
};

class DiskSource final : public Source {
public:
    DiskSource(const Context &context, const char *path);
    ~DiskSource() override;
    DiskSource(const DiskSource &) = delete;
    DiskSource &operator=(const DiskSource &) = delete;

    void read(void *data, size_t bytes) override;
    uint64_t size() const override { return size_; }
    const char *name() const noexcept override { return name_; }

private:
    size_t fill(char *data, size_t bytes);

    Allocation buffer_;
    size_t begin_ = 0, end_ = 0; // what the buffer holds and was not read
    uint64_t size_ = 0;
    int file_ = -1;
    char name_[200]; // path in quotes, its end if it is long
};

} // namespace zeta::cache
