#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "gateway/eval/tier_identity.h"

using namespace sluice;

namespace {

void write(const std::string& path, const std::string& bytes) {
    std::ofstream out(path, std::ios::binary);
    out << bytes;
}

}  // namespace

TEST_CASE("a model's digest tells its bytes and its size, not its folder", "[golden]") {
    auto folder = std::filesystem::temp_directory_path() / "sluice-digest-XXXXXX";
    std::string made = folder.string();
    REQUIRE(mkdtemp(made.data()) != nullptr);
    std::string bytes(3'000'000, 'a');
    write(made + "/model.gguf", bytes);
    auto first = model_digest(made + "/model.gguf");
    REQUIRE(first);
    CHECK(first->size() == 16);
    CHECK(*model_digest(made + "/model.gguf") == *first);
    std::string head = bytes, tail = bytes;
    head.front() = 'b';
    tail.back() = 'b';
    for (const std::string& other : {head, tail, bytes + "a", std::string()}) {
        write(made + "/model.gguf", other);
        CHECK(*model_digest(made + "/model.gguf") != *first);
    }
    auto whole = model_digest(made);
    REQUIRE(whole);
    write(made + "/config.json", "{}");
    CHECK(*model_digest(made) != *whole);
    CHECK(model_digest(made + "/none").error().code == Errc::bad_file);
    std::filesystem::remove_all(made);
}
