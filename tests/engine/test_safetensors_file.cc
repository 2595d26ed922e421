#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/model/model_file.h"
#include "engine/model/safetensors.h"
#include "tests/engine/gguf_writer.h"
#include "tests/engine/hf_folder.h"

using namespace sluice;
using Catch::Matchers::Contains;

TEST_CASE("a broken safetensors file is refused by tensor and offset", "[safetensors]") {
    auto open = [](const std::string& bytes) {
        TempFile file(bytes);
        SafetensorsFile opened;
        Status status = opened.open(file.path());
        return status ? std::string() : status.error().message;
    };
    auto header = [&](const std::string& json, const std::string& data) {
        return open(SafetensorsWriter::with_header(json, data));
    };
    const std::string four(4, 'x');
    CHECK(header(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", four) == "");
    CHECK(header(R"({"__metadata__":{"format":"pt"}})", "") == "");
    CHECK_THAT(open("short"), Contains("has 5 bytes, expected a safetensors file"));
    CHECK_THAT(open(std::string("\x09\0\0\0\0\0\0\0{}", 10)), Contains("header's length is 9"));
    CHECK_THAT(header("not json", four), Contains("at byte 8: the header is not JSON"));
    CHECK_THAT(header("[1]", four), Contains("expected a JSON object, found an array"));
    CHECK_THAT(header(R"({"a":1})", four), Contains("tensor 'a' is no object"));
    struct Case {
        const char *entry, *message;
    };
    const Case cases[] = {
        {R"("dtype":"F4","shape":[2],"data_offsets":[0,4])",
         "at byte 9: tensor 'a' has dtype 'F4', known are BF16, F16, F32, F8_E4M3"},
        {R"("dtype":"F16","shape":[2,0],"data_offsets":[0,4])", "has 0 in its shape"},
        {R"("dtype":"F16","shape":[-2],"data_offsets":[0,4])", "has -2 in its shape"},
        {R"("dtype":"F16","shape":[4611686018427387904,4],"data_offsets":[0,4])",
         "fewer than 2^63"},
        {R"("dtype":"F16","shape":"2","data_offsets":[0,4])", "has no shape"},
        {R"("dtype":"F16","shape":[2],"data_offsets":[0])", "has no data_offsets"},
        {R"("dtype":"F16","shape":[2],"data_offsets":[4,0])", "has no data_offsets"},
        {R"("dtype":"F16","shape":[2],"data_offsets":[-1,3])", "has no data_offsets"},
        {R"("dtype":"F16","shape":[2],"data_offsets":[0,2])", "takes 2 bytes, but its shape"},
        {R"("dtype":"F16","shape":[4],"data_offsets":[0,8])", "it is truncated"},
        {R"("dtype":"F16","shape":[1],"data_offsets":[2,4])", "comes after a gap, expected it at"},
        {R"("dtype":"F16","shape":[1],"data_offsets":[0,2])", "but the file has"},
    };
    for (const Case& c : cases)
        CHECK_THAT(header("{\"a\":{" + std::string(c.entry) + "}}", four), Contains(c.message));
    CHECK_THAT(header(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                      R"("b":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",
                      four),
               Contains("tensor 'b' at offset") && Contains("overlaps the one before it"));
    CHECK_THAT(header(R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},)"
                      R"("a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",
                      four),
               Contains("tensor 'a' appears twice"));
}

TEST_CASE("what is no plain file of a sane size is refused, not waited for", "[safetensors]") {
    HfFolder folder;
    HashedModel{"tiny", "qwen2", 1, 32, 4, 2, 8, 48, false, false, 300}.write_to(folder);
    auto message_of = [](const std::string& path) {
        auto file = ModelFile::open(path);
        return file ? std::string() : file.error().message;
    };
    const std::string own = folder.path() + "/chat_template.jinja";
    std::filesystem::create_directory(own);
    CHECK_THAT(message_of(folder.path()), Contains("chat_template.jinja: expected a model file"));
    folder.remove("chat_template.jinja");
    REQUIRE(::mkfifo(own.c_str(), 0600) == 0);  // nobody writes to it
    CHECK_THAT(message_of(folder.path()), Contains("found no plain file"));
    folder.remove("chat_template.jinja");
    folder.write("chat_template.jinja", "J");
    std::filesystem::resize_file(own, std::uintmax_t{1} << 30);  // takes no room on the disk
    CHECK_THAT(message_of(folder.path()), Contains("has 1073741824 bytes, expected at most"));
}
