// A model file from anywhere: whatever its metadata says of network and vocabulary is read or
// refused by name. Run under the address sanitizer this also says that nothing else is read.
#include <catch2/catch.hpp>

#include "engine/model/network.h"
#include "engine/text/tokenizer.h"
#include "tests/engine/gguf_writer.h"
#include "tests/fakes/mutated.h"

namespace sluice {
namespace {

constexpr std::string_view harm[] = {"\n",
                                     std::string_view("\0", 1),
                                     "\xFF",
                                     "qwen2",
                                     "gpt2",
                                     "H e",
                                     "<|im_start|>",
                                     std::string_view("\x04\0\0\0", 4),
                                     std::string_view("\x08\0\0\0", 4),
                                     std::string_view("\x09\0\0\0", 4)};

// Ten tokens and one tensor: a vocabulary that is whole, a network that lacks most tensors.
std::string small_file(const char* pre) {
    GgufWriter file;
    file.set("general.architecture", "llama");
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", pre);
    file.set("tokenizer.ggml.tokens",
             std::vector<std::string>{"H", "e", "l", "o", "He", "ll", "\xC4\xA0", "<|im_start|>",
                                      "1", "llo"});
    file.set("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 1, 1, 1, 1, 1, 1, 3, 1, 1});
    file.set("tokenizer.ggml.merges", std::vector<std::string>{"H e", "l l", "ll o"});
    file.set("tokenizer.ggml.bos_token_id", std::uint32_t{7});
    file.set("tokenizer.ggml.eos_token_id", std::uint32_t{7});
    file.set("tokenizer.ggml.add_bos_token", true);
    for (const char* key : {"block_count", "embedding_length", "feed_forward_length",
                            "context_length", "attention.head_count", "attention.head_count_kv"})
        file.set(std::string("llama.") + key, std::uint32_t{2});
    file.set("llama.rope.freq_base", 1e4F);
    file.set("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    file.tensor("token_embd.weight", TensorType::f32, {2, 10}, std::string(80, 'a'));
    return file.bytes();
}

}  // namespace

TEST_CASE("mutated metadata of a model is read or refused, never more", "[gguf][hostile]") {
    std::mt19937 random(1);
    int opened = 0, vocabularies = 0;
    for (const char* pre : {"qwen2", "llama-bpe", "smollm", "gpt-2"}) {
        const std::string bytes = small_file(pre);
        TempFile file(bytes);
        {
            auto good = GgufFile::open(file.path());
            REQUIRE(good);
            auto tokenizer = Tokenizer::from_file(**good);
            INFO((tokenizer ? "" : tokenizer.error().message));
            REQUIRE(tokenizer);
        }
        for (int round = 0; round < 1'500; ++round) {
            file.write(mutated(bytes, harm, random));
            auto model = GgufFile::open(file.path());
            if (!model) continue;
            ++opened;
            (void)(*model)->facts();
            if (auto network = describe_network(**model); !network)
                REQUIRE(network.error().code == Errc::bad_file);
            auto tokenizer = Tokenizer::from_file(**model);
            if (!tokenizer) {
                REQUIRE(tokenizer.error().code == Errc::bad_file);
                continue;
            }
            ++vocabularies;
            auto ids =
                (*tokenizer)->encode("Hello w\xFFrld <|im_start|> 1 \xE4\xBD\xA0", true, true);
            for (TokenId id : ids) REQUIRE((id >= 0 && id < (*tokenizer)->vocab_size()));
            (void)(*tokenizer)->decode(ids, true);
        }
    }
    CHECK(opened > 500);
    CHECK(vocabularies > 100);
}

}  // namespace sluice
