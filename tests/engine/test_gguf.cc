#include <catch2/catch.hpp>
#include <limits>

#include "engine/model/gguf.h"
#include "tests/engine/gguf_writer.h"

using namespace sluice;
using Catch::Matchers::Contains;

namespace {

GgufWriter sample(std::uint32_t version = 3) {
    GgufWriter file(version);
    file.set("general.architecture", "llama");
    file.set("n.u8", std::uint8_t{200});
    file.set("n.i8", std::int8_t{-2});
    file.set("n.u16", std::uint16_t{65535});
    file.set("n.i16", std::int16_t{-300});
    file.set("n.u32", std::uint32_t{4000000000});
    file.set("n.i32", std::int32_t{-70000});
    file.set("n.u64", std::uint64_t{1} << 40);
    file.set("n.u64.huge", std::numeric_limits<std::uint64_t>::max());
    file.set("n.i64", std::int64_t{-1} << 40);
    file.set("n.f32", 1.5f);
    file.set("n.f64", 2.25);
    file.set("n.bool", true);
    file.set("list.texts", std::vector<std::string>{"a", "", "c d"});
    file.set("list.i32", std::vector<std::int32_t>{1, -2, 3});
    file.set("list.f32", std::vector<float>{0.5f, -0.25f});
    file.set("list.empty", std::vector<std::int32_t>{});
    file.tensor("weights", TensorType::f32, {4, 2}, std::string(32, 'w'));
    file.tensor("blocks", TensorType::q4_1, {32, 3}, std::string(60, 'b'));
    file.tensor("one", TensorType::f16, {1}, "hf");
    return file;
}

Result<std::shared_ptr<const GgufFile>> open_bytes(std::string_view bytes) {
    TempFile file(bytes);
    return GgufFile::open(file.path());
}

std::string fault_of(std::string_view bytes) {
    auto opened = open_bytes(bytes);
    if (opened) return "opened";
    CHECK(opened.error().code == Errc::bad_file);
    return opened.error().message;
}

// A file of one tensor whose record is given by hand.
std::string one_tensor(std::uint32_t type, const std::vector<std::int64_t>& dims,
                       std::size_t bytes) {
    GgufWriter file;
    file.tensor("blk.0.attn_q.weight", type, dims, std::string(bytes, 'x'));
    return file.bytes();
}

// Looks at everything a file has to say, so that a sanitizer sees every address it hands out.
std::size_t read_all(const GgufFile& file) {
    std::size_t sum = 0;
    for (const char* key : {"general.architecture", "n.u8", "n.u64", "n.f32", "n.f64", "n.bool",
                            "list.texts", "list.i32", "list.f32", "list.empty"}) {
        sum += static_cast<std::size_t>(file.integer(key).value_or(1) & 1);
        sum += file.real(key).has_value() ? 1 : 0;
        for (char c : file.text(key).value_or("")) sum += static_cast<unsigned char>(c);
        for (std::string_view text : file.texts(key).value_or(std::vector<std::string_view>{}))
            for (char c : text) sum += static_cast<unsigned char>(c);
        sum += file.integers(key).value_or(std::vector<std::int64_t>{}).size();
        sum += file.reals(key).value_or(std::vector<float>{}).size();
    }
    for (const Tensor& tensor : file.tensors())
        for (std::int64_t i = 0; i < tensor.bytes; ++i) sum += tensor.data[i];
    return sum;
}

}  // namespace

TEST_CASE("a GGUF file's metadata comes back by key and kind", "[gguf]") {
    auto version = GENERATE(2u, 3u);
    TempFile model(sample(version).bytes());
    auto opened = GgufFile::open(model.path());
    REQUIRE(opened);
    const GgufFile& file = **opened;
    CHECK(file.text("general.architecture") == "llama");
    CHECK(file.integer("n.u8") == 200);
    CHECK(file.integer("n.i8") == -2);
    CHECK(file.integer("n.u16") == 65535);
    CHECK(file.integer("n.i16") == -300);
    CHECK(file.integer("n.u32") == 4000000000);
    CHECK(file.integer("n.i32") == -70000);
    CHECK(file.integer("n.u64") == std::int64_t{1} << 40);
    CHECK(file.integer("n.i64") == std::int64_t{-1} * (std::int64_t{1} << 40));
    CHECK(file.integer("n.bool") == 1);
    CHECK(file.real("n.f32") == 1.5);
    CHECK(file.real("n.f64") == 2.25);
    CHECK(file.texts("list.texts") == std::vector<std::string_view>{"a", "", "c d"});
    CHECK(file.integers("list.i32") == std::vector<std::int64_t>{1, -2, 3});
    CHECK(file.reals("list.f32") == std::vector<float>{0.5f, -0.25f});
    CHECK(file.integers("list.empty") == std::vector<std::int64_t>{});
    CHECK(file.path() == model.path());
}

