#include "engine/machine_memory.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/engine/hf_folder.h"

using namespace sluice;

TEST_CASE("a control group's limit is the memory there is", "[machine_memory]") {
    const HfFolder folder;
    const std::string at = folder.path();
    const std::int64_t all = machine_memory(at);
    CHECK(all > std::int64_t{1} << 20);
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(at + name) << text << "\n";
    };
    write("/memory.max", "max");
    CHECK(machine_memory(at) == all);
    write("/memory.max", "1048576");
    CHECK(machine_memory(at) == 1048576);
    std::filesystem::create_directory(at + "/memory");
    write("/memory/memory.limit_in_bytes", "524288");
    CHECK(machine_memory(at) == 524288);
    write("/memory.max", "9223372036854771712");  // v1's word for none
    write("/memory/memory.limit_in_bytes", "9223372036854771712");
    CHECK(machine_memory(at) == all);
}
