#include "gateway/learning/state_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace sluice;

namespace {

struct Folder {
    Folder() {
        char pattern[] = "/tmp/sluice-state-XXXXXX";
        path = mkdtemp(pattern);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string file() const { return path + "/state"; }
    unsigned mode() const {
        struct stat facts {};
        REQUIRE(::stat(file().c_str(), &facts) == 0);
        return facts.st_mode & 0777;
    }
    std::string path;
};

}  // namespace

TEST_CASE("a state file has its mode, whatever the umask and what was left behind", "[state]") {
    Folder folder;
    const mode_t before = ::umask(077);
    CHECK(write_state_file(folder.file(), "shared", 0644));
    ::umask(before);
    CHECK(folder.mode() == 0644);
    std::ofstream(folder.file() + ".new") << "half";
    REQUIRE(::chmod((folder.file() + ".new").c_str(), 0644) == 0);
    CHECK(write_state_file(folder.file(), "secret", 0600));
    CHECK(folder.mode() == 0600);
    CHECK(*read_state_file(folder.file()) == "secret");
}

TEST_CASE("a state file that cannot be reached is not taken for one that is not there", "[state]") {
    Folder folder;
    CHECK(read_state_file(folder.file())->empty());
    std::filesystem::create_symlink(folder.file(), folder.file());
    auto read = read_state_file(folder.file());
    REQUIRE(!read);
    CHECK(read.error().message.find("state: cannot reach") != std::string::npos);
}