TEST_CASE("a GGUF file says how it would be sampled", "[gguf]") {
    GgufWriter file;
    file.set("general.sampling.temp", 0.6F);
    file.set("general.sampling.top_p", 0.95F);
    file.set("general.sampling.top_k", std::int32_t{20});
    file.set("general.sampling.min_p", 0.05F);
    file.set("general.sampling.penalty_repeat", 1.05F);
    file.set("general.sampling.mirostat", std::int32_t{2});
    TempFile model(file.bytes());
    auto opened = GgufFile::open(model.path());
    REQUIRE(opened);
    CHECK((*opened)->facts().temperature == 0.6F);
    const ModelFacts facts = (*opened)->facts();
    CHECK(facts.top_p == 0.95F);
    CHECK(facts.top_k == 20);
    CHECK(facts.min_p == 0.05F);
    CHECK(facts.repetition_penalty == 1.05F);
    CHECK(facts.ignored == "mirostat");
}

TEST_CASE("what a GGUF file has wrong of its sampling is named, the rest is taken", "[gguf]") {
    GgufWriter file;
    file.set("general.sampling.temp", std::int32_t{1});
    file.set("general.sampling.top_p", 1.5F);
    file.set("general.sampling.top_k", 50.0F);
    file.set("general.sampling.min_p", "low");
    file.set("general.sampling.penalty_repeat", 0.0F);
    const TempFile model(file.bytes());
    const auto opened = GgufFile::open(model.path());
    REQUIRE(opened);
    const ModelFacts facts = (*opened)->facts();
    CHECK(facts.temperature == 1.0F);
    CHECK(facts.top_k == 50);
    CHECK_FALSE(facts.top_p);
    CHECK_FALSE(facts.min_p);
    CHECK_FALSE(facts.repetition_penalty);
    CHECK(facts.ignored == "top_p, min_p, penalty_repeat");
    GgufWriter off;
    off.set("general.sampling.top_k", std::int32_t{2147483647});
    const TempFile all(off.bytes());
    const auto all_opened = GgufFile::open(all.path());
    REQUIRE(all_opened);
    CHECK((*all_opened)->facts().top_k == 0);
}

TEST_CASE("one file of a split model is refused by that, with what to do", "[gguf]") {
    GgufWriter file;
    file.set("split.no", std::uint16_t{0});
    file.set("split.count", std::uint16_t{9});
    const std::string fault = fault_of(file.bytes());
    CHECK_THAT(fault,
               Contains("one of 9 files of a split model") && Contains("llama-gguf-split --merge"));
    CHECK_THAT(fault, Contains("NAME-00001-of-00009.gguf"));
    GgufWriter twelve;
    twelve.set("split.count", std::uint16_t{12});
    CHECK_THAT(fault_of(twelve.bytes()), Contains("NAME-00001-of-00012.gguf"));
    GgufWriter whole;
    whole.set("split.count", std::uint16_t{1});
    CHECK(fault_of(whole.bytes()) == "opened");
}

TEST_CASE("metadata that is absent or of another kind is nothing", "[gguf]") {
    auto opened = open_bytes(sample().bytes());
    REQUIRE(opened);
    const GgufFile& file = **opened;
    CHECK_FALSE(file.integer("absent"));
    CHECK_FALSE(file.integer("n.f32"));
    CHECK_FALSE(file.integer("general.architecture"));
    CHECK_FALSE(file.integer("list.i32"));
    CHECK_FALSE(file.integer("n.u64.huge"));  // does not fit
    CHECK_FALSE(file.real("n.u8"));
    CHECK_FALSE(file.text("n.u8"));
    CHECK_FALSE(file.text("list.texts"));
    CHECK_FALSE(file.texts("list.i32"));
    CHECK_FALSE(file.texts("general.architecture"));
    CHECK_FALSE(file.integers("list.f32"));
    CHECK_FALSE(file.integers("list.texts"));
    CHECK_FALSE(file.reals("list.i32"));
    CHECK(file.tensor("absent") == nullptr);
}

