#include <catch2/catch.hpp>

#include "engine/model/model_file.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_json.h"
#include "tests/engine/hf_folder.h"

using namespace sluice;
using Catch::Matchers::Contains;

namespace {

// As JSON spells it.
const char* qwen2_split =
    R"x({"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|)x"
    R"x([^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|)x"
    R"x(\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false})x";
const char* bytes_only = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

std::string sequence(const std::string& list, const std::string& first, const std::string& second) {
    return R"({"type":"Sequence",")" + list + "\":[" + first + "," + second + "]}";
}

// Byte tokens 0..255 and some merges, in the form of Qwen2's file.
std::string qwen2_json() {
    std::string json = byte_tokenizer_json(256);
    json = replaced(json, R"({"type":"ByteLevel","add_prefix_space":false})",
                    sequence("pretokenizers", qwen2_split, bytes_only));
    json = replaced(json, "\"vocab\":{", R"("vocab":{"he":256,"ll":257,"hell":258,"Ġh":259,)");
    json = replaced(json, "\"merges\":[]", R"("merges":["h e",["l","l"],"he ll","Ġ h"])");
    return replaced(
        json, "{",
        R"({"normalizer":{"type":"NFC"},"decoder":{"type":"ByteLevel"},"added_tokens":[)"
        R"({"id":260,"content":"<|end|>","special":true,"lstrip":false},)"
        R"({"id":261,"content":"<think>","special":false},)"
        R"({"id":264,"content":"<bos>","special":true}],)");
}

struct Opened {
    HfFolder folder;
    explicit Opened(const std::string& json, const std::string& config = "{}") {
        folder.write("tokenizer.json", json);
        folder.write("tokenizer_config.json", config);
    }
    std::shared_ptr<const Tokenizer> tokenizer() const {
        auto out =
            Tokenizer::from_vocabulary(read_tokenizer_json(folder.path(), {}), folder.path());
        if (!out) FAIL(out.error().message);
        return *out;
    }
    std::string error() const {
        auto out =
            Tokenizer::from_vocabulary(read_tokenizer_json(folder.path(), {}), folder.path());
        return out ? "" : out.error().message;
    }
};

using Ids = std::vector<TokenId>;

}  // namespace

TEST_CASE("tokenizer.json gives text its tokens and back", "[tokenizer_json]") {
    const Opened opened(qwen2_json(), R"({"bos_token":{"content":"<bos>"},"eos_token":"<|end|>"})");
    auto t = opened.tokenizer();
    CHECK(t->vocab_size() == 265);
    CHECK(t->encode("hello", false, true) == Ids{258, 'o'});
    CHECK(t->encode(" hello h", false, false) == Ids{' ', 258, 'o', 259});
    CHECK(t->encode("hello<|end|>12<think>", true, false) == Ids{258, 'o', 260, '1', '2', 261});
    CHECK(t->encode("<|end|>", false, false).size() == 7);  // plain text
    CHECK(t->encode("<think>", false, false) == Ids{261});  // not special: found in any text
    CHECK(t->bytes_of(260).empty());
    CHECK(t->bytes_of(261) == "<think>");
    CHECK(t->bytes_of(263).empty());  // an id without a token
    CHECK(t->is_special(260));
    CHECK_FALSE(t->is_special(261));
    CHECK(t->is_end(260));
    CHECK(t->eos() == 260);
    CHECK(t->bos() == 264);
    // Form C: e and a combining acute are one letter, two bytes.
    CHECK(t->encode("e\xCC\x81", false, false) == Ids{0xC3, 0xA9});
}

TEST_CASE("what stands around a text comes from the post-processor", "[tokenizer_json]") {
    const std::string processor =
        R"("post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel"},)"
        R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<bos>","type_id":0}},)"
        R"({"Sequence":{"id":"A","type_id":0}}]}]},)";
    const Opened opened(replaced(qwen2_json(), "{", "{" + processor));
    CHECK(opened.tokenizer()->encode("he", false, true) == Ids{264, 256});
    CHECK(opened.tokenizer()->encode("he", false, false) == Ids{256});
    const Opened flagged(qwen2_json(), R"({"bos_token":"<bos>","add_bos_token":true})");
    CHECK(flagged.tokenizer()->encode("he", false, true) == Ids{264, 256});
}

