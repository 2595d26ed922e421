#include <catch2/catch.hpp>
#include <map>
#include <sstream>

#include "tests/engine/pair_vocabulary.h"
#include "tests/engine/small_vocabulary.h"
#include "tests/engine/starter_model.h"
#include "tests/engine/tokenizer_corpus.h"

using namespace sluice;
using Catch::Matchers::Contains;
using Ids = std::vector<TokenId>;

namespace {

std::string fault_of(const GgufWriter& writer) {
    TempFile model(writer.bytes());
    auto file = GgufFile::open(model.path());
    REQUIRE(file);
    auto tokenizer = Tokenizer::from_file(**file);
    if (tokenizer) return "loaded";
    CHECK(tokenizer.error().code == Errc::bad_file);
    CHECK_THAT(tokenizer.error().message, Contains(model.path()));
    return tokenizer.error().message;
}

std::string random_bytes(std::uint64_t& state, std::string_view from) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::string out(state >> 59, ' ');  // 0 to 31
    for (char& c : out) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        c = from.empty() ? static_cast<char>(state >> 56) : from[(state >> 33) % from.size()];
    }
    return out;
}

}  // namespace

TEST_CASE("the starter model's tokens are llama.cpp's, in every script and plane", "[tokenizer]") {
    auto path = starter_model();
    if (!path) {
        WARN("skipped: no starter model; fetch it with deploy/get-model smollm2-135m");
        return;
    }
    auto file = GgufFile::open(*path);
    REQUIRE(file);
    auto opened = Tokenizer::from_file(**file);
    REQUIRE(opened);
    const Tokenizer& tokenizer = **opened;
    std::vector<CorpusText> corpus = tokenizer_corpus();
    std::vector<std::string> golden = golden_lines("tokenizer_smollm2.txt");
    REQUIRE(golden.size() == corpus.size());
    for (std::size_t i = 0; i < corpus.size(); ++i) {
        std::ostringstream ids;
        for (TokenId id : tokenizer.encode(corpus[i].text, corpus[i].parse_special, false))
            ids << (ids.tellp() > 0 ? " " : "") << id;
        INFO("string " << i << ": " << corpus[i].text);
        REQUIRE(ids.str() == golden[i]);
    }
    Ids ends;
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
        if (tokenizer.is_end(id)) ends.push_back(id);
    CHECK(ends == Ids{0, 2, 4});  // <|endoftext|>, <|im_end|>, <reponame>: as in llama.cpp
    CHECK(tokenizer.vocab_size() == 49152);
    CHECK(tokenizer.bos() == 1);
    CHECK(tokenizer.eos() == 2);
    CHECK(tokenizer.encode("a", true, true) == tokenizer.encode("a", true, false));  // no BOS here
}

