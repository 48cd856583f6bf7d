// SPDX-License-Identifier: Apache-2.0
// Output files, all or none: each is written under a temporary name in its own folder and synced; commit() renames them
// all. Until then, and whenever anything fails, existing files keep their bytes and no temporary stays behind.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "array.hpp"

namespace zeta::app {

class Outputs {
public:
    Outputs() = default;
    ~Outputs(); // removes temporaries that were not committed
    Outputs(const Outputs &) = delete;
    Outputs &operator=(const Outputs &) = delete;

    // Announces an output before the work begins. Refused: a folder that is missing, a name that is no regular file, a
    // path announced before. An empty path announces nothing. Throws CommandError.
    void announce(const std::string &option, const std::string &path);

    bool empty() const { return files_.empty(); }
    bool wants(const std::string &option) const;

    // Writes an announced output to its temporary; nothing for an option that was not announced.
    void write(const std::string &option, const Array &array); // as .npy
    void write(const std::string &option, const std::vector<std::pair<const void *, size_t>> &parts);

    // Renames every temporary. When one rename fails, those before it are undone.
    void commit();

private:
    struct File {
        std::string option;
        std::string path;      // as the user gave it
        std::string target;    // with links followed
        std::string temporary; // empty: not written, or renamed
        std::string backup;    // a second link to the file that the rename replaces; empty where there are no links
        bool fresh = false;    // the rename replaces no file
        bool renamed = false;
    };
    using Put = std::function<void(const void *data, size_t bytes)>;
    void write_with(const std::string &option, const std::function<void(const Put &)> &body);
    void undo();

    std::vector<File> files_;
};

} // namespace zeta::app