TEST_CASE("words that are tokens go before merges where the file says so", "[tokenizer_json]") {
    std::string json = replaced(qwen2_json(), "\"vocab\":{", R"("vocab":{"olleh":262,)");
    CHECK(Opened(json).tokenizer()->encode("olleh", false, false).size() == 4);
    json = replaced(json, R"("type":"BPE",)", R"("type":"BPE","ignore_merges":true,)");
    CHECK(Opened(json).tokenizer()->encode("olleh", false, false) == Ids{262});
}

TEST_CASE("the pre-tokenizers are known by their expressions", "[tokenizer_json]") {
    auto words = [](const std::string& pre) {
        HfFolder folder;
        folder.write("tokenizer.json",
                     replaced(byte_tokenizer_json(256),
                              R"({"type":"ByteLevel","add_prefix_space":false})", pre));
        auto vocabulary = read_tokenizer_json(folder.path(), {});
        if (!vocabulary) FAIL(vocabulary.error().message);
        return vocabulary->pre;
    };
    const std::string gpt2 = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
    CHECK(words(gpt2) == PreTokenizer::gpt2);
    CHECK(words(sequence("pretokenizers", R"({"type":"Digits","individual_digits":true})", gpt2)) ==
          PreTokenizer::smollm);
    CHECK(words(sequence("pretokenizers", qwen2_split, bytes_only)) == PreTokenizer::qwen2);
    CHECK(words(sequence("pretokenizers", replaced(qwen2_split, R"(|\\p{N}|)", R"(|\\p{N}{1,3}|)"),
                         bytes_only)) == PreTokenizer::llama3);
}

TEST_CASE("a tokenizer.json that asks for more is refused by its field", "[tokenizer_json]") {
    struct Case {
        std::string from, to, message;
    };
    const Case cases[] = {
        {R"("type":"NFC")", R"("type":"NFKC")", "normalizer.type is 'NFKC', supported: NFC"},
        {R"("type":"BPE")", R"("type":"Unigram")", "model.type is 'Unigram', supported: BPE"},
        {R"("type":"BPE",)", R"("type":"BPE","byte_fallback":true,)",
         "model.byte_fallback is true"},
        {R"("type":"BPE",)", R"("type":"BPE","dropout":0.1,)", "model.dropout is set"},
        {R"("type":"BPE",)", R"("type":"BPE","end_of_word_suffix":"</w>",)",
         "model.end_of_word_suffix is set"},
        {"he ll", "he lx", "merge 2 is 'he lx'"},
        {R"(["l","l"])", R"(["l"])", "model.merges entry 1 is neither a string nor two strings"},
        {R"("decoder":{"type":"ByteLevel"})", R"("decoder":{"type":"WordPiece"})",
         "decoder.type is 'WordPiece'"},
        {"Isolated", "Removed", "pre_tokenizer.pretokenizers.behavior is 'Removed'"},
        {R"(?\\p{L}+)", R"(?\\p{L}*)", "pretokenizers.pattern is '(?i:"},
        {R"("use_regex":false)", R"("use_regex":true)", "use_regex is not false"},
        {R"("add_prefix_space":false)", R"("add_prefix_space":true)", "add_prefix_space is not"},
        {R"("lstrip":false)", R"("lstrip":true)", "added_tokens.lstrip is true for '<|end|>'"},
        {R"("id":261)", R"("id":260)", "added_tokens.content gives '<think>' the id 260"},
        {R"("id":261)", R"("id":16000000)", "gives '<think>' the id 16000000"},
        {R"("he":256)", R"("he":-1)", "model.vocab gives 'he' the id -1"},
        {R"("he":256)", R"("he":"x")", "model.vocab gives 'he' the id -1"},
    };
    for (const Case& c : cases)
        CHECK_THAT(Opened(replaced(qwen2_json(), c.from, c.to)).error(), Contains(c.message));
    CHECK_THAT(Opened(qwen2_json(), R"({"eos_token":"</none>"})").error(),
               Contains("eos_token is '</none>', which is no known token"));
}
