// SPDX-License-Identifier: Apache-2.0
// Saves and loads that the file system refuses: the status, the reason, the old file untouched and no temporary file
// left.
#include <doctest/doctest.h>

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.hpp"

using namespace cachetest;

namespace {

bool has(const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
}

// A cache saved in a folder, and then changed.
struct Saved {
    Saved() {
        fill(cache, setup, 1, 100);
        cache.save(path);
        old = read_file(path);
        append(cache, setup, 2, 50);
    }
    // A save and a load of `path` are refused with ZETA_ERROR_IO and this reason; the cache and the old file stay.
    void refused(const std::string &where, const std::string &save_reason, const std::string &load_reason) {
        CAPTURE(where);
        const Bytes content = cache.save();
        const Outcome save = outcome([&] { cache.save(where); }), load = outcome([&] { cache.load(where); });
        CHECK(save.status == ZETA_ERROR_IO);
        CHECK_MESSAGE(has(save.sentence, save_reason), save.sentence);
        CHECK(load.status == ZETA_ERROR_IO);
        CHECK_MESSAGE(has(load.sentence, load_reason), load.sentence);
        CHECK((cache.save() == content));
        CHECK(read_file(path) == old);
    }

    Folder folder;
    std::string path = folder.file("cache");
    zeta::Context context = make_context();
    Setup setup;
    zeta::Cache cache = setup.make(context);
    Bytes old;
};

unsigned mode_of(const std::string &path) {
    struct stat about;
    return stat(path.c_str(), &about) == 0 ? about.st_mode & 07777 : 0;
}

} // namespace

TEST_CASE("places that hold no file") {
    Saved saved;
    saved.refused(saved.folder.file("none/cache"), "No such file", "No such file");
    saved.refused(saved.path + "/cache", "Not a directory", "Not a directory");
    saved.refused(std::string(5000, 'a'), "File name too long", "File name too long");
    CHECK(saved.folder.names() == std::vector<std::string>{"cache"});
}

TEST_CASE("what is no regular file is neither replaced nor read") {
    Saved saved;
    const std::string pipe = saved.folder.file("pipe");
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    for (const std::string &where : {pipe, saved.folder.path(), std::string("/dev/null"), std::string("/dev/full")})
        saved.refused(where, "is not a regular file", "is not a regular file");
    CHECK(saved.folder.names() == std::vector<std::string>{"cache", "pipe"});
}