TEST_CASE("a GGUF file's tensors are found by name and point at their bytes", "[gguf]") {
    std::string bytes = sample().bytes();
    auto opened = open_bytes(bytes);
    REQUIRE(opened);
    const GgufFile& file = **opened;
    REQUIRE(file.tensors().size() == 3);
    const Tensor* weights = file.tensor("weights");
    REQUIRE(weights != nullptr);
    CHECK(weights->type == TensorType::f32);
    CHECK(weights->dims == std::vector<std::int64_t>{4, 2});
    CHECK(weights->rows() == 2);
    CHECK(weights->bytes == 32);
    const Tensor* blocks = file.tensor("blocks");
    REQUIRE(blocks != nullptr);
    CHECK(blocks->bytes == 60);
    CHECK(std::string(blocks->data, blocks->data + 60) == std::string(60, 'b'));
    CHECK(bytes.substr(blocks->file_offset, 60) == std::string(60, 'b'));
    CHECK(reinterpret_cast<std::uintptr_t>(blocks->data) % 32 == 0);
    CHECK(file.tensor("one")->rows() == 1);
}

TEST_CASE("a file's own alignment is kept", "[gguf]") {
    GgufWriter file;
    file.alignment = 64;
    file.set("general.alignment", std::uint32_t{64});
    file.tensor("a", TensorType::f32, {1}, "aaaa");
    file.tensor("b", TensorType::f32, {1}, "bbbb");
    auto opened = open_bytes(file.bytes());
    REQUIRE(opened);
    const Tensor* b = (*opened)->tensor("b");
    CHECK(std::string(b->data, b->data + 4) == "bbbb");
    CHECK(b->file_offset % 64 == 0);

    GgufWriter odd;
    odd.set("general.alignment", std::uint32_t{48});
    CHECK_THAT(fault_of(odd.bytes()), Contains("power of two"));
}

TEST_CASE("block sizes are the format's", "[gguf]") {
    CHECK(type_name(TensorType::q4_k) == "q4_k");
    CHECK(block_weights(TensorType::q4_k) == 256);
    CHECK(block_bytes(TensorType::q4_k) == 144);
    CHECK(block_bytes(TensorType::q5_k) == 176);
    CHECK(block_bytes(TensorType::q6_k) == 210);
    CHECK(block_bytes(TensorType::q8_0) == 34);
    CHECK(block_bytes(TensorType::q4_0) == 18);
    CHECK(block_bytes(TensorType::q4_1) == 20);
    CHECK(block_bytes(TensorType::bf16) == 2);
    CHECK(block_bytes(TensorType::f32) == 4);
}

TEST_CASE("what is no GGUF file is refused by name", "[gguf]") {
    auto absent = GgufFile::open("/nonexistent/model.gguf");
    REQUIRE_FALSE(absent);
    CHECK_THAT(absent.error().message, Contains("/nonexistent/model.gguf: cannot open"));
    auto folder = GgufFile::open("/tmp");
    REQUIRE_FALSE(folder);
    CHECK_THAT(folder.error().message, Contains("/tmp: "));
    CHECK_THAT(fault_of(""), Contains("empty file"));
    CHECK_THAT(fault_of("hello, this is text and no model"), Contains("'GGUF'"));
    std::string bytes = sample().bytes();
    bytes[4] = 1;
    CHECK_THAT(fault_of(bytes), Contains("at byte 4: GGUF version 1"));
    bytes[4] = 0;
    bytes[7] = 3;
    CHECK_THAT(fault_of(bytes), Contains("big-endian"));
}

TEST_CASE("a tensor type that is not supported is named with its number and offset", "[gguf]") {
    std::string fault = fault_of(one_tensor(10, {256, 1}, 84));
    CHECK_THAT(fault, Contains("'blk.0.attn_q.weight'"));
    CHECK_THAT(fault, Contains("has type 10"));
    CHECK_THAT(fault, Contains("q6_k (14)"));
    // Header 24, name 8 + 19, dimension count 4, two dimensions 16.
    CHECK_THAT(fault, Contains("at byte 71:"));
}

TEST_CASE("a tensor's shape is checked before it is used", "[gguf]") {
    CHECK_THAT(fault_of(one_tensor(0, {}, 4)), Contains("0 dimensions"));
    CHECK_THAT(fault_of(one_tensor(0, {1, 1, 1, 1, 1}, 4)), Contains("5 dimensions"));
    CHECK_THAT(fault_of(one_tensor(0, {0}, 4)), Contains("dimension 0 is 0"));
    CHECK_THAT(fault_of(one_tensor(0, {-4}, 4)), Contains("dimension 0 is 18446744073709551612"));
    std::int64_t big = std::int64_t{1} << 32;
    CHECK_THAT(fault_of(one_tensor(0, {big, big}, 4)), Contains("dimension 1"));
    CHECK_THAT(fault_of(one_tensor(0, {big, big / 4}, 4)), Contains("larger than 2^63"));
    CHECK_THAT(fault_of(one_tensor(12, {128, 2}, 144)), Contains("multiple of 256"));
    CHECK_THAT(fault_of(one_tensor(0, {1024}, 4)), Contains("needs 4096 bytes"));
}