TEST_CASE("DeepSeek-R1-Distill-Qwen's known vectors come out", "[tokenizer]") {
    SmallVocabulary vocabulary("deepseek-r1-qwen");
    std::map<TokenId, TokenId> real;  // our id to the model's; a byte's is the same in both
    for (auto [id, bytes] :
         {std::pair{9707, "Hello"}, std::pair{1879, " world"}, std::pair{15007, "don"},
          std::pair{944, "'t"}, std::pair{358, " I"}, std::pair{4086, "LL"},
          std::pair{108386, "\u4f60\u597d"}, std::pair{99489, "\u4e16\u754c"},
          std::pair{3958, " \u00e9"}, std::pair{26062, "\u00bd"}, std::pair{79075, "boxed"},
          std::pair{14990, "hello"}, std::pair{37931, "SYS"}, std::pair{271, "\n\n"},
          std::pair{11692, "ANS"}})
        real[vocabulary.word(bytes)] = id;
    for (auto [id, text, type] : {std::tuple{151643, "<｜end▁of▁sentence｜>", TokenType::control},
                                  std::tuple{151644, "<｜User｜>", TokenType::control},
                                  std::tuple{151645, "<｜Assistant｜>", TokenType::control},
                                  std::tuple{151646, "<｜begin▁of▁sentence｜>", TokenType::control},
                                  std::tuple{151648, "<think>", TokenType::user_defined},
                                  std::tuple{151649, "</think>", TokenType::user_defined}})
        real[vocabulary.token(text, type)] = id;
    auto tokenizer = vocabulary.load();
    REQUIRE(tokenizer);
    auto ids = [&](std::string_view text) {
        Ids out = (*tokenizer)->encode(text, true, false);
        for (TokenId& id : out)
            if (real.contains(id)) id = real[id];
        return out;
    };
    CHECK(ids("Hello, world!") == Ids{9707, 11, 1879, 0});
    CHECK(ids("don't I'LL 12345 3.14") ==
          Ids{15007, 944, 358, 6, 4086, 220, 16, 17, 18, 19, 20, 220, 18, 13, 16, 19});
    CHECK(ids("\u4f60\u597d\u4e16\u754c \u00e9 \u00bd") == Ids{108386, 99489, 3958, 220, 26062});
    CHECK(ids("\\boxed{42}") == Ids{59, 79075, 90, 19, 17, 92});
    CHECK(ids("<｜begin▁of▁sentence｜><｜User｜>hello<｜Assistant｜><think>\n") ==
          Ids{151646, 151644, 14990, 151645, 151648, 198});
    CHECK(ids("<｜begin▁of▁sentence｜>SYS<｜User｜>hello<｜Assistant｜><think>\n") ==
          Ids{151646, 37931, 151644, 14990, 151645, 151648, 198});
    CHECK(ids("<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜>\n\nANS<｜end▁of▁sentence｜><"
              "｜User｜>b"
              "<｜Assistant｜><think>\n") ==
          Ids{151646, 151644, 64, 151645, 271, 11692, 151643, 151644, 65, 151645, 151648, 198});
}

TEST_CASE("special tokens are parsed only when asked, user-defined ones always", "[tokenizer]") {
    SmallVocabulary vocabulary;
    TokenId end = vocabulary.token("<|im_end|>", TokenType::control);
    TokenId think = vocabulary.token("<think>", TokenType::user_defined);
    TokenId unknown = vocabulary.token("<unk>", TokenType::unknown);
    auto opened = vocabulary.load();
    REQUIRE(opened);
    const Tokenizer& tokenizer = **opened;
    std::string text = "x<|im_end|><think>y<unk>";
    Ids parsed = tokenizer.encode(text, true, false);
    CHECK(parsed == Ids{tokenizer.find("x"), end, think, tokenizer.find("y"), unknown});
    Ids plain = tokenizer.encode(text, false, false);
    CHECK(plain.size() == 1 + 10 + 1 + 1 + 5);
    CHECK(plain[11] == think);

    CHECK(tokenizer.decode(parsed) == "x<think>y");
    CHECK(tokenizer.decode(parsed, true) == text);
    CHECK(tokenizer.decode(plain) == text);
    CHECK(tokenizer.is_special(end));
    CHECK(tokenizer.is_special(unknown));
    CHECK_FALSE(tokenizer.is_special(think));
    CHECK_FALSE(tokenizer.is_special(tokenizer.find("x")));
    CHECK(tokenizer.find("<|im_end|>") == end);
    CHECK(tokenizer.find("<|im_start|>") == -1);
    CHECK(tokenizer.find("not in it") == -1);
}

TEST_CASE("of overlapping special tokens the longest has first choice", "[tokenizer]") {
    SmallVocabulary vocabulary;
    TokenId ab = vocabulary.token("<ab", TokenType::control);
    TokenId abc = vocabulary.token("<abc", TokenType::control);
    TokenId cross = vocabulary.token("b>long", TokenType::control);
    TokenId same = vocabulary.token("<ac", TokenType::control);
    auto opened = vocabulary.load();
    REQUIRE(opened);
    auto ids = [&](std::string_view text) { return (*opened)->encode(text, true, false); };
    auto byte = [&](std::string_view text) { return (*opened)->find(text); };
    CHECK(ids("<abc") == Ids{abc});
    CHECK(ids("<ab") == Ids{ab});
    CHECK(ids("<a") == Ids{byte("<"), byte("a")});
    CHECK(ids("<ab<ac<abc") == Ids{ab, same, abc});
    CHECK(ids("<ab>long") == Ids{byte("<"), byte("a"), cross});
    CHECK(ids("<abcb>long<ab") == Ids{abc, cross, ab});
}

