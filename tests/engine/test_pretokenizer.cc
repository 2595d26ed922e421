#include <catch2/catch.hpp>

#include "engine/text/pretokenizer.h"
#include "tests/engine/pair_vocabulary.h"
#include "tests/engine/tokenizer_corpus.h"

using namespace sluice;

namespace {

using Words = std::vector<std::string>;

Words words(PreTokenizer kind, std::string_view text) {
    Words out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = word_end(kind, text, at);
        REQUIRE(end > at);
        REQUIRE(end <= text.size());
        out.emplace_back(text.substr(at, end - at));
        at = end;
    }
    return out;
}

constexpr PreTokenizer all[] = {PreTokenizer::gpt2, PreTokenizer::smollm, PreTokenizer::qwen2,
                                PreTokenizer::llama3};

}  // namespace

TEST_CASE("words end where llama.cpp ends them, in every script and plane", "[pretokenizer]") {
    std::vector<CorpusText> corpus = tokenizer_corpus();
    std::vector<std::string> golden = golden_lines("tokenizer_words.txt");
    REQUIRE(golden.size() % (corpus.size() + 1) == 0);
    std::size_t kinds = 0;
    for (std::size_t at = 0; at < golden.size(); at += corpus.size() + 1, ++kinds) {
        auto tokenizer = pair_tokenizer(golden[at]);
        for (std::size_t i = 0; i < corpus.size(); ++i) {
            std::string lengths;
            for (TokenId token : tokenizer->encode(corpus[i].text, true, false))
                lengths += token < 256 ? '1' : '2';
            INFO(golden[at] << " string " << i << ": " << corpus[i].text);
            REQUIRE(lengths == golden[at + 1 + i]);
        }
    }
    CHECK(kinds == 4);
}

TEST_CASE("each pre-tokenizer cuts as its regular expression says", "[pretokenizer]") {
    std::string text = "I'LL say 'hello' 12345 \n\n  x\t\ty!\r\n";
    CHECK(words(PreTokenizer::gpt2, text) == Words{"I", "'", "LL", " say", " '", "hello", "'",
                                                   " 12345", " \n\n ", " x", "\t", "\t", "y", "!",
                                                   "\r\n"});
    CHECK(words(PreTokenizer::smollm, text) ==
          Words{"I", "'", "LL", " say",   " '", "hello", "'",  " ", "1", "2",
                "3", "4", "5",  " \n\n ", " x", "\t",    "\t", "y", "!", "\r\n"});
    CHECK(words(PreTokenizer::qwen2, text) == Words{"I", "'LL", " say", " '", "hello", "'", " ",
                                                    "1", "2", "3", "4", "5", " \n\n", " ", " x",
                                                    "\t", "\ty", "!\r\n"});
    CHECK(words(PreTokenizer::llama3, text) == Words{"I", "'LL", " say", " '", "hello", "'", " ",
                                                     "123", "45", " \n\n", " ", " x", "\t", "\ty",
                                                     "!\r\n"});
}

TEST_CASE("white space before a lone number is a text's end for smollm", "[pretokenizer]") {
    CHECK(words(PreTokenizer::smollm, "a   1") == Words{"a", "   ", "1"});
    CHECK(words(PreTokenizer::gpt2, "a   1") == Words{"a", "  ", " 1"});
}

TEST_CASE("a byte outside UTF-8 is neither letter, number nor space", "[pretokenizer]") {
    for (PreTokenizer kind : all) {
        CHECK(words(kind, "1\xFF\x80\xE2\x82 2").at(1) == "\xFF\x80\xE2\x82");
        CHECK(words(kind, "a \xF0\x9F").at(1) == " \xF0\x9F");
    }
    CHECK(words(PreTokenizer::qwen2,
                "\xFF\xFF"
                "a") == Words{"\xFF\xFF", "a"});
}

TEST_CASE("words cover any bytes, in order and without end", "[pretokenizer]") {
    std::uint64_t state = 7;
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (int i = 0; i < 40; ++i) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            constexpr char bytes[] = " '\n\r\tsltrvedLMa1.\xC3\xA9\xE3\x80\x80\xEF\xBC\x91\xF0\x9F";
            text += bytes[(state >> 33) % (sizeof bytes - 1)];
        }
        for (PreTokenizer kind : all) {
            std::string joined;
            for (const std::string& word : words(kind, text)) joined += word;
            REQUIRE(joined == text);
        }
    }
}

TEST_CASE("long runs of one kind are cut in linear time", "[pretokenizer]") {
    for (const char* unit : {"a", "1", " ", "\n", "!", "\xE4\xBD\xA0", "\xFF", " \n", "a ", "'s"}) {
        std::string text;
        while (text.size() < 200'000) text += unit;
        for (PreTokenizer kind : all) CHECK_FALSE(words(kind, text).empty());
    }
}

TEST_CASE("pre-tokenizers are known by the names in GGUF files", "[pretokenizer]") {
    CHECK(pre_tokenizer_named("gpt-2") == PreTokenizer::gpt2);
    CHECK(pre_tokenizer_named("smollm") == PreTokenizer::smollm);
    CHECK(pre_tokenizer_named("qwen2") == PreTokenizer::qwen2);
    CHECK(pre_tokenizer_named("deepseek-r1-qwen") == PreTokenizer::qwen2);
    CHECK(pre_tokenizer_named("llama-bpe") == PreTokenizer::llama3);
    CHECK(pre_tokenizer_named("llama3") == PreTokenizer::llama3);
    CHECK_FALSE(pre_tokenizer_named("default"));
    CHECK_FALSE(pre_tokenizer_named(""));
}