TEST_CASE("a disk that is full at any byte") {
    Saved saved;
    const Bytes content = saved.cache.save();
    rlimit old{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    for (size_t room = 0; room < content.size(); room += room < 16 ? 1 : 97) {
        const rlimit limit{room, old.rlim_max};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        const Outcome refused = outcome([&] { saved.cache.save(saved.path); });
        setrlimit(RLIMIT_FSIZE, &old);
        CHECK(refused.status == ZETA_ERROR_IO);
        CHECK_MESSAGE(has(refused.sentence, "cannot write '"), refused.sentence);
        CHECK(has(refused.sentence, "File too large"));
        CHECK(read_file(saved.path) == saved.old);
        CHECK(saved.folder.names() == std::vector<std::string>{"cache"});
    }
    std::signal(SIGXFSZ, handler);
    saved.cache.save(saved.path);
    CHECK(read_file(saved.path) == content);
}

TEST_CASE("folders and files without permission") {
    const uid_t self = geteuid(), nobody = 65534;
    const uid_t other = self == 0 ? nobody : self; // root may do everything
    if (seteuid(other) != 0) return;
    REQUIRE(seteuid(self) == 0);
    Saved saved;
    REQUIRE(chmod(saved.folder.path().c_str(), 0555) == 0);
    REQUIRE(seteuid(other) == 0);
    const Outcome save = outcome([&] { saved.cache.save(saved.path); });
    REQUIRE(seteuid(self) == 0);
    CHECK(save.status == ZETA_ERROR_IO);
    CHECK_MESSAGE(has(save.sentence, "cannot create '"), save.sentence);
    CHECK(has(save.sentence, "Permission denied"));
    chmod(saved.folder.path().c_str(), 0755);
    REQUIRE(chmod(saved.path.c_str(), 0) == 0);
    REQUIRE(seteuid(other) == 0);
    const Outcome load = outcome([&] { saved.cache.load(saved.path); });
    REQUIRE(seteuid(self) == 0);
    CHECK(load.status == ZETA_ERROR_IO);
    CHECK(load.sentence == "cannot open '" + saved.path + "': Permission denied");
}

TEST_CASE("a folder that may be written but not read") {
    const uid_t self = geteuid(), nobody = 65534;
    const uid_t other = self == 0 ? nobody : self;
    if (seteuid(other) != 0) return;
    REQUIRE(seteuid(self) == 0);
    Saved saved;
    REQUIRE(chmod(saved.folder.path().c_str(), self == 0 ? 0733 : 0300) == 0);
    REQUIRE(seteuid(other) == 0);
    const Outcome save = outcome([&] { saved.cache.save(saved.path); });
    REQUIRE(seteuid(self) == 0);
    CHECK_MESSAGE(save.status == ZETA_OK, save.sentence);
    REQUIRE(chmod(saved.folder.path().c_str(), 0755) == 0);
    CHECK(read_file(saved.path) == saved.cache.save());
    CHECK(saved.folder.names() == std::vector<std::string>{"cache"});
}

TEST_CASE("any number of files that may be open") {
    Saved saved;
    const Bytes content = saved.cache.save();
    rlimit old{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(next != -1);
    close(next);
    for (rlim_t files = 0; files <= 2; ++files) {
        const rlimit limit{rlim_t(next) + files, old.rlim_max};
        REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        const Outcome save = outcome([&] { saved.cache.save(saved.path); });
        setrlimit(RLIMIT_NOFILE, &old);
        CHECK(save.status == (files < 2 ? ZETA_ERROR_IO : ZETA_OK)); // the folder and the file
        CHECK(read_file(saved.path) == (files < 2 ? saved.old : content));
        CHECK(saved.folder.names() == std::vector<std::string>{"cache"});
    }
}

TEST_CASE("permissions and symbolic links stay") {
    Saved saved;
    REQUIRE(chmod(saved.path.c_str(), 0640) == 0);
    const std::string link = saved.folder.file("link");
    REQUIRE(symlink("cache", link.c_str()) == 0);
    saved.cache.save(link);
    CHECK(read_file(saved.path) == saved.cache.save());
    CHECK(mode_of(saved.path) == 0640);
    struct stat about;
    REQUIRE(lstat(link.c_str(), &about) == 0);
    CHECK(S_ISLNK(about.st_mode));
    const mode_t mask = umask(027);
    saved.cache.save(saved.folder.file("new"));
    umask(mask);
    CHECK(mode_of(saved.folder.file("new")) == 0640);
}

TEST_CASE("symbolic links to what is not there yet, and to themselves") {
    Saved saved;
    const std::string link = saved.folder.file("link"), other = saved.folder.file("other");
    REQUIRE(symlink("other", link.c_str()) == 0);
    REQUIRE(symlink(saved.folder.file("later").c_str(), other.c_str()) == 0);
    saved.cache.save(link);
    CHECK(read_file(saved.folder.file("later")) == saved.cache.save());
    struct stat about;
    for (const std::string &name : {link, other}) CHECK((lstat(name.c_str(), &about) == 0 && S_ISLNK(about.st_mode)));
    const std::string ring = saved.folder.file("ring");
    REQUIRE(symlink("ring", ring.c_str()) == 0);
    saved.refused(ring, "cannot replace '", "cannot open '");
    CHECK((lstat(ring.c_str(), &about) == 0 && S_ISLNK(about.st_mode)));
    CHECK(saved.folder.names() == std::vector<std::string>{"cache", "later", "link", "other", "ring"});
}

TEST_CASE("a path without a folder") {
    Saved saved;
    char here[4096];
    REQUIRE(getcwd(here, sizeof here) != nullptr);
    REQUIRE(chdir(saved.folder.path().c_str()) == 0);
    saved.cache.save("other");
    REQUIRE(chdir(here) == 0);
    saved.cache.load(saved.folder.file("other"));
    CHECK(saved.folder.names() == std::vector<std::string>{"cache", "other"});
}
