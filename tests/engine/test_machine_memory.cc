#include "engine/machine_memory.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/engine/hf_folder.h"

using namespace sluice;

TEST_CASE("a control group's limit is the memory there is", "[machine_memory]") {
    const HfFolder folder;
    const std::string at = folder.path();
    const auto memory = [&] { return machine_memory(at, at + "/self"); };
    const std::int64_t all = memory();
    CHECK(all > std::int64_t{1} << 20);
    CHECK(all >= machine_memory());
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(at + name) << text << "\n";
    };
    write("/memory.max", "max");
    CHECK(memory() == all);
    write("/memory.max", "1048576");
    CHECK(memory() == 1048576);
    std::filesystem::create_directory(at + "/memory");
    write("/memory/memory.limit_in_bytes", "524288");
    CHECK(memory() == 524288);
    write("/memory.max", "9223372036854771712");  // v1's word for none
    write("/memory/memory.limit_in_bytes", "9223372036854771712");
    CHECK(memory() == all);
    // The least of the process's own group, where it can be seen, and of those above it.
    std::filesystem::create_directories(at + "/system.slice/sluice.service");
    std::filesystem::create_directories(at + "/memory/docker/12ab");
    write("/system.slice/sluice.service/memory.max", "3000000");
    CHECK(memory() == all);
    write("/self", "0::/system.slice/sluice.service");
    CHECK(memory() == 3000000);
    write("/system.slice/memory.max", "2000000");
    CHECK(memory() == 2000000);
    write("/memory/docker/12ab/memory.limit_in_bytes", "1500000");
    write("/self", "12:cpu:/docker/none\n9:cpu,memory:/elsewhere\n8:memory:/docker/12ab");
    CHECK(memory() == 1500000);
    write("/self", "0::/not/there\nodd\n:\n::");
    CHECK(memory() == all);
}
