// SPDX-License-Identifier: Apache-2.0
// A folder of its own for what the command reads and writes: tensors that fit and that do not, broken files, a text, a
// saved prediction, links, a pipe. In memory where the system has such a place, for outputs are synced.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fuzz {

class Folder {
public:
    Folder();
    ~Folder(); // removes it
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;

    void enter();        // makes it the working directory
    void rewind_input(); // the standard input begins again: the text
    bool alone() const;  // nothing lies beside it

    void keep(); // its files are as they should be
    // Names of those that have become new, changed or gone since.
    std::set<std::string> changed() const;
    void restore(const std::set<std::string> &names);

    // The file "patched": the saved prediction with some bytes changed and its checksum made to fit.
    struct Patch {
        uint16_t offset;
        uint8_t value;
    };
    void patch(const std::vector<Patch> &patches);

private:
    using Files = std::map<std::string, std::string>; // name: content, or what else it is
    void put(const std::string &name, const std::string &content);
    void put_tensors();
    void put_broken();
    Files look() const;

    std::string outer_, path_;
    Files files_;
    int input_ = -1;
};

} // namespace fuzz