TEST_CASE("a tensor that overlaps another is refused by both names", "[gguf]") {
    GgufWriter file;
    file.tensor("first.weight", TensorType::f32, {64}, std::string(256, '\1'));
    file.tensor("second.weight", TensorType::f32, {64}, std::string(256, '\2'));
    std::string bytes = file.bytes();
    const std::string name = "second.weight";
    // Behind a name: one dimension, its size, the type, then where it lies.
    char* offset = bytes.data() + bytes.find(name) + name.size() + 4 + 8 + 4;
    std::uint64_t at = 0;
    std::memcpy(&at, offset, sizeof at);
    at -= 32;
    std::memcpy(offset, &at, sizeof at);
    CHECK_THAT(fault_of(bytes), Contains("tensor 'second.weight' overlaps 'first.weight' at"));
}

TEST_CASE("duplicate keys and tensors are refused", "[gguf]") {
    GgufWriter keys;
    keys.set("a.key", true);
    keys.set("a.key", true);
    CHECK_THAT(fault_of(keys.bytes()), Contains("'a.key' appears twice"));
    GgufWriter tensors;
    tensors.tensor("w", TensorType::f32, {1}, "aaaa");
    tensors.tensor("w", TensorType::f32, {1}, "bbbb");
    CHECK_THAT(fault_of(tensors.bytes()), Contains("'w' appears twice"));
}

TEST_CASE("counts and lengths beyond the file are refused before they size anything", "[gguf]") {
    std::string bytes = sample().bytes();
    auto with = [&](std::size_t at, std::uint64_t value) {
        std::string out = bytes;
        std::memcpy(out.data() + at, &value, sizeof value);
        return fault_of(out);
    };
    CHECK_THAT(with(8, ~std::uint64_t{0}), Contains("at byte 8: the tensor count"));
    CHECK_THAT(with(16, std::uint64_t{1} << 62), Contains("at byte 16: the metadata count"));
    CHECK_THAT(with(24, ~std::uint64_t{0} - 7), Contains("at byte 24: a metadata key has length"));
    std::size_t list = bytes.find("list.i32") + 8 + 4 + 4;
    CHECK_THAT(with(list, std::uint64_t{1} << 61), Contains("element count of metadata"));
    std::size_t texts = bytes.find("list.texts") + 10 + 4 + 4;
    CHECK_THAT(with(texts, std::uint64_t{1} << 61), Contains("element count of metadata"));
}

TEST_CASE("a file cut short anywhere is refused with the offset", "[gguf]") {
    std::string bytes = sample().bytes();
    TempFile file(bytes);
    // The last tensor has 2 bytes, then padding to 32: that much may be missing.
    for (std::size_t length = 1; length < bytes.size(); ++length) {
        file.write(std::string_view(bytes).substr(0, length));
        auto opened = GgufFile::open(file.path());
        INFO("cut to " << length << " of " << bytes.size());
        if (length >= bytes.size() - 30) {
            CHECK(opened);
        } else {
            REQUIRE_FALSE(opened);
            CHECK_THAT(opened.error().message, Contains(": at byte "));
        }
    }
}

TEST_CASE("a file with any byte or word changed opens or is refused, and never crashes", "[gguf]") {
    const std::string bytes = sample().bytes();
    TempFile file(bytes);
    int refused = 0;
    auto attempt = [&](const std::string& changed) {
        file.write(changed);
        auto opened = GgufFile::open(file.path());
        refused += opened ? 0 : 1;
        if (opened) CHECK(read_all(**opened) > 0);
    };
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (unsigned flip : {0x01u, 0x80u, 0xFFu}) {
            std::string changed = bytes;
            changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ flip);
            attempt(changed);
        }
        for (std::uint64_t word : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 63,
                                   std::uint64_t{1} << 33}) {
            std::string changed = bytes;
            std::memcpy(changed.data() + at, &word, std::min(sizeof word, bytes.size() - at));
            attempt(changed);
        }
    }
    CHECK(refused > 1000);
}