TEST_CASE("BOS and EOS are added where the file asks and the caller too", "[tokenizer]") {
    SmallVocabulary vocabulary;
    TokenId bos = vocabulary.token("<s>", TokenType::control);
    TokenId eos = vocabulary.token("<e>", TokenType::control);
    vocabulary.file().set("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(bos));
    vocabulary.file().set("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(eos));
    vocabulary.file().set("tokenizer.ggml.add_bos_token", true);
    vocabulary.file().set("tokenizer.ggml.add_eos_token", true);
    auto opened = vocabulary.load();
    REQUIRE(opened);
    const Tokenizer& tokenizer = **opened;
    CHECK(tokenizer.encode("", true, true) == Ids{bos, eos});
    CHECK(tokenizer.encode("!", true, true) == Ids{bos, 0, eos});
    CHECK(tokenizer.encode("!", true, false) == Ids{0});
    CHECK(tokenizer.bos() == bos);
    CHECK(tokenizer.eos() == eos);
    CHECK(tokenizer.is_end(eos));
    CHECK_FALSE(tokenizer.is_end(bos));

    auto none = SmallVocabulary("llama-bpe").load();  // asks for BOS by its kind, but has none
    REQUIRE(none);
    CHECK((*none)->encode("!", true, true) == Ids{0});
    CHECK((*none)->bos() == -1);
    CHECK((*none)->eos() == -1);
}

TEST_CASE("a generation ends at eos, eot, eom and the well-known names", "[tokenizer]") {
    SmallVocabulary vocabulary;
    TokenId html = vocabulary.token("</s>");  // ordinary text in Qwen's vocabulary
    TokenId named = vocabulary.token("<|im_end|>");
    TokenId eot = vocabulary.token("[turn]", TokenType::control);
    TokenId other = vocabulary.token("<|im_start|>", TokenType::control);
    TokenId repository = vocabulary.token("<reponame>", TokenType::control);
    TokenId prefix = vocabulary.token("<|fim_prefix|>");
    vocabulary.file().set("tokenizer.ggml.eot_token_id", static_cast<std::uint32_t>(eot));
    auto opened = vocabulary.load();
    REQUIRE(opened);
    const Tokenizer& tokenizer = **opened;
    CHECK(tokenizer.is_end(named));
    CHECK(tokenizer.is_special(named));  // whatever its type in the file
    CHECK(tokenizer.is_end(eot));
    CHECK(tokenizer.is_end(repository));
    CHECK_FALSE(tokenizer.is_end(other));
    CHECK_FALSE(tokenizer.is_end(html));
    CHECK_FALSE(tokenizer.is_special(html));
    CHECK_FALSE(tokenizer.is_end(prefix));
    CHECK(tokenizer.is_special(prefix));
    CHECK_FALSE(tokenizer.is_end(-1));
    CHECK_FALSE(tokenizer.is_end(1 << 30));
}

TEST_CASE("ids outside the vocabulary and unused tokens have no bytes", "[tokenizer]") {
    SmallVocabulary vocabulary;
    TokenId unused = vocabulary.token("[PAD1]", TokenType::unused);
    auto opened = vocabulary.load();
    REQUIRE(opened);
    CHECK((*opened)->bytes_of(unused, true) == "");
    CHECK((*opened)->bytes_of(-1, true) == "");
    CHECK((*opened)->bytes_of(unused + 1, true) == "");
    CHECK_FALSE((*opened)->is_special(-1));
    CHECK((*opened)->encode("[PAD1]", true, false).size() == 6);
}

TEST_CASE("llama-bpe takes a word that is a token whole, whatever the merges say", "[tokenizer]") {
    for (std::string_view pre : {"llama-bpe", "qwen2"}) {
        SmallVocabulary vocabulary(pre);
        vocabulary.merge("b", "c");
        TokenId pair = vocabulary.token("bc");
        TokenId whole = vocabulary.token("abc");
        auto opened = vocabulary.load();
        REQUIRE(opened);
        Ids ids = (*opened)->encode("abc", false, false);
        CHECK(ids == (pre == "qwen2" ? Ids{(*opened)->find("a"), pair} : Ids{whole}));
    }
}

TEST_CASE("a byte without a token is left out and joins nothing", "[tokenizer]") {
    GgufWriter file;
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", "gpt-2");
    file.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab"});
    file.set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
    TempFile model(file.bytes());
    auto opened = GgufFile::open(model.path());
    REQUIRE(opened);
    auto tokenizer = Tokenizer::from_file(**opened);
    REQUIRE(tokenizer);
    CHECK((*tokenizer)->encode("abcab", true, true) == Ids{2, 2});
    CHECK((*tokenizer)->encode("acb", true, true) == Ids{0, 1});
    std::string many = "c" + std::string(100, 'c') + "ab" + std::string(100, 'c');
    CHECK((*tokenizer)->encode(many, true, true) == Ids{2});
}

TEST_CASE("any bytes come back from their tokens", "[tokenizer]") {
    std::uint64_t state = 3;
    for (std::string_view pre : {"gpt-2", "smollm", "qwen2", "llama-bpe"}) {
        auto pairs = pair_tokenizer(pre);
        SmallVocabulary vocabulary(pre);
        for (const char* word : {"the", " the", "\u00e9", "  ", "'s", "\xF0\x9F\x98\x80"})
            vocabulary.word(word);
        vocabulary.token("<|im_end|>", TokenType::control);
        vocabulary.token("<think>", TokenType::user_defined);
        auto words = vocabulary.load();
        REQUIRE(words);
        for (int round = 0; round < 3000; ++round) {
            std::string text = random_bytes(state, "");
            text += random_bytes(state, "the 's\n\xC3\xA9\xF0\x9F\x98\x80");
            if (round % 3 == 0) text += "<|im_end|>" + random_bytes(state, "<>|thinkm_ed");
            for (bool parse : {true, false}) {
                REQUIRE(pairs->decode(pairs->encode(text, parse, false), true) == text);
                REQUIRE((*words)->decode((*words)->encode(text, parse, false), true) == text);
            }
        }
    }
}

TEST_CASE("a vocabulary that cannot be used is refused by key", "[tokenizer]") {
    auto with = [](auto change) {
        GgufWriter file;
        change(file);
        return fault_of(file);
    };
    auto start = [](GgufWriter& file, const char* pre = "qwen2", const char* model = "gpt2") {
        file.set("tokenizer.ggml.model", model);
        file.set("tokenizer.ggml.pre", pre);
    };
    auto lists = [](GgufWriter& file, std::vector<std::string> tokens,
                    std::vector<std::string> merges) {
        file.set("tokenizer.ggml.tokens", tokens);
        file.set("tokenizer.ggml.merges", merges);
    };
    CHECK_THAT(with([](GgufWriter&) {}), Contains("tokenizer.ggml.model is absent"));
    CHECK_THAT(with([&](GgufWriter& file) { start(file, "qwen2", "llama"); }),
               Contains("'llama'; supported is 'gpt2'"));
    CHECK_THAT(with([&](GgufWriter& file) { start(file, "tekken"); }),
               Contains("tokenizer.ggml.pre is 'tekken'; supported are gpt-2, smollm"));
    CHECK_THAT(with([&](GgufWriter& file) { start(file); }), Contains("tokenizer.ggml.tokens"));
    CHECK_THAT(with([&](GgufWriter& file) {
                   start(file);
                   file.set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
               }),
               Contains("tokenizer.ggml.merges must be"));
    CHECK_THAT(with([&](GgufWriter& file) {
                   start(file);
                   lists(file, {"a", "b", "a"}, {});
               }),
               Contains("the text of token 2 twice"));
    for (const char* merge : {"ab", "a c", "a b c", "", " ", "b a"})
        CHECK_THAT(with([&](GgufWriter& file) {
                       start(file);
                       lists(file, {"a", "b", "ab"}, {"a b", merge});
                   }),
                   Contains("merge 1"));
    CHECK_THAT(with([&](GgufWriter& file) {
                   start(file);
                   lists(file, {"a", "b"}, {});
                   file.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
               }),
               Contains("tokenizer.ggml.eos_token_id is 2; expected the id of one of the 2"));
    CHECK_THAT(with([&](GgufWriter& file) {
                   start(file);
                   lists(file, {"a", "b"}, {});
                   file.set("tokenizer.ggml.token_type", std::vector<std::int32_t>{1});
               }),
               Contains("tokenizer.ggml.token_type has 1 entries"));
}
